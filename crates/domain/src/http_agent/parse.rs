//! Validation of the part `http` of an agent.

use super::parse_parts::{
    blank_to_none, optional_pointer, optional_request, pointer, poll, request, timeouts, tool_calls,
};
use super::template::Usage;
use super::{
    AgentSession, Begins, HttpAgent, ResponseFormat, ResponseMapping, SessionIdPart,
    SessionIdSource, SessionMode, ToolVisibility,
};
use crate::{DraftReader, limits};

impl HttpAgent {
    /// Reads the part `http` of an agent and reports all of its problems.
    pub(crate) fn read(mut reader: DraftReader<'_>) -> Option<Self> {
        if !reader.is_object() {
            return None;
        }
        let purpose = reader.required_text("purpose", limits::SYSTEM_PROMPT);
        let begins = reader.choice("begins", Begins::ALL, Some(Begins::User));
        let mode = session_mode(&mut reader);
        let (request, usage) = request(reader.object("request"), mode);
        let (session, session_usage) = session(reader.object("session"), mode);
        check_message(&mut reader, &usage, mode);
        check_session_id(&mut reader, &usage, mode, session.as_ref());
        let greets = session.as_ref().is_some_and(|session| session.greeting.is_some());
        if greets && begins == Some(Begins::User) {
            reader.problem("session.greeting", "is read only where the agent begins");
        }
        for (field, used) in session_usage {
            check_conversation_variables(&mut reader, field, &used);
        }
        let tools = reader.choice("tools", ToolVisibility::ALL, Some(ToolVisibility::None));
        let response = response(reader.object("response"), tools);
        let poll = poll(reader.object("poll"));
        if let (Some(_), Some(response)) = (&poll, &response)
            && response.format != ResponseFormat::Json
        {
            reader.problem("poll", "is possible with JSON responses only");
        }
        let timeouts = timeouts(reader.object("timeouts"));
        let idempotent = reader.flag("idempotent", false);
        reader.deny_unknown_fields(&[]);
        let (begins, tools) = (begins?, tools?);
        let (session, response) = (session?, response?);
        Some(Self {
            purpose,
            begins,
            request,
            session,
            response,
            poll,
            tools,
            timeouts,
            idempotent,
        })
    }
}

/// The mode is needed before the other parts of the session are read.
fn session_mode(reader: &mut DraftReader<'_>) -> SessionMode {
    let mode = reader.object("session").choice("mode", SessionMode::ALL, Some(SessionMode::None));
    mode.unwrap_or(SessionMode::None)
}

/// The session, and the variables of its requests by the path of their field.
fn session(
    mut reader: DraftReader<'_>,
    mode: SessionMode,
) -> (Option<AgentSession>, Vec<(&'static str, Usage)>) {
    if !reader.is_object() {
        return (None, Vec::new());
    }
    // Its problems are reported by `session_mode`.
    let _ = reader.value("mode");
    let id = session_id(reader.object("id"), mode);
    let start = optional_request(&mut reader, "start", mode);
    let greeting = optional_pointer(&mut reader, "greeting");
    let end = optional_request(&mut reader, "end", mode);
    if mode != SessionMode::Server && start.is_some() {
        reader.problem("start", "is possible with a session of mode server only");
    }
    if mode == SessionMode::None && end.is_some() {
        reader.problem("end", "needs a session of mode client or server");
    }
    if greeting.is_some() && start.is_none() {
        reader.problem("greeting", "is read from the response to start, which is missing");
    }
    reader.deny_unknown_fields(&[]);
    let mut usages = Vec::new();
    let mut without_usage = |field, part: Option<(super::RequestTemplate, Usage)>| {
        part.map(|(template, usage)| {
            usages.push((field, usage));
            template
        })
    };
    let start = without_usage("session.start.body", start);
    let end = without_usage("session.end.body", end);
    (Some(AgentSession { mode, id, start, greeting, end }), usages)
}

fn session_id(mut reader: DraftReader<'_>, mode: SessionMode) -> Option<SessionIdSource> {
    let from = reader.choice("from", SessionIdPart::ALL, Some(SessionIdPart::Body));
    let at = match from {
        Some(SessionIdPart::Body) => optional_pointer(&mut reader, "at").unwrap_or_default(),
        _ => reader.name("at", limits::NAME, false),
    };
    match mode {
        SessionMode::Server if at.is_empty() => {
            reader.problem("at", "must say where the response contains the session id");
        }
        SessionMode::None | SessionMode::Client if !at.is_empty() => {
            reader.problem("at", "is possible with a session of mode server only");
        }
        _ => {}
    }
    let is_token = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    };
    if from != Some(SessionIdPart::Body) && !is_token(&at) {
        reader.problem("at", "must be the name of a header or cookie");
    }
    reader.deny_unknown_fields(&[]);
    (mode == SessionMode::Server).then_some(SessionIdSource { from: from?, at })
}

/// The agent must hear the user.
fn check_message(reader: &mut DraftReader<'_>, usage: &Usage, mode: SessionMode) {
    let (has_message, has_history) = (usage.uses("message"), usage.uses("messages"));
    if mode == SessionMode::None && !has_history {
        let message = "must contain {{messages}}: without a session, each request has to contain \
                       the whole conversation";
        reader.problem("request.body", message);
    } else if !has_message && !has_history {
        reader.problem("request.body", "must contain {{message}} or {{messages}}");
    }
}

/// The endpoint must learn to which conversation a message belongs.
fn check_session_id(
    reader: &mut DraftReader<'_>,
    usage: &Usage,
    mode: SessionMode,
    session: Option<&AgentSession>,
) {
    let uses = usage.uses("session_id");
    let by_cookie = session
        .and_then(|session| session.id.as_ref())
        .is_some_and(|id| id.from == SessionIdPart::Cookie);
    match mode {
        SessionMode::None if uses => {
            reader.problem("session.mode", "must not be none where {{session_id}} is used");
        }
        SessionMode::Client | SessionMode::Server if !uses && !by_cookie => {
            let message = "must send {{session_id}} in the path, a header or the body";
            reader.problem("request.body", message);
        }
        _ => {}
    }
}

/// Requests that start or end a session contain no messages.
fn check_conversation_variables(reader: &mut DraftReader<'_>, field: &'static str, usage: &Usage) {
    let not_possible = ["message", "messages", "turn"];
    for name in not_possible.iter().filter(|name| usage.uses(name)) {
        reader.problem(field, format!("cannot contain {{{{{name}}}}}, because it has no message"));
    }
    if field.starts_with("session.start") && usage.uses("session_id") {
        reader.problem(field, "cannot contain {{session_id}}, because it makes the session");
    }
}

fn response(mut reader: DraftReader<'_>, tools: Option<ToolVisibility>) -> Option<ResponseMapping> {
    if !reader.is_object() {
        return None;
    }
    let format = reader.choice("format", ResponseFormat::ALL, Some(ResponseFormat::Json));
    let text = pointer(&mut reader, "text");
    let events = blank_to_none(reader.name("events", limits::NAME, false));
    let stop = blank_to_none(reader.name("stop", limits::NAME, false));
    if format == Some(ResponseFormat::Json) {
        for (field, value) in [("events", &events), ("stop", &stop)] {
            if value.is_some() {
                reader.problem(field, "is possible with a streamed response only");
            }
        }
    }
    if format == Some(ResponseFormat::Ndjson) && events.is_some() {
        reader.problem("events", "is possible with server-sent events only");
    }
    let calls = tool_calls(reader.object("tool_calls"));
    match (tools, &calls) {
        (Some(ToolVisibility::InResponse), None) => {
            let message = "must say where the response lists the calls, or tools must be none";
            reader.problem("tool_calls.list", message);
        }
        (Some(ToolVisibility::None), Some(_)) => {
            reader.problem("tool_calls.list", "is read with the tools in_response only");
        }
        _ => {}
    }
    let end = optional_pointer(&mut reader, "end");
    let end_value = blank_to_none(reader.name("end_value", limits::NAME, false));
    if end_value.is_some() && end.is_none() {
        reader.problem("end_value", "needs the pointer end");
    }
    let input_tokens = optional_pointer(&mut reader, "input_tokens");
    let output_tokens = optional_pointer(&mut reader, "output_tokens");
    let error = optional_pointer(&mut reader, "error");
    reader.deny_unknown_fields(&[]);
    Some(ResponseMapping {
        format: format?,
        text,
        events,
        stop,
        tool_calls: calls,
        end,
        end_value,
        input_tokens,
        output_tokens,
        error,
    })
}
