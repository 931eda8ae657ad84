//! Each file covers one failure mode of naive test runners. Its documentation names the
//! failure mode, and its tests fail without the mechanism that prevents it.
//!
//! Most tests drive the real binary from outside and check the request log of
//! the mock provider. Tests that would take hours run the engine in a
//! [`simulation`] with paused time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

mod cancellation;
mod circuit_isolation;
mod connection_leaks;
mod duplicate_starts;
mod evaluation_failure;
mod event_replay;
mod incompatible_agent;
mod invalid_scenario;
mod lost_turns;
mod max_turns;
mod metrics;
mod missing_prompt;
mod open_circuit;
mod parallel_starts;
mod provider_data;
mod rate_limits;
mod simulation;
mod stuck_runs;
mod support;
mod timeouts;
mod unparseable_judge;
