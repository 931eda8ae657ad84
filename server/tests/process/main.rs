//! The real binary, driven from outside: processes that are killed, many at
//! once at the door, users that want each other's things, recorded
//! conversations. Every provider is the stand, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

mod house;
mod kills;
mod logs;
mod numbers;
mod once;
mod real_input;
mod stops;
mod two_users;
