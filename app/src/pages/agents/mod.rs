//! Agents: what is under test.

pub mod edit;
pub mod list;
