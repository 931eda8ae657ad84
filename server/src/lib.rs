//! Everything behind the port: store, engine, outbound calls, HTTP.
//!
//! Dependencies point one way: `http` → `backend` → `store`, `engine` →
//! `llm`. `conversation` and `judge` are pure: no I/O, no database, no clock.

#![recursion_limit = "512"]

pub mod backend;
pub mod builtin;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod conversation;
pub mod endpoints;
pub mod engine;
pub mod http;
pub mod import;
pub mod judge;
pub mod llm;
mod lock;
mod log_filter;
pub mod observe;
mod readiness;
pub mod secrets;
pub mod serve;
mod shutdown;
pub mod site;
pub mod store;
