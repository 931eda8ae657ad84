//! The seam between the stand-in and the questions that are put to models:
//! which role is asked for, and what the question holds. Roles are known by
//! the form that the answer must have, not by its name.

use super::super::types::{ChatRequest, Message};
use app::domain::{ItemKind, Speaker};
use serde_json::{Map, Value, json};

/// What a request asks for.
pub(super) enum Asked {
    /// The agent's next turn.
    Agent,
    /// A judgement.
    Judge { question: Question, schema: Value },
    /// The next turn of a simulated user.
    User { role: Role, schema: Value },
    /// Anything else in a form: the made-up result of a tool.
    Form { schema: Value },
}

/// What is to be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// Index, kind and words of each item.
    pub(super) items: Vec<(u32, ItemKind, String)>,
    /// Number, speaker and words of each turn.
    pub(super) transcript: Vec<(u32, Speaker, String)>,
    /// Calls of tools: number of the turn, `name(arguments)`.
    pub(super) calls: Vec<(u32, String)>,
}

/// Who is to be played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// What they want.
    pub(super) goal: String,
    /// What they know.
    pub(super) facts: Vec<String>,
}

/// Reads a request.
pub(super) fn read(request: &ChatRequest) -> Asked {
    let Some(output) = &request.output else { return Asked::Agent };
    let schema = output.schema.clone();
    let asks_for = |name: &str| schema["properties"].get(name).is_some();
    if asks_for("items") {
        // A repair repeats the question and adds messages behind it.
        let first = request.messages.iter().find_map(|message| match message {
            Message::User(text) => Some(text.as_str()),
            _ => None,
        });
        return Asked::Judge { question: question(first.unwrap_or_default()), schema };
    }
    if asks_for("message") && asks_for("done") {
        return Asked::User { role: role(&request.system), schema };
    }
    Asked::Form { schema }
}

/// The judge's question: sections `# ITEMS` and `# TRANSCRIPT`, entries
/// labelled `[3] AGENT` with their text on lines that begin with `| `.
fn question(text: &str) -> Question {
    let mut read = Question::default();
    for (label, text) in section(text, "ITEMS") {
        let Some((index, rest)) = numbered(label) else { continue };
        let kind = match rest {
            rest if rest.starts_with("failure") => ItemKind::FailureCondition,
            rest if rest.starts_with("criterion") => ItemKind::Criterion,
            _ => ItemKind::Behavior,
        };
        read.items.push((index, kind, text));
    }
    for (label, text) in section(text, "TRANSCRIPT") {
        match numbered(label) {
            Some((turn, "AGENT CALLS")) => read.calls.push((turn, text)),
            Some((turn, "AGENT")) => read.transcript.push((turn, Speaker::Agent, text)),
            Some((turn, "USER")) => read.transcript.push((turn, Speaker::User, text)),
            Some((turn, _)) => read.transcript.push((turn, Speaker::Tool, text)),
            None => {}
        }
    }
    read
}

/// The simulated user's role: sections `# GOAL` and `# FACTS` of its system
/// prompt.
fn role(system: &str) -> Role {
    let goal = section(system, "GOAL").into_iter().next().map(|(_, text)| text);
    let facts = section(system, "FACTS").into_iter().map(|(_, text)| text);
    Role { goal: goal.unwrap_or_default(), facts: facts.collect() }
}

fn section<'a>(prompt: &'a str, title: &str) -> Vec<(&'a str, String)> {
    let mut lines = prompt.split('\n').skip_while(|line| line.strip_prefix("# ") != Some(title));
    lines.next();
    let mut entries: Vec<(&str, Option<String>)> = Vec::new();
    for line in lines.take_while(|line| !line.starts_with("# ")) {
        match (line.strip_prefix("| "), entries.last_mut()) {
            (Some(data), Some((_, Some(text)))) => {
                text.push('\n');
                text.push_str(data);
            }
            (Some(data), Some((_, empty))) => *empty = Some(data.to_owned()),
            (Some(data), None) => entries.push(("", Some(data.to_owned()))),
            (None, _) if line.is_empty() => {}
            (None, _) => entries.push((line, None)),
        }
    }
    entries.into_iter().filter_map(|(label, text)| Some((label, text?))).collect()
}

/// `[3] AGENT` → 3 and `AGENT`.
fn numbered(label: &str) -> Option<(u32, &str)> {
    let (number, rest) = label.strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, rest.trim()))
}

/// An answer with exactly the fields of a schema: what the schema does not
/// know is left out, what it wants besides is the least that fits.
pub(super) fn fit(answer: Value, schema: &Value) -> Value {
    match (answer, schema["properties"].as_object()) {
        (Value::Object(mut given), Some(fields)) => {
            let fitted = fields.iter().map(|(name, schema)| {
                let value =
                    given.remove(name).map_or_else(|| least(name, schema), |v| fit(v, schema));
                (name.clone(), value)
            });
            Value::Object(fitted.collect::<Map<_, _>>())
        }
        (Value::Array(items), _) => {
            items.into_iter().map(|item| fit(item, &schema["items"])).collect()
        }
        (answer, _) => answer,
    }
}

/// The least that fits a schema, plausible by its name.
pub(super) fn least(name: &str, schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => fit(json!({}), schema),
        Some("array") => json!([]),
        Some("integer") => json!(1),
        Some("number") => json!(1.0),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!(super::tools::plausible(name)),
    }
}
