//! Editor and test of a connection.

use super::connection_fields::{KeyField, field_order, fields, new_draft, stored_draft};
use super::connection_test::test_panel;
use super::connections::breaker_status;
use super::tabs;
use crate::components::form::{Form, delete_button, version_field};
use crate::components::page_data::{
    load, notice, query_param, route_param, saved_form_param, when_loaded,
};
use crate::components::title::heading;
use crate::components::unsaved::with_kept_input;
use crate::domain::{
    BreakerState, Connection, ConnectionPreset, ConnectionSpec, Draft, KeyUse, Problem, Problems,
};
use crate::server_fns::ConnectionQuery;
use crate::server_fns::settings::ConnectionData;
use crate::services::SavedForm;
use leptos::prelude::*;

/// ID of the form that every button of the page submits.
const FORM: &str = "connection";

/// The editor of a connection; without an ID in the path, of a new one.
#[component]
pub fn ConnectionPage() -> impl IntoView {
    let (id, saved_form, tested) = (route_param("id"), saved_form_param(), query_param("tested"));
    let preset = query_param("preset");
    let data = load(move || ConnectionQuery {
        id: id.get(),
        preset: preset.get(),
        saved_form: saved_form.get(),
        tested: tested.get(),
    });
    view! { {notice()} {tabs("connections")} {when_loaded(data, show)} }
}

fn check(draft: &Draft) -> Problems {
    ConnectionSpec::parse(draft).err().unwrap_or_default()
}

fn show(data: ConnectionData) -> AnyView {
    let ConnectionData { connection, preset, rejected, tested, model } = data;
    match connection {
        Some(connection) if connection.server_wide => view! {
            {heading(connection.name.clone())}
            <p>"This connection comes from the server’s environment. You can use it but not edit it."</p>
            <p>{connection.kind.label()}</p>
            <form method="post" action=test_url(&connection) id=FORM></form>
            {prices_link(&connection)}
            {status_panel(&connection)}
            {test_panel(&connection, test_url(&connection), FORM, tested, model)}
        }
        .into_any(),
        Some(connection) => {
            let draft = stored_draft(&connection);
            let action = format!("/forms/connections/{}", connection.id);
            let version = version_field(
                "based_on",
                rejected.as_ref().map(|rejected| rejected.draft.text("based_on")),
                connection.updated_at.0.to_string(),
                format!("/settings/connections/{}", connection.id),
                "Save my version anyway".to_owned(),
                String::new(),
            );
            let form = Form::new(draft, rejected, check);
            let key = stored_key(&connection);
            let delete = format!("/forms/connections/{}/delete", connection.id);
            let hint = "First switch the agents that use it to another connection.";
            view! {
                <div class="page-head">
                    {heading(connection.name.clone())}
                    <div class="actions">{delete_button(delete, "Delete this connection", hint)}</div>
                </div>
                // Enter activates the first button of a form.
                <button type="submit" form=FORM class="default-submit" tabindex="-1"
                    aria-hidden="true">"Save"</button>
                {prices_link(&connection)}
                {status_panel(&connection)}
                {test_panel(&connection, test_url(&connection), FORM, tested, model)}
                {editor(form, action, preset, &key, version, None)}
            }
            .into_any()
        }
        None => with_kept_input(move |kept| new_connection(preset, kept, rejected.clone())),
    }
}

fn prices_link(connection: &Connection) -> AnyView {
    let href = format!("/settings/connections/{}/prices", connection.id);
    view! { <p><a href=href>"Prices of its models"</a></p> }.into_any()
}

/// The key of a stored connection.
fn stored_key(connection: &Connection) -> KeyField {
    let secret = connection.auth.scheme.secret_name();
    let moved = "Another kind, base URL or token URL needs the key again.";
    let hint = match (&connection.key_last4, connection.has_key) {
        (Some(last), _) => {
            format!("A {secret} that ends in {last} is stored. Leave empty to keep it. {moved}")
        }
        (None, true) => format!("A {secret} is stored. Leave empty to keep it. {moved}"),
        (None, false) => format!("No {secret} is stored."),
    };
    let facts = connection.preset.map(ConnectionPreset::facts);
    let is_required = connection.auth.scheme.requires_secret()
        || facts.is_some_and(|facts| facts.key == KeyUse::Required);
    KeyField { hint, is_removable: connection.has_key && !is_required }
}

/// The editor of a new connection. `kept` is the input from before a reload.
fn new_connection(
    preset: Option<ConnectionPreset>,
    kept: Option<SavedForm>,
    rejected: Option<SavedForm>,
) -> AnyView {
    let is_kept = kept.is_some();
    let form = Form::new(new_draft(preset), kept.or(rejected), check_new);
    let when = match preset.map(|preset| preset.facts().key) {
        Some(KeyUse::Required) => "",
        Some(_) => " Leave empty unless the server was started with a key.",
        None => {
            " It is the password of Basic, and the client secret of OAuth. A local server may not need one."
        }
    };
    let hint = format!("Stored encrypted and never shown again.{when}");
    let key = KeyField { hint, is_removable: false };
    let action = "/forms/connections".to_owned();
    view! {
        {heading("New connection")}
        {preset_links(preset)}
        {editor(form, action, preset, &key, ().into_any(), Some(is_kept))}
    }
    .into_any()
}

/// Validates a new connection. Unlike a stored one, it has no key yet.
fn check_new(draft: &Draft) -> Problems {
    match ConnectionSpec::parse(draft) {
        Err(problems) => problems,
        Ok(spec) if spec.api_key.is_some() => Problems::new(),
        Ok(spec) => {
            let missing = spec.missing_secret().map(|missing| Problem::new("api_key", missing));
            missing.into_iter().collect()
        }
    }
}

/// Links to the form of each preset.
fn preset_links(selected: Option<ConnectionPreset>) -> AnyView {
    const NEW: &str = "/settings/connections/new";
    let presets = ConnectionPreset::ALL
        .iter()
        .map(|(word, preset)| (format!("{NEW}?preset={word}"), preset.label(), Some(*preset)));
    let all = presets.chain([(NEW.to_owned(), "Other", None)]);
    let links = all.map(|(href, label, preset)| {
        let current = (preset == selected).then_some("page");
        view! { <li><a href=href class="button" aria-current=current>{label}</a></li> }
    });
    view! { <nav class="presets" aria-label="Providers"><ul>{links.collect_view()}</ul></nav> }
        .into_any()
}

/// Status of the circuit breaker and, unless it is closed, a button to retry.
fn status_panel(connection: &Connection) -> AnyView {
    let action = test_url(connection);
    let closed = connection.breaker.state == BreakerState::Closed;
    let explanation = match connection.breaker.state {
        BreakerState::Closed => "",
        BreakerState::Open | BreakerState::HalfOpen => {
            "Your runs wait until the provider recovers. Rehearsal retries automatically; one successful call can be enough."
        }
        BreakerState::Suspended => {
            "Runs that have begun end with this error, the others wait. Calls resume when you save a change here, when a test succeeds, or when a probe succeeds: every five minutes, the next call of a run is the probe."
        }
    };
    let retry = (!closed).then(|| {
        view! {
            <p class="hint">{explanation}</p>
            <button type="submit" form=FORM formaction=action class="primary">"Retry now"</button>
        }
    });
    view! {
        <div class="panel circuit">
            <p>"Status: " {breaker_status(&connection.breaker)}</p>
            {retry}
        </div>
    }
    .into_any()
}

/// The editor. `is_kept` is set for a new connection: whether it shows input from before a
/// reload.
fn editor(
    form: Form,
    action: String,
    preset: Option<ConnectionPreset>,
    key: &KeyField,
    version: AnyView,
    is_kept: Option<bool>,
) -> AnyView {
    let form = form.in_order(field_order(preset));
    let keep = is_kept.map(|_| "");
    let unsaved = is_kept.unwrap_or(false).then_some("");
    view! {
        <form method="post" action=action novalidate class="editor" id=FORM
            data-keep=keep data-unsaved=unsaved
            on:submit=move |event| form.on_submit(&event)
            on:input=move |event| form.on_input(&event)>
            {version}
            {fields(form, preset, key)}
            <div class="save-bar"><button type="submit" class="primary">"Save connection"</button></div>
        </form>
    }
    .into_any()
}

fn test_url(connection: &Connection) -> String {
    format!("/forms/connections/{}/test", connection.id)
}
