//! The router from outside: what goes in as bytes, what comes out.

mod api;
mod document;
mod fake_backend;
mod fake_live;
mod forms;
mod pages;
mod requests;
mod sign_in;
mod stream;
mod support;
