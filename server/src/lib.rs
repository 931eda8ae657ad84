//! Everything behind the port: store, engine, outbound calls, HTTP.
//!
//! Dependencies point one way: `http` → `backend` → `store`, `engine` →
//! `llm`. `conversation` and `judge` are pure: no I/O, no database, no clock.

#![recursion_limit = "512"]

pub mod cli;
pub mod commands;
pub mod config;
pub mod http;
mod lock;
mod log_filter;
mod readiness;
pub mod serve;
mod shutdown;
pub mod site;
