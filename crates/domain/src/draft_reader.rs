//! A reader of drafts that extracts values and collects all problems.

use super::draft::{NUL, as_bool};
use super::problem::{Problem, Problems};
use super::text::is_blank;
use serde_json::{Map, Value};

/// Maximum number of unknown fields of one object that are listed.
const MAX_UNKNOWN_FIELDS: usize = 20;

/// Reads one object of a draft. Every method records a problem and continues with a
/// default value, so that all problems are reported together.
pub struct DraftReader<'a> {
    map: Option<&'a Map<String, Value>>,
    path: String,
    problems: &'a mut Problems,
    known: Vec<&'static str>,
}

impl<'a> DraftReader<'a> {
    /// Creates a reader for the object `value` at `path` (empty at the top level).
    pub fn new(value: &'a Value, path: String, problems: &'a mut Problems) -> Self {
        let map = value.as_object();
        if map.is_none() {
            let name = kind(value);
            problems.push(Problem::new(path.clone(), format!("must be an object, not {name}")));
        }
        Self { map, path, problems, known: Vec::new() }
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.map.is_some()
    }

    /// The full path of a field.
    #[must_use]
    pub fn path(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// Records a problem of a field.
    pub fn problem(&mut self, field: &str, message: impl Into<String>) {
        let path = self.path(field);
        self.problems.push(Problem::new(path, message));
    }

    /// The raw value of a field; null counts as absent.
    pub fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        if !self.known.contains(&field) {
            self.known.push(field);
        }
        self.map.and_then(|map| map.get(field)).filter(|value| !value.is_null())
    }

    /// Text of at most `max` bytes; empty if absent.
    pub fn text(&mut self, field: &'static str, max: usize) -> String {
        let Some(value) = self.value(field) else { return String::new() };
        match value {
            Value::String(text) => {
                if text.len() > max {
                    self.problem(
                        field,
                        format!("must be at most {max} bytes, but is {}", text.len()),
                    );
                }
                if text.contains('\0') {
                    self.problem(field, NUL);
                }
                text.clone()
            }
            Value::Number(number) => number.to_string(),
            other => {
                self.problem(field, format!("must be text, not {}", kind(other)));
                String::new()
            }
        }
    }

    /// Text that must not be blank.
    pub fn required_text(&mut self, field: &'static str, max: usize) -> String {
        let before = self.problems.len();
        let text = self.text(field, max);
        if before == self.problems.len() && is_blank(&text) {
            self.problem(field, "must not be empty");
        }
        text
    }

    /// A trimmed single line of at most `max` characters.
    pub fn name(&mut self, field: &'static str, max: usize, required: bool) -> String {
        let before = self.problems.len();
        let text = self.text(field, usize::MAX).trim().to_owned();
        let length = text.chars().count();
        if before != self.problems.len() {
            return text;
        }
        if required && is_blank(&text) {
            self.problem(field, "must not be empty");
        } else if length > max {
            self.problem(field, format!("must be at most {max} characters, but is {length}"));
        } else if text.chars().any(char::is_control) {
            self.problem(field, "must be on one line");
        }
        text
    }

    /// An integer within a range; `default` if absent or blank.
    pub fn integer(&mut self, field: &'static str, default: u32, min: u32, max: u32) -> u32 {
        self.optional_integer(field, min, max).unwrap_or(default)
    }

    /// An integer within a range; `None` if absent or blank.
    pub fn optional_integer(&mut self, field: &'static str, min: u32, max: u32) -> Option<u32> {
        let number = self.optional_number(field, f64::from(min), f64::from(max))?;
        if number.fract() != 0.0 {
            self.problem(field, "must be a whole number");
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within min..=max
        Some(number as u32)
    }

    /// A number within a range; `None` if absent or blank.
    pub fn optional_number(&mut self, field: &'static str, min: f64, max: f64) -> Option<f64> {
        let number = match self.value(field)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            None => {
                self.problem(field, "must be a number");
                None
            }
            Some(number) if number < min || number > max => {
                self.problem(field, format!("must be from {min} to {max}"));
                None
            }
            some => some,
        }
    }

    /// A boolean; `default` if absent.
    pub fn flag(&mut self, field: &'static str, default: bool) -> bool {
        let Some(value) = self.value(field) else { return default };
        as_bool(value).unwrap_or_else(|| {
            self.problem(field, "must be true or false");
            default
        })
    }

    /// One of several options, matched case-insensitively; `default` if absent or blank. It
    /// is a problem if there is no default.
    pub fn choice<T: Copy>(
        &mut self,
        field: &'static str,
        options: &[(&str, T)],
        default: Option<T>,
    ) -> Option<T> {
        let text = match self.value(field) {
            None => String::new(),
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(other) => other.to_string(),
        };
        if text.is_empty() && default.is_some() {
            return default;
        }
        let found = options.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            let words: Vec<_> = options.iter().map(|(word, _)| *word).collect();
            self.problem(field, format!("must be one of {}", words.join(", ")));
        }
        found.map(|(_, value)| *value).or(default)
    }

    /// A list of entries with their paths; empty if absent. Leaves out the entries above
    /// `max`, because each of them could have a problem of its own.
    pub fn list(&mut self, field: &'static str, max: usize) -> Vec<(String, &'a Value)> {
        let Some(value) = self.value(field) else { return Vec::new() };
        let path = self.path(field);
        let entries: Vec<&'a Value> = match value {
            Value::Array(entries) => entries.iter().collect(),
            // Bracketed form names can leave gaps: {"0": …, "2": …}.
            Value::Object(map) if map.keys().all(|key| key.parse::<u32>().is_ok()) => {
                let mut keyed: Vec<_> = map.iter().collect();
                keyed.sort_by_key(|(key, _)| key.parse::<u32>().unwrap_or(u32::MAX));
                keyed.into_iter().map(|(_, entry)| entry).collect()
            }
            Value::String(text) if text.trim().is_empty() => Vec::new(),
            other => {
                self.problem(field, format!("must be a list, not {}", kind(other)));
                Vec::new()
            }
        };
        if entries.len() > max {
            let count = entries.len();
            self.problem(field, format!("must have at most {max} entries, but has {count}"));
        }
        let entries = entries.into_iter().take(max).enumerate();
        entries.map(|(i, entry)| (format!("{path}[{i}]"), entry)).collect()
    }

    /// A list of texts. A single string (from a text area) is split into lines, and blank
    /// lines are skipped. A blank entry of a list is a problem.
    pub fn texts(&mut self, field: &'static str, max: usize) -> Vec<String> {
        if let Some(Value::String(text)) = self.value(field) {
            let lines: Vec<_> =
                text.lines().map(str::trim).filter(|l| !is_blank(l)).map(str::to_owned).collect();
            if lines.len() > max {
                self.problem(
                    field,
                    format!("must have at most {max} lines, but has {}", lines.len()),
                );
            }
            if text.contains('\0') {
                self.problem(field, NUL);
            }
            if lines.iter().any(|line| line.len() > super::limits::MESSAGE) {
                let max = super::limits::MESSAGE;
                self.problem(field, format!("must have lines of at most {max} bytes"));
            }
            return lines;
        }
        let entries = self.list(field, max);
        entries.into_iter().filter_map(|(path, value)| self.entry_text(path, value)).collect()
    }

    /// A list entry that is trimmed, non-blank text.
    pub fn entry_text(&mut self, path: String, value: &Value) -> Option<String> {
        let message = match value {
            Value::String(text) if is_blank(text) => "must not be empty".to_owned(),
            Value::String(text) if text.contains('\0') => NUL.to_owned(),
            Value::String(text) if text.len() > super::limits::MESSAGE => {
                format!("must be at most {} bytes, but is {}", super::limits::MESSAGE, text.len())
            }
            Value::String(text) => return Some(text.trim().to_owned()),
            Value::Number(number) => return Some(number.to_string()),
            other => format!("must be text, not {}", kind(other)),
        };
        self.problems.push(Problem::new(path, message));
        None
    }

    /// A reader for a list entry.
    pub fn entry(&mut self, path: String, value: &'a Value) -> DraftReader<'_>
    where
        'a: 'a,
    {
        DraftReader::new(value, path, self.problems)
    }

    /// A reader for a nested object; empty if absent.
    pub fn object(&mut self, field: &'static str) -> DraftReader<'_> {
        static EMPTY: std::sync::LazyLock<Value> =
            std::sync::LazyLock::new(|| Value::Object(Map::new()));
        let value: &Value = self.value(field).unwrap_or(&EMPTY);
        let path = self.path(field);
        DraftReader::new(value, path, self.problems)
    }

    /// Reports every field that was not read, except those in `allowed` (response fields
    /// that a request may send back, such as `id`).
    pub fn deny_unknown_fields(self, allowed: &[&str]) {
        let Some(map) = self.map else { return };
        let mut unknown = 0;
        for key in map.keys() {
            if self.known.contains(&key.as_str()) || allowed.contains(&key.as_str()) {
                continue;
            }
            unknown += 1;
            if unknown <= MAX_UNKNOWN_FIELDS {
                let message = match self.known.join(", ") {
                    known if known.is_empty() => "is not a known field".to_owned(),
                    known => format!("is not a known field; known fields: {known}"),
                };
                self.problems.push(Problem::new(self.path(key), message));
            }
        }
        if unknown > MAX_UNKNOWN_FIELDS {
            let message = format!("has {} more unknown fields", unknown - MAX_UNKNOWN_FIELDS);
            self.problems.push(Problem::new(self.path.clone(), message));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
