//! Rendering of request templates. Variables are substituted inside of parsed JSON, so no
//! value can change the structure of a body.

use domain::http_agent::{HttpAgent, RequestTemplate, SessionIdPart, SessionMode, split_template};
use domain::template::Part;
use domain::url::percent_encode;
use domain::variables::Variables;
use domain::{RunId, ScenarioSpec, Speaker, Turn};
use llm_types::{HttpCall, HttpCallKind, RenderedRequest};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the variables of a request stand for.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub scenario: &'a ScenarioSpec,
    /// The variables of the test profile, and date and time.
    pub variables: &'a Variables,
    pub transcript: &'a [Turn],
    /// Empty before the endpoint returned one.
    pub session_id: &'a str,
    pub run_id: RunId,
    /// The id of the call, which stays the same when the call is repeated.
    pub call_id: &'a str,
}

/// The request that sends the newest message of the user; without one, if the agent
/// begins, an empty message.
#[must_use]
pub fn message_request(agent: &Arc<HttpAgent>, context: &Context<'_>) -> HttpCall {
    let answered = context.transcript.iter().any(|turn| turn.speaker == Speaker::Agent);
    let session_is_known = answered && agent.session.mode != SessionMode::None;
    let call = call(agent, HttpCallKind::Message, &agent.request, context);
    HttpCall { session_is_known, ..call }
}

/// The request that starts a session; `None` if the agent needs none.
#[must_use]
pub fn start_request(agent: &Arc<HttpAgent>, context: &Context<'_>) -> Option<HttpCall> {
    let template = agent.session.start.as_ref().filter(|_| agent.starts_session())?;
    Some(call(agent, HttpCallKind::Start, template, context))
}

/// The request that ends the session; `None` if the agent has none, or no session began.
#[must_use]
pub fn end_request(agent: &Arc<HttpAgent>, context: &Context<'_>) -> Option<HttpCall> {
    let template = agent.session.end.as_ref().filter(|_| !context.session_id.is_empty())?;
    Some(call(agent, HttpCallKind::End, template, context))
}

fn call(
    agent: &Arc<HttpAgent>,
    kind: HttpCallKind,
    template: &RequestTemplate,
    context: &Context<'_>,
) -> HttpCall {
    let mut headers: Vec<(String, String)> = template
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), header_value(&substitute(value, context))))
        .collect();
    let cookie = agent.session.id.as_ref().filter(|id| id.from == SessionIdPart::Cookie);
    if let Some(id) = cookie
        && !context.session_id.is_empty()
    {
        headers.push(("cookie".to_owned(), format!("{}={}", id.at, context.session_id)));
    }
    HttpCall {
        agent: agent.clone(),
        kind,
        request: RenderedRequest {
            method: template.method,
            path: path(&template.path, context),
            headers,
            body: template.body.as_ref().map(|body| json_value(body, context)),
        },
        idempotency_key: context.call_id.to_owned(),
        has_session: !context.session_id.is_empty(),
        session_is_known: false,
        traceparent: traceparent(&context.run_id.to_string(), context.call_id),
        log: None,
    }
}

/// A path with percent-encoded values, so that no value adds a segment or parameter.
fn path(template: &str, context: &Context<'_>) -> String {
    parts(template, &|name| percent_encode(&text_of(&variable(name, context))).replace('/', "%2F"))
}

fn substitute(template: &str, context: &Context<'_>) -> String {
    parts(template, &|name| text_of(&variable(name, context)))
}

/// Joins the parts of a template. The parser has refused templates that cannot be split.
fn parts(template: &str, variable: &dyn Fn(&str) -> String) -> String {
    let parts = split_template(template).unwrap_or_else(|_| vec![Part::Text(template)]);
    parts
        .into_iter()
        .map(|part| match part {
            Part::Text(text) | Part::Invalid(text) => text.to_owned(),
            Part::Variable(name) => variable(name),
        })
        .collect()
}

/// Replaces what a header cannot contain.
fn header_value(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

fn json_value(template: &Value, context: &Context<'_>) -> Value {
    match template {
        Value::String(text) => match split_template(text).as_deref() {
            // A variable by itself keeps its type.
            Ok([Part::Variable(name)]) => variable(name, context),
            _ => Value::String(substitute(text, context)),
        },
        Value::Array(list) => list.iter().map(|entry| json_value(entry, context)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, entry)| (key.clone(), json_value(entry, context))).collect()
        }
        plain => plain.clone(),
    }
}

fn variable(name: &str, context: &Context<'_>) -> Value {
    let users = || context.transcript.iter().filter(|turn| turn.speaker == Speaker::User);
    match name {
        "message" => users().next_back().map_or("", |turn| turn.message.as_str()).into(),
        "messages" => messages(context.transcript),
        "session_id" => context.session_id.into(),
        "run_id" => context.run_id.to_string().into(),
        "call_id" => context.call_id.into(),
        "turn" => users().count().into(),
        "facts" => context.scenario.known_facts.clone().into(),
        "scenario" => context.scenario.name.clone().into(),
        name => context.variables.get(name).map_or(Value::Null, Value::from),
    }
}

/// The conversation so far in the form that most chat endpoints take. Tool calls are the
/// agent's own business.
fn messages(transcript: &[Turn]) -> Value {
    let message = |turn: &Turn| {
        let role = match turn.speaker {
            Speaker::User => "user",
            Speaker::Agent if !turn.message.is_empty() => "assistant",
            Speaker::Agent | Speaker::Tool => return None,
        };
        Some(json!({"role": role, "content": turn.message}))
    };
    transcript.iter().filter_map(message).collect()
}

/// A value as a part of a text.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(list) => list.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// The trace of a run and the span of a call (W3C Trace Context): both ids are UUIDs.
/// Empty if they are not.
fn traceparent(run_id: &str, call_id: &str) -> String {
    let hex = |id: &str| id.replace('-', "");
    let (trace, span) = (hex(run_id), hex(call_id));
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id(&trace) && is_id(&span) {
        format!("00-{trace}-{}-01", &span[16..])
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{agent, scenario, turns};

    fn rendered(changes: Value) -> RenderedRequest {
        let agent = Arc::new(agent(&changes));
        let transcript =
            turns(&[("user", "Hi \"you\"\n}"), ("agent", "Hello?"), ("user", "a/b&c")]);
        let scenario = scenario();
        let mut variables = Variables::new(None);
        variables.set("customer.name", "Lena {{message}} \"/".to_owned());
        let context = Context {
            scenario: &scenario,
            variables: &variables,
            transcript: &transcript,
            session_id: "s/1",
            run_id: "018f2f1e-0000-7000-8000-000000000001".parse().expect("an id"),
            call_id: "018f2f1e-0000-7000-8000-000000000002",
        };
        message_request(&agent, &context).request
    }

    #[test]
    fn variables_are_substituted_inside_of_json() {
        let body = json!({"m": "{{message}}", "all": "{{messages}}", "n": "{{turn}}", "f": "{{facts}}",
            "text": "{{turn}}: {{message}} ({{facts}})", "nested": [{"{{message}}": "{{run_id}}"}]});
        let request = rendered(json!({"request": {"body": body}}));
        let expected = json!({"m": "a/b&c", "n": 2,
            "all": [{"role": "user", "content": "Hi \"you\"\n}"},
                {"role": "assistant", "content": "Hello?"}, {"role": "user", "content": "a/b&c"}],
            "f": ["Born 1990", "Lives in Bonn"],
            "text": "2: a/b&c (Born 1990\nLives in Bonn)",
            "nested": [{"{{message}}": "018f2f1e-0000-7000-8000-000000000001"}]});
        assert_eq!(request.body, Some(expected));
    }

    #[test]
    fn values_in_paths_are_encoded_and_in_headers_cleaned() {
        let request = rendered(json!({
            "session": {"mode": "client"},
            "request": {"path": "/s/{{session_id}}?q={{message}}", "headers": {"X-Said": "{{facts}}"}},
        }));
        assert_eq!(request.path, "/s/s%2F1?q=a%2Fb%26c");
        assert_eq!(request.headers, [("X-Said".to_owned(), "Born 1990?Lives in Bonn".to_owned())]);
    }

    #[test]
    fn variables_of_the_profile_are_substituted_once() {
        let body =
            json!({"m": "{{messages}}", "n": "{{customer.name}}", "e": "\\{{customer.name}}"});
        let request = rendered(json!({"request": {"path": "/{{customer.name}}", "body": body}}));
        let body = request.body.expect("a body");
        assert_eq!(
            (&body["n"], &body["e"]),
            (&json!("Lena {{message}} \"/"), &json!("{{customer.name}}"))
        );
        assert_eq!(request.path, "/Lena%20%7B%7Bmessage%7D%7D%20%22%2F");
    }

    #[test]
    fn cookie_is_sent_back() {
        let request = rendered(json!({
            "session": {"mode": "server", "id": {"from": "cookie", "at": "sid"}},
        }));
        assert_eq!(request.headers, [("cookie".to_owned(), "sid=s/1".to_owned())]);
    }

    #[test]
    fn trace_has_the_ids_of_run_and_call() {
        let (run, call) =
            ("018f2f1e-0000-7000-8000-000000000001", "018f2f1e-0000-7000-8000-00000000000a");
        let expected = "00-018f2f1e000070008000000000000001-800000000000000a-01";
        assert_eq!(traceparent(run, call), expected);
        assert_eq!(traceparent("", call), "");
    }
}
