//! The list of connections.

use super::tabs;
use crate::components::chip::chip;
use crate::components::load::{ask, empty, loaded_below, notice};
use crate::components::time::clock;
use crate::components::title::heading;
use crate::domain::{Breaker, BreakerState, Connection, ConnectionKind};
use crate::server_fns::{ConnectionsQuery};
use leptos::prelude::*;

/// The list of connections.
#[component]
pub fn ConnectionsPage() -> impl IntoView {
    let data = ask(|| ConnectionsQuery {});
    view! {
        {notice()}
        {tabs("connections")}
        <div class="page-head">
            {heading("Connections")}
            <a class="button primary" href="/settings/connections/new">"Add connection"</a>
        </div>
        {loaded_below(data, table)}
    }
}

/// The protocol in words.
#[must_use]
pub fn kind_label(kind: ConnectionKind) -> &'static str {
    match kind {
        ConnectionKind::Anthropic => "Anthropic (Messages)",
        ConnectionKind::OpenAi => "OpenAI-compatible (chat completions)",
        ConnectionKind::Demo => "Demo (a stand-in, no real model)",
    }
}

/// The state of a circuit: what, why, until when.
pub fn breaker(breaker: &Breaker) -> AnyView {
    let (tone, icon, word) = match breaker.state {
        BreakerState::Closed => ("passed", "✓", "Closed"),
        BreakerState::Open => ("failed", "✕", "Open"),
        BreakerState::HalfOpen => ("running", "◐", "Trying"),
        BreakerState::Latched => ("error", "⚠", "Stopped"),
    };
    let until = breaker.until.map(|until| view! { " Next try " {clock(until)} });
    view! {
        {chip(tone, icon, word)}
        <span class="hint">" " {breaker.reason.clone()} {until}</span>
    }
    .into_any()
}

fn table(connections: Vec<Connection>) -> AnyView {
    if connections.is_empty() {
        let action = view! {
            <a class="button primary" href="/settings/connections/new">"Add connection"</a>
        };
        let text = "A connection says how a model is reached: a provider and its key, or a server of your own.";
        return empty("No connections yet", text, action.into_any());
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
                <td>{kind_label(connection.kind)}</td>
                <td class="hint">{connection.base_url}</td>
                <td data-label="Key"><code>{key}</code></td>
                <td data-label="Circuit">{breaker(&connection.breaker)}</td>
            </tr>
        }
    });
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Connections">
            <table class="list">
                <thead><tr>
                    <th scope="col">"Name"</th><th scope="col">"Kind"</th>
                    <th scope="col">"Address"</th><th scope="col">"Key"</th>
                    <th scope="col">"Circuit"</th>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}
