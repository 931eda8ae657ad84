//! Runs the real binary under faults and checks what happened.
//!
//! - [`TestServer`], [`ApiClient`], [`Setup`]: the binary as a process, a client
//!   of its API, and both with a provider.
//! - [`disk`]: disks that lose unsynced writes and disks that are full.
//! - [`history`]: records from every side, and a checker of the product's guarantees.
//! - [`stream_reader`], [`browser_session`]: clients that read along.
//! - [`soaks`]: one scenario per fault, each with a [`report`].
//!
//! The crate does not depend on product code. It starts the binary that it is
//! given and observes it from outside.

// A soak that cannot go on panics with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api_client;
pub mod browser_session;
pub mod clock;
pub mod disk;
pub mod history;
pub mod report;
mod setup;
pub mod soaks;
pub mod stream_reader;
mod test_server;
pub mod workload;

pub use api_client::{ApiClient, suite_request};
pub use setup::{Setup, base_url};
pub use test_server::{Binary, PASSWORD, TestServer, id, metric_value};
