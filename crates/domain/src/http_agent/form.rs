//! Input of forms. A form shows the fields that the chosen modes need; the others keep
//! their input in the page and are ignored.

use super::{Begins, ResponseFormat, SessionMode, ToolVisibility};
use crate::Draft;
use serde_json::Value;

/// Fields that belong to the page and not to an agent.
const PAGE_FIELDS: [&str; 4] = ["trial", "trial_message", "pointer", "pointer_target"];

/// The modes that decide which fields a form shows.
struct Modes {
    session: SessionMode,
    begins: Begins,
    format: ResponseFormat,
    tools: ToolVisibility,
}

/// A path below `http`, and whether the modes hide it.
type Rule = (&'static [&'static str], fn(&Modes) -> bool);

const HIDDEN: [Rule; 8] = [
    (&["session", "id"], |modes| modes.session != SessionMode::Server),
    (&["session", "start"], |modes| modes.session != SessionMode::Server),
    (&["session", "greeting"], |modes| {
        modes.session != SessionMode::Server || modes.begins == Begins::User
    }),
    (&["session", "end"], |modes| modes.session == SessionMode::None),
    (&["response", "events"], |modes| modes.format != ResponseFormat::Sse),
    (&["response", "stop"], |modes| modes.format == ResponseFormat::Json),
    (&["response", "tool_calls"], |modes| modes.tools != ToolVisibility::InResponse),
    (&["poll"], |modes| modes.format != ResponseFormat::Json),
];

/// The input without the fields that the form of a deployed agent hides, and without those
/// of its page that are no part of an agent.
#[must_use]
pub fn without_hidden_fields(draft: &Draft) -> Draft {
    let mut draft = draft.clone();
    let word = |path| draft.text(path).trim().to_owned();
    let modes = Modes {
        session: SessionMode::parse(&word("http.session.mode")).unwrap_or(SessionMode::None),
        begins: Begins::parse(&word("http.begins")).unwrap_or(Begins::User),
        format: ResponseFormat::parse(&word("http.response.format"))
            .unwrap_or(ResponseFormat::Json),
        tools: ToolVisibility::parse(&word("http.tools")).unwrap_or(ToolVisibility::None),
    };
    let Some(fields) = draft.0.as_object_mut() else { return draft };
    for field in PAGE_FIELDS {
        fields.remove(field);
    }
    if let Some(http) = fields.get_mut("http") {
        for (path, is_hidden) in HIDDEN {
            if is_hidden(&modes) {
                remove(http, path);
            }
        }
    }
    draft
}

fn remove(value: &mut Value, path: &[&str]) {
    match path {
        [] => {}
        [last] => {
            value.as_object_mut().map(|fields| fields.remove(*last));
        }
        [first, rest @ ..] => {
            if let Some(inner) = value.get_mut(*first) {
                remove(inner, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_hidden_fields;
    use crate::{AgentSpec, Draft};
    use rstest::rstest;
    use serde_json::{Value, json};

    /// A form in which every field is filled in.
    fn form(modes: [&str; 4]) -> Draft {
        let [session, begins, format, tools] = modes;
        Draft(json!({
            "name": "A", "connection_id": "018f2f1e-0000-7000-8000-000000000001",
            "trial_message": "Hello",
            "http": {
                "purpose": "Helps.", "begins": begins, "tools": tools,
                "request": {"body": "{\"m\": \"{{messages}}\", \"s\": \"{{session_id}}\"}"},
                "session": {"mode": session, "id": {"from": "body", "at": "/id"},
                    "start": {"path": "/start"}, "greeting": "/hello", "end": {"path": "/end"}},
                "response": {"format": format, "text": "/t", "events": "message", "stop": "[DONE]",
                    "tool_calls": {"list": "/calls", "name": "/name"}},
                "poll": {"status": "/s", "done": "ready"},
            },
        }))
    }

    #[rstest]
    #[case(["client", "user", "json", "none"], &["session.end", "poll"])]
    #[case(["server", "user", "json", "none"], &["session.id", "session.start", "session.end", "poll"])]
    #[case(["server", "agent", "json", "in_response"], &["session.id", "session.start", "session.greeting", "session.end", "response.tool_calls", "poll"])]
    #[case(["client", "user", "sse", "none"], &["session.end", "response.events", "response.stop"])]
    #[case(["client", "user", "ndjson", "none"], &["session.end", "response.stop"])]
    fn input_of_hidden_fields_is_no_problem(#[case] modes: [&str; 4], #[case] kept: &[&str]) {
        let form = form(modes);
        assert!(AgentSpec::parse(&form).is_err(), "without the rules there are problems");
        let pruned = without_hidden_fields(&form);
        let spec = AgentSpec::parse(&pruned).unwrap_or_else(|found| panic!("{found:?}"));
        let all = [
            "session.id",
            "session.start",
            "session.greeting",
            "session.end",
            "response.events",
            "response.stop",
            "response.tool_calls",
            "poll",
        ];
        let stored = Draft(serde_json::to_value(spec.http).expect("JSON"));
        for field in all {
            let is_stored = stored.at(field).is_some_and(|value| !value.is_null());
            assert_eq!(is_stored, kept.contains(&field), "{field}");
        }
    }

    #[test]
    fn other_input_is_unchanged() {
        for draft in
            [json!({"name": "A"}), json!({"http": "text"}), json!({"http": {"x": 1}}), Value::Null]
        {
            assert_eq!(without_hidden_fields(&Draft(draft.clone())).0, draft);
        }
    }
}
