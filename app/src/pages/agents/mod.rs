//! Agents under test.

pub mod edit;
pub mod list;
