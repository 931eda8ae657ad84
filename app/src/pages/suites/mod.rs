//! Suites: the list and the start form.

pub mod list;
pub mod new;
pub mod preflight;
