//! YAML and JSON documents with agents, scenarios and test profiles.

use crate::errors::reject_if_any;
use domain::error::{AppError, ErrorCode};
use domain::{Draft, Problem, Problems, limits};
use serde_json::Value;

/// The maximum number of documents of one import.
const MAX_DOCUMENTS: usize = 1000;

/// Fields that only scenarios have.
const SCENARIO_FIELDS: [&str; 4] = ["conversation_flow", "goal", "mode", "expected_behaviors"];

/// The entries of a text.
pub(super) struct Entries {
    pub(super) values: Vec<Value>,
    /// Whether the paths of entries begin with an index.
    pub(super) is_list: bool,
}

/// The entries of a JSON text: an object or a list.
///
/// # Errors
/// 400 with line and column.
pub(super) fn json(text: &str) -> Result<Entries, AppError> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| malformed(format!("This is not JSON: {error}.")))?;
    let is_list = value.is_array();
    Ok(Entries { values: entries(value), is_list })
}

/// The entries of a YAML text: the object or the list of each document.
///
/// # Errors
/// 400 with line and column; also if aliases would expand beyond the limit.
pub(super) fn yaml(text: &str) -> Result<Entries, AppError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_documents: MAX_DOCUMENTS,
            max_nodes: 250_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_total_scalar_bytes: 2 * limits::BODY,
        },
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| unreadable(&error))?;
    let is_list = documents.len() > 1 || documents.iter().any(Value::is_array);
    Ok(Entries { values: documents.into_iter().flat_map(entries).collect(), is_list })
}

/// The error in a YAML text, in our words and with the position: the messages of
/// the library address programmers.
fn unreadable(error: &serde_saphyr::Error) -> AppError {
    let position = error.location().filter(|at| at.line() > 0);
    let position = position.map(|at| format!(" at line {} column {}", at.line(), at.column()));
    let what = reason(error.without_snippet());
    malformed(format!("This is not YAML that can be read: {what}{}.", position.unwrap_or_default()))
}

fn reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("{key} is given twice"),
        Error::DuplicateMappingKey { .. } => "a key is given twice".to_owned(),
        Error::UnknownAnchor { .. } => "an alias names an anchor that is not there".to_owned(),
        Error::Eof { .. } => "it ends too early".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "it is too large, nested too deeply, or grows by aliases beyond the limit".to_owned()
        }
        Error::AliasError { error, .. } => reason(error.without_snippet()),
        // A syntax error of the parser, with its context.
        Error::ExternalMessage { msg, .. } => msg.trim_end_matches('.').to_owned(),
        _ => "something in it is not well-formed".to_owned(),
    }
}

fn entries(value: Value) -> Vec<Value> {
    match value {
        Value::Array(entries) => entries,
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

/// Adds a missing `kind`, based on the fields: only agents have a prompt, only scenarios a
/// conversation flow, only test profiles variables.
///
/// # Errors
/// 422 with the path of every entry that is neither.
pub(super) fn with_kinds(entries: Vec<Draft>) -> Result<Vec<Draft>, AppError> {
    let mut problems = Problems::new();
    if entries.len() > MAX_DOCUMENTS {
        let message = format!("must be at most {MAX_DOCUMENTS}, are {}", entries.len());
        problems.push(Problem::new("documents", message));
    }
    let mut drafts = Vec::with_capacity(entries.len());
    for (i, Draft(mut entry)) in entries.into_iter().enumerate() {
        let Value::Object(fields) = &mut entry else {
            let message = "must be an object: an agent, a scenario or a test profile";
            problems.push(Problem::new(format!("documents[{i}]"), message));
            continue;
        };
        let has_any = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
        let kind = match fields.get("kind") {
            Some(kind) => {
                kind.as_str().filter(|kind| ["agent", "scenario", "profile"].contains(kind))
            }
            None if has_any(&["system_prompt", "http"]) => Some("agent"),
            None if has_any(&SCENARIO_FIELDS) => Some("scenario"),
            None if has_any(&["variables"]) => Some("profile"),
            None => None,
        };
        if let Some(kind) = kind.map(Value::from) {
            fields.insert("kind".to_owned(), kind);
            drafts.push(Draft(entry));
        } else {
            let message = "must be agent, scenario or profile, because the entry is in none of the \
                           formats that can be converted (Retell, Vapi, τ²-bench)";
            problems.push(Problem::new(format!("documents[{i}].kind"), message));
        }
    }
    reject_if_any(problems).map(|()| drafts)
}

fn malformed(sentence: String) -> AppError {
    AppError::new(ErrorCode::Malformed, sentence)
}
