//! The router from outside: what goes in as bytes, what comes out.

mod api;
mod document;
mod editors;
mod fake_services;
mod fake_live;
mod forms;
mod pages;
mod real;
mod requests;
mod session_ended;
mod sign_in;
mod stream;
mod support;
