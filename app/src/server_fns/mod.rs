//! Server functions: what pages ask. Thin: who asks, then the port. They are
//! public endpoints, so nothing is decided here but the HTTP status.

// The macro makes public structs of the arguments, whose fields no comment can
// reach.
#![allow(missing_docs)]

pub mod accounts;
pub mod agents;
pub mod home;
pub mod runs;
pub mod scenarios;
pub mod settings;
pub mod suites;

#[cfg(feature = "ssr")]
pub(crate) mod ask;
