//! Suites: the list, and starting one.

pub mod list;
pub mod new;
pub mod preflight;
