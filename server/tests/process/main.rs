//! The real binary, driven from outside: processes that are killed, many at
//! once at the door, users that want each other's things, recorded
//! conversations, a database that others lock; and beside them how SQLite goes
//! about each statement. Every provider is the stand, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

mod contract;
mod hangs;
mod imports;
mod kills;
mod locked;
mod logs;
mod numbers;
mod once;
mod one_engine;
mod plans;
mod real_input;
mod stops;
mod two_users;

/// The binary under test.
fn binary() -> fault_injection::house::Binary {
    fault_injection::house::Binary::new(env!("CARGO_BIN_EXE_rehearsal"))
}
