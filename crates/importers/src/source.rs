//! A reader of objects in foreign formats that keeps track of the fields that were read,
//! so that no field is dropped without a note.

use crate::report::Report;
use serde_json::{Map, Value};
use std::cell::RefCell;

/// Why a field without a rule is not carried over.
const NO_COUNTERPART: &str = "Rehearsal has nothing that corresponds to this.";

/// An object of a file, with its path.
pub(crate) struct Source<'a> {
    fields: &'a Map<String, Value>,
    path: String,
    read: RefCell<Vec<&'static str>>,
    report: &'a Report,
}

impl<'a> Source<'a> {
    /// The reader of an object; `None`, with a problem, for another value.
    pub(crate) fn new(value: &'a Value, path: String, report: &'a Report) -> Option<Self> {
        let Value::Object(fields) = value else {
            report.problem(&path, "must be an object");
            return None;
        };
        Some(Self { fields, path, read: RefCell::default(), report })
    }

    pub(crate) fn report(&self) -> &'a Report {
        self.report
    }

    /// The path of a field.
    pub(crate) fn path(&self, field: &str) -> String {
        match (self.path.as_str(), field) {
            (path, "") => path.to_owned(),
            ("", field) => field.to_owned(),
            (path, field) => format!("{path}.{field}"),
        }
    }

    /// The value of a field; `None` if it is absent or null.
    pub(crate) fn value(&self, field: &'static str) -> Option<&'a Value> {
        self.read.borrow_mut().push(field);
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A text; empty if the field is absent. Numbers count as text.
    pub(crate) fn text(&self, field: &'static str) -> String {
        match self.value(field) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => {
                self.problem(field, "must be text");
                String::new()
            }
        }
    }

    pub(crate) fn flag(&self, field: &'static str) -> bool {
        match self.value(field) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.problem(field, "must be true or false");
                false
            }
        }
    }

    /// The entries of a list with their paths; empty if the field is absent.
    pub(crate) fn list(&self, field: &'static str) -> Vec<(String, &'a Value)> {
        match self.value(field) {
            None => Vec::new(),
            Some(Value::Array(entries)) => {
                let path = self.path(field);
                let entries = entries.iter().enumerate();
                entries.map(|(i, entry)| (format!("{path}[{i}]"), entry)).collect()
            }
            Some(_) => {
                self.problem(field, "must be a list");
                Vec::new()
            }
        }
    }

    /// The objects of a list.
    pub(crate) fn objects(&self, field: &'static str) -> Vec<Source<'a>> {
        let entries = self.list(field).into_iter();
        entries.filter_map(|(path, entry)| Source::new(entry, path, self.report)).collect()
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, field: &'static str) -> Vec<String> {
        let mut texts = Vec::new();
        for (path, entry) in self.list(field) {
            match entry {
                Value::String(text) => texts.push(text.clone()),
                Value::Number(number) => texts.push(number.to_string()),
                _ => self.report.problem(&path, "must be text"),
            }
        }
        texts
    }

    /// A nested object, if it is present.
    pub(crate) fn object(&self, field: &'static str) -> Option<Source<'a>> {
        Source::new(self.value(field)?, self.path(field), self.report)
    }

    /// The names and values of a nested object; empty if it is absent.
    pub(crate) fn map(&self, field: &'static str) -> Option<&'a Map<String, Value>> {
        match self.value(field)? {
            Value::Object(map) => Some(map),
            _ => {
                self.problem(field, "must be an object");
                None
            }
        }
    }

    pub(crate) fn problem(&self, field: &str, message: &str) {
        self.report.problem(&self.path(field), message);
    }

    /// Notes that a field is not carried over, if it has a value.
    pub(crate) fn skip(&self, field: &'static str, reason: &str) {
        if self.value(field).is_some_and(|value| !is_empty(value)) {
            self.report.not_carried_over(&self.path(field), reason);
        }
    }

    pub(crate) fn inferred(&self, field: &str, reason: &str) {
        self.report.inferred(&self.path(field), reason);
    }

    /// Notes each field that has a value and was not read. `reasons` contains fields with
    /// the reason why they are not carried over.
    pub(crate) fn finish(self, reasons: &[(&[&str], &str)]) {
        let read = self.read.borrow();
        for (field, value) in self.fields {
            if is_empty(value) || read.contains(&field.as_str()) {
                continue;
            }
            let reason = reasons.iter().find(|(fields, _)| fields.contains(&field.as_str()));
            let reason = reason.map_or(NO_COUNTERPART, |(_, reason)| reason);
            self.report.not_carried_over(&self.path(field), reason);
        }
    }
}

/// Whether a value says nothing, so that nothing is lost without it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
