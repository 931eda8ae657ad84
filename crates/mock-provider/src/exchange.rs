//! Recorded exchanges: what a real provider rejects, and with which error.
//!
//! Each file of `exchanges/` has one case of one provider, with the source of the fact and
//! its date. A file without a source is unverified: its shape is known, but nobody has
//! shown where.

use crate::script::{Action, RejectedField, Rule, Script};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One exchange with a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub provider: String,
    /// The models that behave in this way.
    pub models: String,
    pub case: String,
    /// Where the fact is documented; `None` if it is unverified.
    pub source: Option<String>,
    /// When the source was written, or read if it has no date.
    pub date: Option<String>,
    /// `openai`, `openai_responses` or `anthropic`.
    pub kind: String,
    /// What the request contains beside a message: `temperature`, `tools`, `structured`,
    /// `effort`, `large` (a token limit of 16,000) or `fixed` (a limit that a user chose).
    pub request: Vec<String>,
    /// The field that the provider rejects, as a JSON Pointer; `/large` for a token limit
    /// above 10,000. `None` if it answers every request with the error.
    pub rejects: Option<String>,
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// What Rehearsal does.
    pub outcome: String,
}

impl Exchange {
    /// The script of a provider that behaves in this way.
    #[must_use]
    pub fn script(&self) -> Script {
        let (status, body) = (self.status, self.body.clone());
        match &self.rejects {
            Some(field) => {
                let rejected = RejectedField { field: field.clone(), status, body };
                Script { rejects: vec![rejected], ..Script::default() }
            }
            None => {
                let headers = self.headers.clone();
                Script::of([Rule::always(Action::Status { status, body, headers })])
            }
        }
    }
}

/// All exchanges, in the order of their file names.
///
/// # Panics
/// If a file cannot be read or has another structure, because tests rely on it.
#[must_use]
pub fn exchanges() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("exchanges");
    let entries = std::fs::read_dir(&folder).expect("the folder of exchanges");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file).expect("an exchange");
        let read = serde_json::from_str(&text);
        read.map_err(|error| format!("{}: {error}", file.display())).expect("a valid exchange")
    };
    files.iter().map(read).collect()
}
