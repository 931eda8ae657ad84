//! Editor and test of a connection.

use super::connections::breaker_status;
use super::tabs;
use crate::components::chip::chip;
use crate::components::form::{Control, Field, Form, delete_button, options, version_field};
use crate::components::format::duration;
use crate::components::page_data::{load, notice, query_param, route_param, when_loaded};
use crate::components::title::heading;
use crate::components::unsaved::with_kept_input;
use crate::domain::{
    BreakerState, Connection, ConnectionKind, ConnectionSpec, ConnectionTest, Draft, Problems,
};
use crate::server_fns::ConnectionQuery;
use crate::server_fns::settings::ConnectionData;
use crate::services::SavedForm;
use leptos::prelude::*;
use serde_json::json;

/// ID of the form that every button of the page submits.
const FORM: &str = "connection";

/// The editor of a connection; without an ID in the path, of a new one.
#[component]
pub fn ConnectionPage() -> impl IntoView {
    let (id, saved_form, tested) = (route_param("id"), query_param("draft"), query_param("tested"));
    let data = load(move || ConnectionQuery {
        id: id.get(),
        saved_form: saved_form.get(),
        tested: tested.get(),
    });
    view! { {notice()} {tabs("connections")} {when_loaded(data, show)} }
}

fn check(draft: &Draft) -> Problems {
    ConnectionSpec::parse(draft).err().unwrap_or_default()
}

fn show(data: ConnectionData) -> AnyView {
    let ConnectionData { connection, rejected, tested, model } = data;
    match connection {
        Some(connection) if connection.server_wide => view! {
            {heading(connection.name.clone())}
            <p>"This connection comes from the server’s environment. You can use it but not edit it."</p>
            <p>{connection.kind.label()}</p>
            <form method="post" action=test_url(&connection) id=FORM></form>
            {status_panel(&connection)}
            {test_panel(&connection, tested, model)}
        }
        .into_any(),
        Some(connection) => {
            let draft = stored(&connection);
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
            let key = match (&connection.key_last4, connection.has_key) {
                (Some(last), _) => format!("A key that ends in {last} is stored. Leave empty to keep it. Another kind or base URL needs the key again."),
                (None, true) => "A key is stored. Leave empty to keep it. Another kind or base URL needs the key again.".to_owned(),
                (None, false) => "No key is stored.".to_owned(),
            };
            let remove = connection.has_key.then(|| {
                Field::new("remove_key", "Remove the stored key", Control::Checkbox).show(form)
            });
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
                {status_panel(&connection)}
                {test_panel(&connection, tested, model)}
                {editor(form, action, key, version, remove, None)}
            }
            .into_any()
        }
        None => with_kept_input(move |kept| new_connection(kept, rejected.clone())),
    }
}

/// The editor of a new connection. `kept` is the input from before a reload.
fn new_connection(kept: Option<SavedForm>, rejected: Option<SavedForm>) -> AnyView {
    let is_kept = kept.is_some();
    let draft = Draft(json!({"kind": "anthropic"}));
    let form = Form::new(draft, kept.or(rejected), check);
    let key = "Stored encrypted and never shown again. A local server may not need one.".to_owned();
    view! {
        {heading("New connection")}
        {editor(form, "/forms/connections".to_owned(), key, ().into_any(), None, Some(is_kept))}
    }
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
            "Your runs end with this error. Calls resume when you save a change here, when a test succeeds, or when a probe succeeds: every five minutes, the next call of a run is the probe."
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

fn stored(connection: &Connection) -> Draft {
    let headers: Vec<_> =
        connection.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Draft(json!({
        "name": connection.name, "kind": connection.kind, "base_url": connection.base_url,
        "headers": headers.join("\n"),
    }))
}

/// The editor. `is_kept` is set for a new connection: whether it shows input from before a
/// reload.
fn editor(
    form: Form,
    action: String,
    key: String,
    version: AnyView,
    remove: Option<AnyView>,
    is_kept: Option<bool>,
) -> AnyView {
    let keep = is_kept.map(|_| "");
    let unsaved = is_kept.unwrap_or(false).then_some("");
    view! {
        <form method="post" action=action novalidate class="editor" id=FORM
            data-keep=keep data-unsaved=unsaved
            on:submit=move |event| form.on_submit(&event)
            on:input=move |event| form.on_input(&event)>
            {form.summary()}
            {version}
            <section class="fields" aria-label="Connection settings">
                {Field::new("name", "Name", Control::Input("text")).required().show(form)}
                {Field::new("kind", "Kind", options(ConnectionKind::ALL, ConnectionKind::label))
                    .required().show(form)}
                {Field::new("base_url", "Base URL", Control::Input("text")).class("wide")
                    .hint("Leave empty for the provider’s default. Otherwise as in its SDK, for example http://localhost:11434/v1.")
                    .show(form)}
                {Field::new("api_key", "API key", Control::Input("password")).class("wide")
                    .autocomplete("off").value(String::new()).show(form)}
                <p class="hint wide">{key}</p>
                {remove}
                {Field::new("headers", "Extra headers", Control::TextArea(3)).class("wide mono")
                    .hint("One per line, as Name: value. Values of secret headers are stored encrypted and shown as ••••••••.")
                    .show(form)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Save connection"</button></div>
        </form>
    }
    .into_any()
}

fn test_url(connection: &Connection) -> String {
    format!("/forms/connections/{}/test", connection.id)
}

/// The connection test. Its button submits the whole form, so that unsaved values
/// are tested and kept.
fn test_panel(connection: &Connection, tested: Option<ConnectionTest>, model: String) -> AnyView {
    let action = test_url(connection);
    let outcome = tested.map(|tested| {
        let result = if tested.ok {
            chip("passed", "✓", "Connection OK")
        } else {
            chip("failed", "✕", "Connection failed")
        };
        // The message of a success contains the time.
        let took = (!tested.ok && tested.latency_ms > 0).then(|| {
            view! { <span class="hint">" " {duration(u64::from(tested.latency_ms))}</span> }
        });
        let raw =
            |text: String| (!text.is_empty()).then(|| view! { <pre tabindex="0">{text}</pre> });
        let sent = (!tested.request.is_empty()).then(|| {
            view! {
                <details class="raw" open>
                    <summary>"Request and response"</summary>
                    {raw(tested.request)}
                    {raw(tested.answer)}
                </details>
            }
        });
        view! { <div role="status"><p>{result} " " {tested.message} {took}</p> {sent}</div> }
    });
    view! {
        <section class="panel" aria-labelledby="test-head">
            <h2 id="test-head">"Test"</h2>
            <div class="bar">
                <label for="test-model">"Model"</label>
                <input type="text" id="test-model" name="model" form=FORM autocomplete="off"
                    placeholder="default: an agent’s model" value=model/>
                <button type="submit" form=FORM formaction=action>"Test connection"</button>
            </div>
            {outcome}
        </section>
    }
    .into_any()
}
