//! The stores in memory: for tests on paused time.

pub mod work;
