//! Scenarios: test conversations.

pub mod edit;
pub mod fields;
pub mod list;
pub mod read;
