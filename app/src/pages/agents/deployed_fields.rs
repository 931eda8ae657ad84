//! The fields of an agent that is called over HTTP. The classes `if-…` hide those that the
//! chosen modes do not use, and [`without_hidden_fields`] ignores their input.
//!
//! [`without_hidden_fields`]: crate::domain::http_agent::without_hidden_fields

use crate::components::form::{Control, Field, Form};
use crate::components::form_order::FieldOrder;
use crate::domain::http_agent::{
    Begins, HttpMethod, ResponseFormat, SessionIdPart, SessionMode, ToolVisibility,
};
use crate::server_fns::ConnectionChoice;
use leptos::prelude::*;

/// The fields of the page, from top to bottom.
pub(super) const FIELDS: FieldOrder = &[
    "name",
    "category",
    "description",
    "http.purpose",
    "connection_id",
    "http.begins",
    "http.request.method",
    "http.request.path",
    "http.request.headers",
    "http.request.body",
    "http.session.mode",
    "http.session.id.from",
    "http.session.id.at",
    "http.session.start.method",
    "http.session.start.path",
    "http.session.start.body",
    "http.session.start",
    "http.session.greeting",
    "http.session.end.method",
    "http.session.end.path",
    "http.session.end.body",
    "http.session.end",
    "http.response.format",
    "http.response.text",
    "http.response.events",
    "http.response.stop",
    "http.response.end",
    "http.response.end_value",
    "http.response.error",
    "http.response.input_tokens",
    "http.response.output_tokens",
    "http.tools",
    "http.response.tool_calls.list",
    "http.response.tool_calls.name",
    "http.response.tool_calls.arguments",
    "http.response.tool_calls.result",
    "http.poll.url",
    "http.poll.status",
    "http.poll.done",
    "http.poll.failed",
    "http.poll.interval_ms",
    "http.poll",
    "http.timeouts.first_byte_seconds",
    "http.timeouts.idle_seconds",
    "http.timeouts.total_seconds",
    "http.idempotent",
    "tools.name",
    "tools.description",
    "tools.parameters",
    "trial_message",
];

pub(super) fn fields(form: Form, connections: &[ConnectionChoice]) -> AnyView {
    view! {
        {about(form, connections)}
        {request(form)}
        {session(form)}
        {response(form)}
        {tool_calls(form)}
        {poll_and_limits(form)}
    }
    .into_any()
}

fn input(field: &'static str, label: &'static str) -> Field {
    Field::new(field, label, Control::Input("text"))
}

fn select<T: Copy>(
    field: &'static str,
    label: &'static str,
    all: &[(&str, T)],
    text: fn(T) -> &'static str,
) -> Field {
    let options = all.iter().map(|(word, value)| ((*word).to_owned(), text(*value).to_owned()));
    Field::new(field, label, Control::Select(options.collect()))
}

fn about(form: Form, connections: &[ConnectionChoice]) -> AnyView {
    let mut choices = vec![(String::new(), "Choose a connection".to_owned())];
    choices.extend(connections.iter().map(|c| (c.id.clone(), c.name.clone())));
    let area = Control::TextArea;
    view! {
        <section class="fields" aria-label="About the agent">
            {input("name", "Name").required().show(form)}
            {input("category", "Category")
                .hint("Free text. Scenarios can require a category.").show(form)}
            {Field::new("description", "Description", area(2)).class("wide").show(form)}
            {Field::new("http.purpose", "What this agent is for", area(5)).required().class("wide")
                .hint("The judge reads it in place of a system prompt: what the agent should do, and what it must not do.")
                .show(form)}
            {Field::new("connection_id", "Connection", Control::Select(choices)).required()
                .hint("A connection of kind “HTTP endpoint of a deployed agent”.").show(form)}
            {select("http.begins", "Who speaks first", Begins::ALL, Begins::label).show(form)}
        </section>
        <p class="hint"><a href="/settings/connections/new">"Add a connection"</a></p>
    }
    .into_any()
}

fn request(form: Form) -> AnyView {
    view! {
        <section class="fields" aria-labelledby="request-head">
            <h2 id="request-head" class="wide">"Request"</h2>
            <p class="hint wide">"Variables: {{message}}, {{messages}}, {{session_id}}, {{run_id}}, {{call_id}}, {{turn}}, {{facts}}, {{scenario}}. They stand inside of quotes in the body; {{messages}} and {{facts}} become lists."</p>
            {select("http.request.method", "Method", HttpMethod::ALL, HttpMethod::label).show(form)}
            {input("http.request.path", "Path").class("mono")
                .hint("Appended to the base URL of the connection.").show(form)}
            {Field::new("http.request.headers", "Headers", Control::TextArea(2)).class("wide mono")
                .hint("One per line, as Name: value. Secrets belong to the connection.").show(form)}
            {Field::new("http.request.body", "Body", Control::TextArea(8)).class("wide mono")
                .hint("JSON.").show(form)}
        </section>
    }
    .into_any()
}

fn session(form: Form) -> AnyView {
    view! {
        <section class="fields" aria-labelledby="session-head">
            <h2 id="session-head" class="wide">"Session"</h2>
            {select("http.session.mode", "Session", SessionMode::ALL, SessionMode::label)
                .class("wide").show(form)}
            {select("http.session.id.from", "Session id is in the", SessionIdPart::ALL, SessionIdPart::label)
                .class("if-server-session").show(form)}
            {input("http.session.id.at", "Session id at").class("mono if-server-session")
                .hint("A JSON Pointer such as /id, or the name of the header or cookie.").show(form)}
            {select("http.session.start.method", "Method of the start", HttpMethod::ALL, HttpMethod::label)
                .class("if-server-session").show(form)}
            {input("http.session.start.path", "Path of the start").class("mono if-server-session")
                .hint("Leave path and body empty if the first reply contains the session id.").show(form)}
            {Field::new("http.session.start.body", "Body of the start", Control::TextArea(3))
                .class("wide mono if-server-session").show(form)}
            {input("http.session.greeting", "Greeting at").class("mono if-greeting")
                .hint("Where the response to the start contains the first words of the agent.").show(form)}
            {select("http.session.end.method", "Method of the end", HttpMethod::ALL, HttpMethod::label)
                .class("if-session").show(form)}
            {input("http.session.end.path", "Path of the end").class("mono if-session").show(form)}
            {Field::new("http.session.end.body", "Body of the end", Control::TextArea(3))
                .class("wide mono if-session").show(form)}
        </section>
    }
    .into_any()
}

fn response(form: Form) -> AnyView {
    let pointer = |field, label| input(field, label).class("mono");
    view! {
        <section class="fields" aria-labelledby="response-head">
            <h2 id="response-head" class="wide">"Response"</h2>
            <p class="hint wide">"JSON Pointers such as /reply or /messages/-1/content; -1 is the last entry of a list, * every entry, *[role=agent] every entry that matches."</p>
            {select("http.response.format", "Format", ResponseFormat::ALL, ResponseFormat::label)
                .show(form)}
            {pointer("http.response.text", "Text of the agent at").required().show(form)}
            {input("http.response.events", "Events with text").class("mono if-sse")
                .hint("Types of events, separated by commas. All if empty.").show(form)}
            {input("http.response.stop", "Last event").class("mono if-stream")
                .hint("The data or the type of the last event, such as [DONE].").show(form)}
            {pointer("http.response.end", "End of the conversation at").show(form)}
            {pointer("http.response.end_value", "Value that ends it").hint("true if empty.").show(form)}
            {pointer("http.response.error", "Error at").show(form)}
            {pointer("http.response.input_tokens", "Input tokens at").show(form)}
            {pointer("http.response.output_tokens", "Output tokens at").show(form)}
        </section>
    }
    .into_any()
}

fn tool_calls(form: Form) -> AnyView {
    let pointer = |field, label| input(field, label).class("mono if-tools");
    view! {
        <section class="fields" aria-labelledby="calls-head">
            <h2 id="calls-head" class="wide">"Tool calls"</h2>
            {select("http.tools", "Tool calls are", ToolVisibility::ALL, ToolVisibility::label)
                .show(form)}
            {pointer("http.response.tool_calls.list", "List of calls at").show(form)}
            {pointer("http.response.tool_calls.name", "Name at")
                .hint("These pointers begin at one call.").show(form)}
            {pointer("http.response.tool_calls.arguments", "Arguments at").show(form)}
            {pointer("http.response.tool_calls.result", "Result at").show(form)}
        </section>
    }
    .into_any()
}

fn poll_and_limits(form: Form) -> AnyView {
    let pointer = |field, label| input(field, label).class("mono");
    let number = |field, label| Field::new(field, label, Control::Number);
    view! {
        <section class="fields if-json" aria-labelledby="poll-head">
            <h2 id="poll-head" class="wide">"Replies that come later"</h2>
            {pointer("http.poll.url", "URL to poll at")
                .hint("If empty, the Location header.").show(form)}
            {pointer("http.poll.status", "Status at").show(form)}
            {pointer("http.poll.done", "Statuses with the reply")
                .hint("Separated by commas.").show(form)}
            {pointer("http.poll.failed", "Statuses of a failure").show(form)}
            {number("http.poll.interval_ms", "Interval (ms)").hint("1000 if empty.").show(form)}
        </section>
        <section class="fields" aria-labelledby="limits-head">
            <h2 id="limits-head" class="wide">"Time limits and retries"</h2>
            {number("http.timeouts.first_byte_seconds", "Response begins within (s)")
                .hint("60 if empty.").show(form)}
            {number("http.timeouts.idle_seconds", "Max pause in a response (s)")
                .hint("30 if empty.").show(form)}
            {number("http.timeouts.total_seconds", "Reply complete within (s)")
                .hint("120 if empty.").show(form)}
            {Field::new("http.idempotent", "The endpoint executes requests with the same Idempotency-Key only once", Control::Checkbox)
                .class("wide")
                .hint("Only then a message is sent again after an unknown outcome.").show(form)}
        </section>
    }
    .into_any()
}
