//! Validation of requests, pointers and smaller parts.

use super::pointer::Pointer;
use super::template::Usage;
use super::{
    AgentTimeouts, HttpMethod, PollMapping, RequestTemplate, SessionMode, ToolCallMapping,
};
use crate::connection_headers::{is_reserved_header, read_header_pairs};
use crate::draft::check_storable;
use crate::{DraftReader, is_secret_header, limits};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn blank_to_none(text: String) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A pointer that may be missing.
pub(super) fn optional_pointer(
    reader: &mut DraftReader<'_>,
    field: &'static str,
) -> Option<String> {
    let text = blank_to_none(reader.name(field, limits::NAME, false))?;
    if let Err(problem) = Pointer::parse(&text) {
        reader.problem(field, problem);
    }
    Some(text)
}

/// A pointer that must not be missing.
pub(super) fn pointer(reader: &mut DraftReader<'_>, field: &'static str) -> String {
    optional_pointer(reader, field).unwrap_or_else(|| {
        reader.problem(field, "must be a JSON Pointer such as /reply");
        String::new()
    })
}

/// The request that sends a message, and its variables.
pub(super) fn request(mut reader: DraftReader<'_>, mode: SessionMode) -> (RequestTemplate, Usage) {
    let mut usage = Usage::default();
    let method = reader.choice("method", HttpMethod::ALL, Some(HttpMethod::Post));
    let path = path(&mut reader, &mut usage);
    let headers = headers(&mut reader, &mut usage);
    let body = body(&mut reader, &mut usage);
    let method = method.unwrap_or_default();
    if method == HttpMethod::Get && body.is_some() {
        reader.problem("body", "is not possible with the method GET");
    }
    if mode == SessionMode::None && method == HttpMethod::Get {
        reader.problem("method", "must allow a body, because it has to contain {{messages}}");
    }
    reader.deny_unknown_fields(&[]);
    (RequestTemplate { method, path, headers, body }, usage)
}

/// A request that is optional: it exists if it has a path or a body.
pub(super) fn optional_request(
    reader: &mut DraftReader<'_>,
    field: &'static str,
    mode: SessionMode,
) -> Option<(RequestTemplate, Usage)> {
    let has_content = |part: &Value| match part {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    };
    let given = reader.value(field)?;
    let exists = given.as_object().is_none_or(|parts| {
        ["path", "body"].iter().any(|part| parts.get(*part).is_some_and(has_content))
    });
    // A session that is not none allows every method.
    let mode = if mode == SessionMode::None { SessionMode::Client } else { mode };
    let parsed = request(reader.object(field), mode);
    exists.then_some(parsed)
}

fn path(reader: &mut DraftReader<'_>, usage: &mut Usage) -> String {
    let path = reader.name("path", 2000, false);
    if !path.is_empty() && !path.starts_with('/') && !path.starts_with('?') {
        reader.problem("path", "must begin with / or ?, because it follows the base URL");
    }
    let outside_variables = path.replace("{{ ", "{{").replace(" }}", "}}");
    if outside_variables.contains(char::is_whitespace) || path.contains('#') {
        reader.problem("path", "must not contain spaces or #");
    }
    let first = usage.problems.len();
    usage.add_text(&path, "", false);
    for problem in usage.problems.split_off(first) {
        reader.problem("path", problem);
    }
    path
}

fn headers(reader: &mut DraftReader<'_>, usage: &mut Usage) -> BTreeMap<String, String> {
    let pairs = read_header_pairs(reader);
    for (name, value) in &pairs {
        if is_reserved_header(name) {
            reader.problem("headers", format!("{name} is set by Rehearsal"));
        } else if is_secret_header(name, value) && !value.contains("{{") {
            let message = format!("{name} may be a secret; enter it in the connection");
            reader.problem("headers", message);
            continue;
        }
        if value.chars().any(|c| c.is_control() || !c.is_ascii()) || value.len() > 4096 {
            let message = "must be ASCII text on one line, at most 4096 bytes";
            reader.problem("headers", format!("{name} {message}"));
        }
        let first = usage.problems.len();
        usage.add_text(value, &format!("{name}: "), false);
        for problem in usage.problems.split_off(first) {
            reader.problem("headers", problem);
        }
    }
    pairs.into_iter().collect()
}

/// A JSON value, or JSON text from a form.
fn body(reader: &mut DraftReader<'_>, usage: &mut Usage) -> Option<Value> {
    let given = reader.value("body")?;
    let body = match given {
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => match serde_json::from_str(text) {
            Ok(body) => body,
            Err(error) => {
                let hint = "variables stand inside of quotes";
                reader.problem("body", format!("must be JSON: {error}; {hint}"));
                return None;
            }
        },
        other => other.clone(),
    };
    if body.to_string().len() > limits::SYSTEM_PROMPT {
        let max = limits::SYSTEM_PROMPT;
        reader.problem("body", format!("must be at most {max} bytes"));
    }
    if let Err(problem) = check_storable(&body) {
        reader.problem("body", problem);
        return None;
    }
    let first = usage.problems.len();
    usage.add_json(&body, "");
    for problem in usage.problems.split_off(first) {
        reader.problem("body", problem);
    }
    Some(body)
}

pub(super) fn tool_calls(mut reader: DraftReader<'_>) -> Option<ToolCallMapping> {
    let list = optional_pointer(&mut reader, "list");
    let name = optional_pointer(&mut reader, "name");
    let arguments = optional_pointer(&mut reader, "arguments");
    let result = optional_pointer(&mut reader, "result");
    let given = [&list, &name, &arguments, &result].iter().any(|part| part.is_some());
    if given {
        for (field, part) in [("list", &list), ("name", &name)] {
            if part.is_none() {
                reader.problem(field, "must be a JSON Pointer such as /name");
            }
        }
    }
    reader.deny_unknown_fields(&[]);
    given.then(|| ToolCallMapping {
        list: list.unwrap_or_default(),
        name: name.unwrap_or_default(),
        arguments,
        result,
    })
}

pub(super) fn poll(mut reader: DraftReader<'_>) -> Option<PollMapping> {
    let url = optional_pointer(&mut reader, "url");
    let status = optional_pointer(&mut reader, "status");
    let done = blank_to_none(reader.name("done", limits::NAME, false));
    let failed = blank_to_none(reader.name("failed", limits::NAME, false));
    let interval_ms = reader.integer("interval_ms", 1000, 100, 60_000);
    let given = [&url, &status, &done, &failed].iter().any(|part| part.is_some());
    if given && status.is_none() {
        reader.problem("status", "must be a JSON Pointer such as /status");
    }
    if given && done.is_none() {
        reader.problem("done", "must list the statuses that contain the reply");
    }
    reader.deny_unknown_fields(&[]);
    given.then(|| PollMapping {
        url,
        status: status.unwrap_or_default(),
        done: done.unwrap_or_default(),
        failed,
        interval_ms,
    })
}

pub(super) fn timeouts(mut reader: DraftReader<'_>) -> AgentTimeouts {
    let timeouts = AgentTimeouts {
        first_byte_seconds: reader.integer("first_byte_seconds", 60, 1, 600),
        idle_seconds: reader.integer("idle_seconds", 30, 1, 600),
        total_seconds: reader.integer("total_seconds", 120, 1, 600),
    };
    reader.deny_unknown_fields(&[]);
    timeouts
}
