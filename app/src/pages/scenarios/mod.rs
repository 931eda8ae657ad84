//! Scenarios: what agents are tested with.

pub mod edit;
pub mod fields;
pub mod list;
pub mod read;
