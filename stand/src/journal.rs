//! What the stand was asked, and what became of it.

use crate::question::{Protocol, Question, Role};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::time::Instant;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counted from 1.
    pub number: u64,
    /// Milliseconds after the stand's start.
    pub at_ms: u64,
    /// The path.
    pub path: String,
    /// The protocol.
    pub protocol: Protocol,
    /// A hash of the key; empty without one. The key itself is not kept.
    pub key_hash: String,
    /// The headers but for the key.
    pub headers: Vec<(String, String)>,
    /// The header `x-rehearsal-call`.
    pub call_id: String,
    /// The model.
    pub model: String,
    /// What for.
    pub role: Role,
    /// Number of messages but for the system prompt.
    pub messages: usize,
    /// The body as it came.
    pub body: Value,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Being answered.
    Open,
    /// Answered with this status (its body may still have gone wrong).
    Answered(u16),
    /// The client went away first.
    Dropped,
}

/// All requests.
#[derive(Clone)]
pub(crate) struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
    started: Instant,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { entries: Arc::default(), started: Instant::now() }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }

    /// Writes a request down; its outcome is [`Outcome::Dropped`] unless the
    /// guard hears another before it is dropped.
    pub(crate) fn open(&self, request: Request<'_>, question: &Question) -> Open {
        let millis = self.started.elapsed().as_millis();
        let entry = Entry {
            number: request.number,
            at_ms: u64::try_from(millis).unwrap_or(u64::MAX),
            path: request.path.to_owned(),
            protocol: question.protocol,
            key_hash: hash(request.key),
            headers: request.headers,
            call_id: request.call_id,
            model: question.model.clone(),
            role: question.role,
            messages: question.messages,
            body: request.body,
            outcome: Outcome::Open,
        };
        self.entries.lock().push(entry);
        Open { journal: self.clone(), number: request.number, outcome: Outcome::Dropped }
    }
}

/// What is written down of a request besides the question in it.
pub(crate) struct Request<'a> {
    pub(crate) number: u64,
    pub(crate) path: &'a str,
    pub(crate) key: &'a str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) call_id: String,
    pub(crate) body: Value,
}

/// A request that is being answered.
pub(crate) struct Open {
    journal: Journal,
    number: u64,
    outcome: Outcome,
}

impl Open {
    pub(crate) fn answered(mut self, status: u16) {
        self.outcome = Outcome::Answered(status);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut entries = self.journal.entries.lock();
        if let Some(entry) = entries.iter_mut().rfind(|entry| entry.number == self.number) {
            entry.outcome = self.outcome;
        }
    }
}

/// Enough to tell keys apart; not meant to withstand anybody.
fn hash(key: &str) -> String {
    if key.is_empty() {
        return String::new();
    }
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
