//! The binary `rehearsal`: composition root, HTTP, command line and settings.

#![recursion_limit = "512"]

pub mod cli;
pub mod commands;
pub mod config;
pub mod http;
mod incoming;
mod lock;
mod log_filter;
pub mod private_files;
mod readiness;
pub mod serve;
mod shutdown;
pub mod site;
pub mod suite_run;
