//! Rehearsal's domain and pages: what browser and server share.
//!
//! - [`pages`], [`components`], [`server_fns`]: what people see.

#![recursion_limit = "512"]

pub mod components;
#[cfg(feature = "ssr")]
pub mod ended;
pub mod pages;
pub mod server_fns;
pub mod shell;

pub use domain::{self, address, error, services};
pub use shell::{App, shell};
