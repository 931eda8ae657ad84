//! Tests of the real binary from outside, and of the query plans of its store.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

mod accounts;
mod api_contract;
mod ci_examples;
mod deployed_agents;
mod foreign_formats;
mod idempotency;
mod imports;
mod kills;
mod locked_database;
mod logs;
mod metrics;
mod ownership;
mod private_files;
mod query_plans;
mod recordings;
mod reports;
mod shutdown;
mod single_engine;
mod stuck_threads;
mod suite_run;
mod test_profiles;

use fault_injection::{Binary, TestServer};

/// A server that is not started yet.
fn new_server() -> TestServer {
    TestServer::new(&Binary::new(env!("CARGO_BIN_EXE_rehearsal")))
}
