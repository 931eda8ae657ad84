//! The eighteen ways in which a runner of this kind breaks, one file a fault.
//! Each file says what went wrong and has a test that fails when the mechanism
//! that makes it impossible is taken out.
//!
//! Most drive the real binary from outside, and judge by what the provider's
//! journal saw, not by what we think we sent. Where that would take hours
//! (deadlines, a day in the queue) an engine lives over the store in memory on
//! paused time ([`world`]), and dies with its runtime as a process does.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

mod agent_without_prompt;
mod cancel;
mod connections_held_or_leaked;
mod duplicate_starts;
mod evaluation_fails_after_the_conversation;
mod incompatible_agent;
mod invalid_scenario_data;
mod many_clicks;
mod max_turns;
mod metrics;
mod no_timeout;
mod one_users_breaker_hits_another;
mod open_circuit_loses_runs;
mod outside;
mod progress_and_its_exact_replay;
mod provider_data;
mod rate_limit_without_back_pressure;
mod stuck_runs;
mod turns_lost;
mod unparseable_judge;
mod world;
