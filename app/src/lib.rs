//! The web UI, rendered on the server and hydrated in the browser: [`pages`],
//! their shared [`components`], and the [`server_fns`] that load their data.

#![recursion_limit = "512"]

pub mod components;
pub mod pages;
pub mod server_fns;
#[cfg(feature = "ssr")]
pub mod session_ended;
pub mod shell;

pub use domain::{self, error, services, url};
pub use shell::{App, shell};
