//! Agents under test.

pub mod chat;
mod deployed_fields;
pub mod edit;
pub mod list;
pub mod trial;
