//! Settings: connections, models, tokens.

pub mod connection;
pub mod connections;
pub mod models;
pub mod tokens;

use leptos::prelude::*;

/// The places of the settings.
pub fn tabs(current: &'static str) -> AnyView {
    let places = [("connections", "Connections"), ("models", "Models"), ("tokens", "Tokens")];
    let links = places.into_iter().map(|(place, label)| {
        let href = format!("/settings/{place}");
        view! { <a href=href aria-current=(place == current).then_some("page")>{label}</a> }
    });
    view! { <nav class="tabs" aria-label="Settings">{links.collect_view()}</nav> }.into_any()
}
