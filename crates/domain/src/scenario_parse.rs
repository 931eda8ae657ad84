//! Validation of scenario drafts.

use super::draft::check_storable;
use super::problem::Problems;
use super::scenario::{
    Behavior, Category, Difficulty, EvidenceRule, FlowTurn, Mode, OnUnmocked, Persona,
    ScenarioSpec, SuccessCriteria, ToolMock,
};
use super::text::is_blank;
use super::text_to_find::{TextMatch, TextToFind};
use super::tool_name::{MAX_TOOL_NAME, TOOL_NAME_RULE, is_tool_name, read_tool_name};
use super::{Draft, DraftReader, Speaker, limits};
use serde_json::{Map, Value};

/// Read-only response fields that a request may send back.
const READ_ONLY_FIELDS: [&str; 7] =
    ["id", "revision", "slug", "is_built_in", "updated_at", "idempotency_key", "kind"];

/// Where a draft comes from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    User,
    /// An earlier version of Rehearsal may have saved it, with fewer checks.
    Store,
}

impl ScenarioSpec {
    /// Validates the draft.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(|reader| Self::read(reader, Origin::User))
    }

    /// Parses a stored scenario. Unlike [`Self::parse`], this accepts impossible tool
    /// names and results with broken JSON, which were once valid: a scenario that could
    /// be run stays runnable, and its editor shows the problems.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse_stored(draft: &Draft) -> Result<Self, Problems> {
        draft.parse(|reader| Self::read(reader, Origin::Store))
    }

    fn read(mut r: DraftReader<'_>, origin: Origin) -> Option<Self> {
        let name = r.name("name", limits::NAME, true);
        let description = r.text("description", limits::MESSAGE);
        let category = r.choice("category", Category::ALL, None);
        let difficulty = r.choice("difficulty", Difficulty::ALL, Some(Difficulty::Medium));
        let tags = tags(&mut r);
        let persona = persona(&mut r);
        let is_active = r.flag("is_active", true);
        let mode = r.choice("mode", Mode::ALL, Some(Mode::Scripted));
        let max_turns = r.integer("max_turns", 20, 1, 200);
        let timeout_seconds = r.integer("timeout_seconds", 300, 10, 3600);
        let (conversation_flow, has_invalid) = flow(&mut r, mode);
        let goal = r.text("goal", limits::MESSAGE);
        let known_facts = r.texts("known_facts", limits::ENTRIES);
        let opening = r.text("opening_line", limits::MESSAGE);
        conversation(&mut r, mode, (&conversation_flow, has_invalid), &goal, max_turns);
        let expected_behaviors = behaviors(&mut r);
        let failure_conditions = r.texts("failure_conditions", limits::ENTRIES);
        let success_criteria = criteria(&mut r);
        let required_tools = r.texts("required_tools", limits::ENTRIES);
        let agent_category = r.name("agent_category", limits::AGENT_CATEGORY, false);
        let tool_mocks = mocks(&mut r, origin);
        let on_unmocked = r.choice("on_unmocked", OnUnmocked::ALL, Some(OnUnmocked::Error));
        if origin == Origin::User {
            let must_call = &success_criteria.must_call_tools;
            tool_names(&mut r, "success_criteria.must_call_tools", must_call);
            tool_names(&mut r, "required_tools", &required_tools);
        }
        r.deny_unknown_fields(&READ_ONLY_FIELDS);
        Some(Self {
            name,
            description,
            category: category?,
            difficulty: difficulty?,
            tags,
            persona,
            is_active,
            mode: mode?,
            conversation_flow,
            goal,
            known_facts,
            opening_line: (!is_blank(&opening)).then_some(opening),
            expected_behaviors,
            failure_conditions,
            success_criteria,
            required_tools,
            agent_category: (!is_blank(&agent_category)).then_some(agent_category),
            tool_mocks,
            on_unmocked: on_unmocked?,
            max_turns,
            timeout_seconds,
        })
    }
}

/// Tags as a list, or as text separated by commas or line breaks.
fn tags(r: &mut DraftReader<'_>) -> Vec<String> {
    let mut tags = match r.value("tags") {
        Some(Value::String(text)) => {
            text.split([',', '\n']).map(|t| t.trim().to_owned()).filter(|t| !is_blank(t)).collect()
        }
        _ => r.texts("tags", limits::ENTRIES),
    };
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    // The reader has already reported lists that are too long.
    if tags.len() > limits::ENTRIES && matches!(r.value("tags"), Some(Value::String(_))) {
        r.problem("tags", format!("must have at most {} entries", limits::ENTRIES));
    }
    if tags.iter().any(|tag| tag.chars().count() > 50 || tag.chars().any(char::is_control)) {
        r.problem("tags", "must each be one line of at most 50 characters");
    }
    tags
}

fn persona(r: &mut DraftReader<'_>) -> Persona {
    let mut p = r.object("persona");
    let persona = Persona {
        name: p.name("name", limits::NAME, false),
        mood: p.text("mood", limits::MESSAGE),
        communication_style: p.text("communication_style", limits::MESSAGE),
        background: p.text("background", limits::MESSAGE),
    };
    p.deny_unknown_fields(&[]);
    persona
}

/// Returns the valid turns and whether any turn was invalid. A simulated conversation has
/// no script, so turns without a message are ignored there: the editor sends the hidden
/// script too.
fn flow(r: &mut DraftReader<'_>, mode: Option<Mode>) -> (Vec<FlowTurn>, bool) {
    let (mut turns, mut has_invalid) = (Vec::new(), false);
    for (path, value) in r.list("conversation_flow", limits::TURNS) {
        let mut t = r.entry(path, value);
        if !t.is_object() {
            has_invalid = true;
            continue;
        }
        let speakers = [("user", Speaker::User), ("agent", Speaker::Agent)];
        let speaker = t.choice("speaker", &speakers, None);
        let message = match mode {
            Some(Mode::Simulated) => t.text("message", limits::MESSAGE),
            Some(Mode::Scripted) | None => t.required_text("message", limits::MESSAGE),
        };
        t.deny_unknown_fields(&[]);
        match speaker {
            Some(_) if mode == Some(Mode::Simulated) && is_blank(&message) => {}
            Some(speaker) => turns.push(FlowTurn { speaker, message }),
            None => has_invalid = true,
        }
    }
    (turns, has_invalid)
}

/// Checks what the mode requires of script and goal.
fn conversation(
    r: &mut DraftReader<'_>,
    mode: Option<Mode>,
    (flow, has_invalid): (&[FlowTurn], bool),
    goal: &str,
    max_turns: u32,
) {
    match mode {
        Some(Mode::Scripted) => {
            let users = flow.iter().filter(|turn| turn.speaker == Speaker::User).count();
            // An invalid turn may be a user turn.
            if users == 0 && !has_invalid {
                r.problem("conversation_flow", "must contain at least one user turn");
            }
            if u32::try_from(users).unwrap_or(u32::MAX) > max_turns {
                let message = format!("has {users} user turns, more than max_turns ({max_turns})");
                r.problem("conversation_flow", message);
            }
        }
        Some(Mode::Simulated) if is_blank(goal) => {
            r.problem("goal", "must not be empty: the simulated user pursues this goal");
        }
        _ => {}
    }
}

fn behaviors(r: &mut DraftReader<'_>) -> Vec<Behavior> {
    let required = |text| Behavior { text, required: true, evidence: EvidenceRule::Optional };
    // Text from a form contains one behavior per line.
    if let Some(Value::String(_)) = r.value("expected_behaviors") {
        let texts = r.texts("expected_behaviors", limits::ENTRIES);
        return texts.into_iter().map(required).collect();
    }
    let mut behaviors = Vec::new();
    for (path, value) in r.list("expected_behaviors", limits::ENTRIES) {
        // A plain string is a required behavior (short form).
        if value.is_string() {
            behaviors.extend(r.entry_text(path, value).map(required));
            continue;
        }
        let mut b = r.entry(path, value);
        if !b.is_object() {
            continue;
        }
        let text = b.required_text("text", limits::MESSAGE);
        let required = b.flag("required", true);
        let evidence = b.choice("evidence", EvidenceRule::ALL, Some(EvidenceRule::Optional));
        b.deny_unknown_fields(&[]);
        let evidence = evidence.unwrap_or(EvidenceRule::Optional);
        behaviors.push(Behavior { text, required, evidence });
    }
    behaviors
}

fn criteria(r: &mut DraftReader<'_>) -> SuccessCriteria {
    let mut c = r.object("success_criteria");
    let criteria = SuccessCriteria {
        min_score: c.integer("min_score", 70, 0, 100),
        must_include: text_items(&mut c, "must_include", TextMatch::DEFAULT_OF_MUST_INCLUDE),
        must_not_include: text_items(
            &mut c,
            "must_not_include",
            TextMatch::DEFAULT_OF_MUST_NOT_INCLUDE,
        ),
        must_call_tools: c.texts("must_call_tools", limits::ENTRIES),
        max_response_seconds: c.optional_number("max_response_seconds", 0.1, 3600.0),
        criteria: c.texts("criteria", limits::ENTRIES),
    };
    c.deny_unknown_fields(&[]);
    criteria
}

/// Texts, or texts with a way of matching. An item with the default way is stored as its
/// text alone, as are all items of older scenarios.
fn text_items(r: &mut DraftReader<'_>, field: &'static str, default: TextMatch) -> Vec<TextToFind> {
    if let Some(Value::String(_)) = r.value(field) {
        return r.texts(field, limits::ENTRIES).into_iter().map(TextToFind::Text).collect();
    }
    let mut items = Vec::new();
    for (path, value) in r.list(field, limits::ENTRIES) {
        if !value.is_object() {
            items.extend(r.entry_text(path, value).map(TextToFind::Text));
            continue;
        }
        let mut item = r.entry(path, value);
        let text = item.required_text("text", limits::MESSAGE).trim().to_owned();
        let matching = item.choice("match", TextMatch::ALL, Some(default)).unwrap_or(default);
        item.deny_unknown_fields(&[]);
        items.push(if matching == default {
            TextToFind::Text(text)
        } else {
            TextToFind::WithMatch { text, matching }
        });
    }
    items
}

/// Reports names that no tool can have: an agent could never satisfy the list.
fn tool_names(r: &mut DraftReader<'_>, list: &str, names: &[String]) {
    for name in names.iter().filter(|name| !is_tool_name(name)) {
        r.problem(list, format!("contains “{name}”, but {TOOL_NAME_RULE}"));
    }
}

fn mocks(r: &mut DraftReader<'_>, origin: Origin) -> Vec<ToolMock> {
    let mut mocks = Vec::new();
    for (path, value) in r.list("tool_mocks", limits::ENTRIES) {
        let mut m = r.entry(path, value);
        if !m.is_object() {
            continue;
        }
        let tool = match origin {
            Origin::User => read_tool_name(&mut m, "tool"),
            Origin::Store => m.name("tool", MAX_TOOL_NAME, true),
        };
        let when = match json_value(m.value("when")) {
            Ok(None) => None,
            Ok(Some(Value::Object(map))) => Some(map),
            Ok(Some(_)) => problem(&mut m, "when", "must be an object of arguments"),
            Err(message) => problem(&mut m, "when", &message),
        };
        let result = match mock_result(m.value("result"), origin) {
            Ok(result) => result,
            Err(message) => {
                m.problem("result", message);
                // A placeholder, so that the invalid result is not also reported as missing.
                Some(Value::Null)
            }
        };
        let error = m.text("error", limits::MESSAGE);
        let error = (!is_blank(&error)).then_some(error);
        match (&result, &error) {
            (None, None) => m.problem("result", "is required unless error is given"),
            (Some(_), Some(_)) => m.problem("error", "must not be combined with result"),
            _ => {}
        }
        let delay_ms = m.optional_integer("delay_ms", 0, 60_000);
        m.deny_unknown_fields(&[]);
        mocks.push(ToolMock { tool, when, result, error, delay_ms });
    }
    mocks
}

/// Parses the result of a mock. Text that contains a JSON object or array is parsed. Other
/// text stays text, so that a stored result round-trips: `"5"` must not become 5, and
/// `"null"` must not become null. Text that begins like an object or array is JSON with a
/// mistake.
fn mock_result(value: Option<&Value>, origin: Origin) -> Result<Option<Value>, String> {
    let result = match value {
        None => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(json @ (Value::Object(_) | Value::Array(_))) => json,
            Err(error) if origin == Origin::User && text.trim_start().starts_with(['{', '[']) => {
                return Err(format!("must be JSON: {error}"));
            }
            _ => Value::String(text.clone()),
        },
        Some(other) => other.clone(),
    };
    check_storable(&result)?;
    Ok(Some(result))
}

fn problem(r: &mut DraftReader<'_>, field: &str, message: &str) -> Option<Map<String, Value>> {
    r.problem(field, message);
    None
}

/// A JSON value, or JSON text (from a form); blank text counts as absent.
fn json_value(value: Option<&Value>) -> Result<Option<Value>, String> {
    let value = match value {
        None => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))?
        }
        Some(other) => other.clone(),
    };
    check_storable(&value)?;
    Ok(Some(value))
}
