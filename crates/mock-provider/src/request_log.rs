//! The log of all requests.

use crate::model_request::{Protocol, Role};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// Counts from 1.
    pub number: u64,
    /// The arrival, in milliseconds after the provider's start.
    pub at_ms: u64,
    /// When the response was sent or the client disconnected; `None` while the
    /// request is in flight.
    pub ended_ms: Option<u64>,
    pub path: String,
    pub protocol: Protocol,
    /// A hash of the API key; empty without a key. The key itself is not kept.
    pub key_hash: String,
    /// All headers except for the API key.
    pub headers: Vec<(String, String)>,
    /// The header `x-rehearsal-call`.
    pub call_id: String,
    pub model: String,
    pub role: Role,
    /// The number of messages, not counting the system prompt.
    pub messages: usize,
    pub body: Value,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    InFlight,
    /// The response has this status. Its body may still be broken.
    Answered(u16),
    /// The client disconnected before the response.
    Disconnected,
}

#[derive(Clone)]
pub(crate) struct RequestLog {
    entries: Arc<Mutex<Vec<LoggedRequest>>>,
    started: Instant,
    /// The provider's start in milliseconds since 1970, by the system clock.
    pub(crate) started_at: u64,
}

impl RequestLog {
    pub(crate) fn new() -> Self {
        Self { entries: Arc::default(), started: Instant::now(), started_at: unix_ms() }
    }

    /// Milliseconds since the provider's start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    pub(crate) fn entries(&self) -> Vec<LoggedRequest> {
        self.entries.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }

    /// Adds an entry. Its request ends when the returned guard is dropped,
    /// which is after the last byte of the response. The outcome is
    /// [`Outcome::Disconnected`] unless the guard gets a status before.
    pub(crate) fn push(&self, entry: LoggedRequest) -> PendingRequest {
        let number = entry.number;
        let mut entries = self.entries.lock();
        entries.push(entry);
        let index = entries.len() - 1;
        PendingRequest { log: self.clone(), number, index, outcome: None }
    }
}

/// A request in flight.
pub(crate) struct PendingRequest {
    log: RequestLog,
    number: u64,
    /// The index of the entry, unless the log was cleared meanwhile.
    index: usize,
    outcome: Option<Outcome>,
}

impl PendingRequest {
    pub(crate) fn set_status(&mut self, status: u16) {
        self.outcome = Some(Outcome::Answered(status));
        self.update(None);
    }

    fn update(&self, ended_ms: Option<u64>) {
        let mut entries = self.log.entries.lock();
        let entry = entries.get_mut(self.index).filter(|entry| entry.number == self.number);
        if let Some(entry) = entry {
            entry.outcome = self.outcome.unwrap_or(Outcome::Disconnected);
            entry.ended_ms = ended_ms;
        }
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.update(Some(self.log.now_ms()));
    }
}

/// The system clock, so that the log can be compared with records of other
/// processes on this machine.
#[allow(clippy::disallowed_methods)] // no Clock is passed in
fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// Distinguishes keys; not cryptographic.
pub(crate) fn hash(key: &str) -> String {
    if key.is_empty() {
        return String::new();
    }
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
