//! Tests of the router: requests and responses.

mod account_page;
mod agent_chat;
mod api;
mod client_limits;
mod deployed_forms;
mod detached;
mod document;
mod editors;
mod error_summary;
mod fake_event_source;
mod fake_services;
mod form_parsing;
mod forms;
mod import_forms;
mod pages;
mod real_services;
mod requests;
mod session_ended;
mod sign_in;
mod stream;
mod support;
