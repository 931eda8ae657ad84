//! The real binary under faults, driven from outside.
//!
//! - [`house`]: a server of its own over an empty folder, and who asks it.
//! - [`disk`]: disks that forget and disks that are full.
//! - [`process`]: signals to a process that was started here.
//! - [`history`]: what happened, from every side, and whether it keeps the
//!   product's promises.
//! - [`reader`] and [`page`]: somebody who looks on.
//! - [`soaks`]: each a way to trouble the binary, and a [`report`] of it.
//!
//! The tests of `server` use it, and so do the soaks. It is no part of the
//! product and knows nothing of its code: it starts the binary that it is
//! given, and looks through the same doors as everybody.

// A soak that cannot go on ends where it stands, with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod disk;
pub mod history;
pub mod house;
pub mod page;
pub mod process;
pub mod reader;
pub mod report;
pub mod soaks;
mod user;
pub mod wall;
pub mod world;
