//! Rehearsal's domain and pages: what browser and server share.
//!
//! - [`domain`]: types, limits, validation; no I/O.
//! - [`backend`]: the port that pages, server functions and API call.
//! - [`address`]: addresses of this site.
//! - [`error`]: the one error that crosses to the browser.
//! - [`pages`], [`components`], [`server_fns`]: what people see.

#![recursion_limit = "512"]

pub mod address;
pub mod backend;
pub mod components;
pub mod domain;
#[cfg(feature = "ssr")]
pub mod ended;
pub mod error;
pub mod pages;
pub mod server_fns;
pub mod shell;

pub use shell::{App, shell};
