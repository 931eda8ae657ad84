//! Settings: connections, models, tokens, the account.

pub mod account;
pub mod connection;
mod connection_fields;
mod connection_test;
pub mod connections;
pub mod models;
pub mod prices;
pub mod profile;
pub mod profiles;
pub mod tokens;

use leptos::prelude::*;

/// Navigation between the settings pages.
pub fn tabs(current: &'static str) -> AnyView {
    let pages = [
        ("connections", "Connections"),
        ("models", "Models"),
        ("profiles", "Test profiles"),
        ("tokens", "Tokens"),
        ("account", "Account"),
    ];
    let links = pages.into_iter().map(|(page, label)| {
        let href = format!("/settings/{page}");
        view! { <a href=href aria-current=(page == current).then_some("page")>{label}</a> }
    });
    view! { <nav class="tabs" aria-label="Settings">{links.collect_view()}</nav> }.into_any()
}
