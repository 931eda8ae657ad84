//! The test of a connection and its result.

use crate::components::chip::chip;
use crate::components::format::duration;
use crate::components::model_names::{MODEL_NAMES, model_names};
use crate::domain::{CapabilityStatus, CapabilityTest, Connection, ConnectionTest};
use leptos::prelude::*;

/// The connection test. Its button submits the whole form with the ID `form` to `action`,
/// so that unsaved values are tested and kept.
pub(super) fn test_panel(
    connection: &Connection,
    action: String,
    form: &'static str,
    tested: Option<ConnectionTest>,
    model: String,
) -> AnyView {
    // The models of a test of unsaved values are not stored.
    let listed = tested.as_ref().map(|tested| &tested.models).filter(|models| !models.is_empty());
    let listed = listed.unwrap_or(&connection.models);
    let suggestions =
        model_names(listed.iter().map(|model| (connection.name.as_str(), model.as_str())));
    view! {
        <section class="panel" aria-labelledby="test-head">
            <h2 id="test-head">"Test"</h2>
            <div class="bar">
                <label for="test-model">"Model"</label>
                <input type="text" id="test-model" name="model" form=form autocomplete="off"
                    list=MODEL_NAMES placeholder="default: an agent’s model" value=model/>
                <button type="submit" form=form formaction=action>"Test connection"</button>
            </div>
            {suggestions}
            {tested.map(outcome)}
        </section>
    }
    .into_any()
}

fn outcome(tested: ConnectionTest) -> AnyView {
    let result = if tested.ok {
        chip("passed", "✓", "Connection OK")
    } else {
        chip("failed", "✕", "Connection failed")
    };
    // The message of a success contains the time.
    let took = (!tested.ok && tested.latency_ms > 0).then(|| {
        view! { <span class="hint">" " {duration(u64::from(tested.latency_ms))}</span> }
    });
    let exchange = exchange("Request and response", true, tested.request, tested.answer);
    // The first capability is the plain reply, which is shown above.
    let others = tested.capabilities.into_iter().skip(1).map(capability);
    view! {
        <div role="status">
            <p>{result} " " {tested.message} {took}</p>
            {exchange}
            {others.collect_view()}
            {models(tested.models)}
        </div>
    }
    .into_any()
}

fn capability(test: CapabilityTest) -> AnyView {
    let (tone, icon) = match test.status {
        CapabilityStatus::Passed => ("passed", "✓"),
        CapabilityStatus::Failed => ("failed", "✕"),
        CapabilityStatus::NotTested => ("inconclusive", "?"),
    };
    let label = test.capability.label();
    let exchange = exchange(label, false, test.request, test.answer);
    view! {
        <p><strong>{label}</strong> ": " {chip(tone, icon, test.status.label())} " " {test.message}</p>
        {exchange}
    }
    .into_any()
}

/// Request and response, if a request was sent.
fn exchange(title: &'static str, is_open: bool, request: String, answer: String) -> AnyView {
    if request.is_empty() {
        return ().into_any();
    }
    let raw = |text: String| (!text.is_empty()).then(|| view! { <pre tabindex="0">{text}</pre> });
    let summary = if is_open { title.to_owned() } else { format!("{title}: request and response") };
    view! {
        <details class="raw" open=is_open>
            <summary>{summary}</summary>
            {raw(request)}
            {raw(answer)}
        </details>
    }
    .into_any()
}

fn models(models: Vec<String>) -> AnyView {
    if models.is_empty() {
        return ().into_any();
    }
    let count = match models.len() {
        1 => "1 model is available".to_owned(),
        count => format!("{count} models are available"),
    };
    view! {
        <details class="raw">
            <summary>{count}</summary>
            <pre tabindex="0">{models.join("\n")}</pre>
        </details>
    }
    .into_any()
}
