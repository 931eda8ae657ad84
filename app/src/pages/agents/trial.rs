//! The pane of the editor that sends one message to a deployed agent, and shows what came and
//! what the pointers took from it. A click on a value sets a pointer: `page.js` does so at
//! once, and without scripts the button posts the form.

use crate::components::form::Form;
use crate::components::form_data::field_id;
use crate::components::format::duration;
use crate::services::{AgentTrial, TrialDocument, TrialExchange, TrialFinding, TrialValue};
use leptos::prelude::*;

/// The pointers that can be set, with their labels.
pub const POINTER_FIELDS: [(&str, &str); 10] = [
    ("http.response.text", "Text of the agent"),
    ("http.session.id.at", "Session id"),
    ("http.session.greeting", "Greeting"),
    ("http.response.tool_calls.list", "List of calls"),
    ("http.response.end", "End of the conversation"),
    ("http.response.error", "Error"),
    ("http.response.input_tokens", "Input tokens"),
    ("http.response.output_tokens", "Output tokens"),
    ("http.poll.url", "URL to poll"),
    ("http.poll.status", "Status of a poll"),
];

/// The pane. Its buttons post the whole form, so that unsaved input is used and kept.
pub(super) fn pane(form: Form, trial: Option<AgentTrial>) -> AnyView {
    let message = form.draft(|draft| draft.text("trial_message"));
    let held = trial.as_ref().map(|_| {
        let held = form.draft(|draft| draft.text("trial"));
        view! { <input type="hidden" name="trial" value=held/> }
    });
    let problem = move || form.message("trial_message");
    view! {
        <section class="trial" id="trial" aria-labelledby="trial-head" tabindex="-1">
            <h2 id="trial-head">"Try one message"</h2>
            <p class="hint" id="trial-hint">
                "Sends one message with the input above, saved or not, through the connection. The agent may act on it."
            </p>
            <div class="bar">
                <label for="trial_message">"Message"</label>
                <textarea id="trial_message" name="trial_message" rows="2" aria-describedby="trial-hint">{message}</textarea>
                <button type="submit" formaction="/forms/agents/trial">"Send message"</button>
            </div>
            {move || problem().map(|text| view! { <p class="problem">{text}</p> })}
            {held}
            {trial.map(|trial| outcome(form, trial))}
        </section>
    }
    .into_any()
}

fn outcome(form: Form, trial: AgentTrial) -> AnyView {
    let AgentTrial { exchanges, findings, error } = trial;
    let failure = error.map(|error| {
        view! { <div class="errors" role="alert"><h3>{error}</h3></div> }
    });
    let has_values = exchanges.iter().any(|exchange| !exchange.documents.is_empty());
    let shown: Vec<AnyView> = exchanges.into_iter().map(exchange).collect();
    view! {
        {failure}
        {found(findings)}
        {has_values.then(|| target(form))}
        {shown}
    }
    .into_any()
}

fn found(findings: Vec<TrialFinding>) -> AnyView {
    if findings.is_empty() {
        return ().into_any();
    }
    let rows = findings.into_iter().map(|finding| {
        let label = POINTER_FIELDS.iter().find(|(path, _)| *path == finding.field);
        let label = label.map_or("", |(_, label)| *label);
        let found = match finding.found {
            Some(text) => view! { <td class="clip">{text}</td> }.into_any(),
            None => view! { <td class="hint">"nothing found"</td> }.into_any(),
        };
        view! { <tr><th scope="row">{label}</th><td class="mono">{finding.pointer}</td>{found}</tr> }
    });
    view! {
        <table class="list">
            <caption>"What the pointers took from the response"</caption>
            <thead><tr><th scope="col">"Field"</th><th scope="col">"Pointer"</th><th scope="col">"Found"</th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// The choice of the pointer that a click on a value sets. The values of its options are
/// the IDs of the fields for `page.js`, and the paths for the server.
fn target(form: Form) -> AnyView {
    let chosen = form.draft(|draft| draft.text("pointer_target"));
    let options = POINTER_FIELDS.map(|(path, label)| {
        view! { <option value=path selected=path == chosen data-field=field_id(path)>{label}</option> }
    });
    view! {
        <div class="bar">
            <label for="pointer_target">"A click on a value sets the pointer of"</label>
            <select id="pointer_target" name="pointer_target">{options.collect_view()}</select>
            <span role="status" id="pointer_status" class="hint"></span>
        </div>
    }
    .into_any()
}

fn exchange(exchange: TrialExchange) -> AnyView {
    let TrialExchange { title, request, status, headers, latency_ms, documents, text } = exchange;
    let status = match status {
        Some(status) => format!("{status} · {}", duration(u64::from(latency_ms))),
        None => "no response".to_owned(),
    };
    let headers = (!headers.is_empty()).then(|| view! { <pre tabindex="0">{headers}</pre> });
    let text = (!text.is_empty()).then(|| view! { <pre tabindex="0">{text}</pre> });
    let documents: Vec<AnyView> = documents.into_iter().map(document).collect();
    view! {
        <h3>{title} ": " {status}</h3>
        <details class="raw">
            <summary>"Request"</summary>
            <pre tabindex="0">{request}</pre>
        </details>
        {headers}
        {text}
        {documents}
    }
    .into_any()
}

fn document(document: TrialDocument) -> AnyView {
    let TrialDocument { event, values, left_out } = document;
    let heading = (!event.is_empty()).then(|| view! { <h4>"Event " <code>{event}</code></h4> });
    let rest = (left_out > 0).then(|| view! { <p class="hint">{left_out} " more values"</p> });
    let values: Vec<AnyView> = values.into_iter().map(value).collect();
    view! { {heading} <ul class="json">{values}</ul> {rest} }.into_any()
}

fn value(value: TrialValue) -> AnyView {
    let TrialValue { pointer, depth, name, text } = value;
    view! {
        <li data-depth=depth>
            <button type="submit" class="quiet mono" name="pointer" value=pointer.clone() title=pointer
                formaction="/forms/agents/trial/pointer" formnovalidate>
                {name} ": " <span>{text}</span>
            </button>
        </li>
    }
    .into_any()
}
