//! The editor of a connection, and its test.

use super::connections::{breaker, kind_label};
use super::tabs;
use crate::components::chip::chip;
use crate::components::form::{Control, Field, Form, delete_button, options, version};
use crate::components::load::{ask, loaded, notice};
use crate::components::title::heading;
use crate::components::words::duration;
use crate::domain::{
    BreakerState, Connection, ConnectionKind, ConnectionSpec, ConnectionTest, Draft, Problems,
};
use crate::server_fns::{ConnectionQuery};
use crate::server_fns::settings::ConnectionData;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use serde_json::json;

/// The id of the form that every button of the page sends.
const FORM: &str = "connection";

/// The editor of a connection that is there.
#[component]
pub fn ConnectionPage() -> impl IntoView {
    let params = use_params_map();
    page(Signal::derive(move || params.with(|params| params.get("id"))))
}

/// The editor of a new one.
#[component]
pub fn NewConnectionPage() -> impl IntoView {
    page(Signal::stored(None))
}

fn page(id: Signal<Option<String>>) -> AnyView {
    let query = use_query_map();
    let data = ask(move || {
        let (draft, tested) = query.with(|query| (query.get("draft"), query.get("tested")));
        ConnectionQuery { id: id.get(), draft, tested }
    });
    view! { {notice()} {tabs("connections")} {loaded(data, show)} }.into_any()
}

fn check(draft: &Draft) -> Problems {
    ConnectionSpec::parse(draft).err().unwrap_or_default()
}

fn show(data: ConnectionData) -> AnyView {
    let ConnectionData { connection, rejected, tested: found, model } = data;
    match connection {
        Some(connection) if connection.server_wide => view! {
            {heading(connection.name.clone())}
            <p>"This server offers it from its environment: it is used, not edited."</p>
            <p>{kind_label(connection.kind)}</p>
            <form method="post" action=test_of(&connection) id=FORM></form>
            {circuit(&connection)}
            {test(&connection, found, model)}
        }
        .into_any(),
        Some(connection) => {
            let draft = stored(&connection);
            let action = format!("/forms/connections/{}", connection.id);
            let version = version(
                "based_on",
                rejected.as_ref().map(|rejected| rejected.draft.text("based_on")),
                connection.updated_at.0.to_string(),
                format!("/settings/connections/{}", connection.id),
                "Save mine all the same".to_owned(),
                String::new(),
            );
            let form = Form::new(draft, rejected, check);
            let key = match (&connection.key_last4, connection.has_key) {
                (Some(last), _) => format!("Stored, ends in {last}. Leave empty to keep it."),
                (None, true) => "Stored. Leave empty to keep it.".to_owned(),
                (None, false) => "None is stored.".to_owned(),
            };
            let remove = connection.has_key.then(|| {
                Field::new("remove_key", "Remove the stored key", Control::Tick).show(form)
            });
            let delete = format!("/forms/connections/{}/delete", connection.id);
            let hint = "Agents that use it must be given another one first.";
            view! {
                <div class="page-head">
                    {heading(connection.name.clone())}
                    <div class="actions">{delete_button(delete, "Delete this connection", hint)}</div>
                </div>
                // The first button of a form is what Enter presses.
                <button type="submit" form=FORM class="default-submit" tabindex="-1"
                    aria-hidden="true">"Save"</button>
                {circuit(&connection)}
                {test(&connection, found, model)}
                {editor(form, action, key, version, remove)}
            }
            .into_any()
        }
        None => {
            let draft = Draft(json!({"kind": "anthropic"}));
            let form = Form::new(draft, rejected, check);
            let key = "Kept encrypted, never shown again. A local server may need none.".to_owned();
            view! {
                {heading("New connection")}
                {editor(form, "/forms/connections".to_owned(), key, ().into_any(), None)}
            }
            .into_any()
        }
    }
}

/// The circuit: whether calls go through, and if not, why, until when, and a
/// button that tries now.
fn circuit(connection: &Connection) -> AnyView {
    let action = test_of(connection);
    let closed = connection.breaker.state == BreakerState::Closed;
    let sentence = match connection.breaker.state {
        BreakerState::Closed => "",
        BreakerState::Open | BreakerState::HalfOpen => {
            "Your runs wait for it. It tries by itself; one answer may be enough."
        }
        BreakerState::Latched => {
            "Your runs end with this error. It opens again when you save a change here, when a test succeeds, or by itself when a call in five minutes does."
        }
    };
    let now = (!closed).then(|| {
        view! {
            <p class="hint">{sentence}</p>
            <button type="submit" form=FORM formaction=action class="primary">"Try now"</button>
        }
    });
    view! {
        <div class="panel circuit">
            <p>"Circuit: " {breaker(&connection.breaker)}</p>
            {now}
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

fn editor(
    form: Form,
    action: String,
    key: String,
    version: AnyView,
    remove: Option<AnyView>,
) -> AnyView {
    view! {
        <form method="post" action=action novalidate class="editor" id=FORM
            on:submit=move |event| form.submitted(&event)
            on:input=move |event| form.corrected(&event)>
            {form.summary()}
            {version}
            <section class="fields" aria-label="How the model is reached">
                {Field::new("name", "Name", Control::Line("text")).required().show(form)}
                {Field::new("kind", "Kind", options(&ConnectionKind::ALL, kind_label))
                    .required().show(form)}
                {Field::new("base_url", "Base URL", Control::Line("text")).class("wide")
                    .hint("Empty: the provider’s own. As its SDK takes it, say http://localhost:11434/v1.")
                    .show(form)}
                {Field::new("api_key", "Key", Control::Line("password")).class("wide")
                    .autocomplete("off").value(String::new()).show(form)}
                <p class="hint wide">{key}</p>
                {remove}
                {Field::new("headers", "Extra headers", Control::Area(3)).class("wide mono")
                    .hint("One a line, Name: value.").show(form)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Save connection"</button></div>
        </form>
    }
    .into_any()
}

/// Where a test is asked for.
fn test_of(connection: &Connection) -> String {
    format!("/forms/connections/{}/test", connection.id)
}

/// The test: its button sends the whole form, so that what is typed there is
/// what is tested, and nothing of it is lost.
fn test(connection: &Connection, found: Option<ConnectionTest>, model: String) -> AnyView {
    let action = test_of(connection);
    let result = found.map(|found| {
        let answer = if found.ok {
            chip("passed", "✓", "It answers")
        } else {
            chip("failed", "✕", "It does not work")
        };
        // A success says itself how long it took.
        let took = (!found.ok && found.latency_ms > 0).then(|| {
            view! { <span class="hint">" " {duration(u64::from(found.latency_ms))}</span> }
        });
        let raw =
            |text: String| (!text.is_empty()).then(|| view! { <pre tabindex="0">{text}</pre> });
        let sent = (!found.request.is_empty()).then(|| {
            view! {
                <details class="raw" open>
                    <summary>"Request and answer"</summary>
                    {raw(found.request)}
                    {raw(found.answer)}
                </details>
            }
        });
        view! { <div role="status"><p>{answer} " " {found.message} {took}</p> {sent}</div> }
    });
    view! {
        <section class="panel" aria-labelledby="test-head">
            <h2 id="test-head">"Test"</h2>
            <div class="bar">
                <label for="test-model">"Model"</label>
                <input type="text" id="test-model" name="model" form=FORM autocomplete="off"
                    placeholder="that of an agent" value=model/>
                <button type="submit" form=FORM formaction=action>"Test connection"</button>
            </div>
            {result}
        </section>
    }
    .into_any()
}
