//! List of connections.

use super::tabs;
use crate::components::chip::chip;
use crate::components::page_data::{empty_state, load, notice, section_when_loaded};
use crate::components::table::table;
use crate::components::time::clock;
use crate::components::title::heading;
use crate::domain::{Breaker, BreakerState, Connection};
use crate::server_fns::ConnectionsQuery;
use leptos::prelude::*;

#[component]
pub fn ConnectionsPage() -> impl IntoView {
    let data = load(|| ConnectionsQuery {});
    view! {
        {notice()}
        {tabs("connections")}
        <div class="page-head">
            {heading("Connections")}
            <a class="button primary" href="/settings/connections/new">"Add connection"</a>
        </div>
        {section_when_loaded(data, show)}
    }
}

/// Status of a circuit breaker, with its reason and next retry.
pub fn breaker_status(breaker: &Breaker) -> AnyView {
    let (tone, icon, word) = match breaker.state {
        BreakerState::Closed => ("passed", "✓", "OK"),
        BreakerState::Open => ("failed", "✕", "Failing"),
        BreakerState::HalfOpen => ("running", "◐", "Retrying"),
        BreakerState::Suspended => ("error", "⚠", "Suspended"),
    };
    let until = breaker.until.map(|until| view! { " Next retry " {clock(until)} });
    view! {
        {chip(tone, icon, word)}
        <span class="hint">" " {breaker.reason.clone()} {until}</span>
    }
    .into_any()
}

fn show(connections: Vec<Connection>) -> AnyView {
    if connections.is_empty() {
        let action = view! {
            <a class="button primary" href="/settings/connections/new">"Add connection"</a>
        };
        let text = "A connection tells Rehearsal how to reach a model: a provider and its API key, or your own server.";
        return empty_state("No connections yet", text, action.into_any());
    }
    let rows = connections.into_iter().map(|connection| {
        let href = format!("/settings/connections/{}", connection.id);
        let key = match (connection.key_last4, connection.has_key) {
            (Some(last), _) => format!("…{last}"),
            (None, true) => "stored".to_owned(),
            (None, false) => "none".to_owned(),
        };
        view! {
            <tr>
                <td class="main"><a href=href data-row="">{connection.name}</a>
                    {connection.server_wide.then(|| view! { " " <span class="tag">"server-wide"</span> })}
                </td>
                <td>{connection.kind.label()}</td>
                <td class="hint">{connection.base_url}</td>
                <td data-label="API key"><code>{key}</code></td>
                <td data-label="Status">{breaker_status(&connection.breaker)}</td>
            </tr>
        }
        .into_any()
    });
    let columns = [("Name", ""), ("Kind", ""), ("Base URL", ""), ("API key", ""), ("Status", "")];
    table("Connections", "list", &columns, rows.collect())
}
