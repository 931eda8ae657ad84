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
    /// When it came: milliseconds after the stand's start.
    pub at_ms: u64,
    /// When its answer had been sent, or its client had gone; `None` while it
    /// is open.
    pub ended_ms: Option<u64>,
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
    started_at: u64,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { entries: Arc::default(), started: Instant::now(), started_at: wall_ms() }
    }

    /// When the stand started: milliseconds since 1970, by the machine's clock.
    pub(crate) fn started_at(&self) -> u64 {
        self.started_at
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Those from this place on.
    pub(crate) fn since(&self, place: usize) -> Vec<Entry> {
        self.entries.lock().get(place..).unwrap_or_default().to_vec()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }

    /// Writes a request down; its outcome is [`Outcome::Dropped`] unless the
    /// guard hears another before it is dropped. Its end is when the guard is
    /// dropped: after the last byte of the answer.
    pub(crate) fn open(&self, request: Request<'_>, question: &Question) -> Open {
        let entry = Entry {
            number: request.number,
            at_ms: self.now_ms(),
            ended_ms: None,
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
        let mut entries = self.entries.lock();
        entries.push(entry);
        let place = entries.len() - 1;
        drop(entries);
        Open { journal: self.clone(), number: request.number, place, outcome: None }
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
    /// Where it stands, unless the journal was cleared meanwhile.
    place: usize,
    outcome: Option<Outcome>,
}

impl Open {
    /// The answer begins with this status.
    pub(crate) fn answered(&mut self, status: u16) {
        self.outcome = Some(Outcome::Answered(status));
        self.write(None);
    }

    fn write(&self, ended_ms: Option<u64>) {
        let mut entries = self.journal.entries.lock();
        let entry = entries.get_mut(self.place).filter(|entry| entry.number == self.number);
        if let Some(entry) = entry {
            entry.outcome = self.outcome.unwrap_or(Outcome::Dropped);
            entry.ended_ms = ended_ms;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.write(Some(self.journal.now_ms()));
    }
}

/// The machine's clock, so that a journal can be laid beside what others on
/// the same machine wrote down.
#[allow(clippy::disallowed_methods)] // there is no clock to be passed in here
fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
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
