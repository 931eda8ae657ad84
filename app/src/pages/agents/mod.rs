//! Agents under test.

pub mod chat;
pub mod edit;
pub mod list;
