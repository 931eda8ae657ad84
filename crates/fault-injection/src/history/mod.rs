//! A record of what happened, from every side that can be observed, and a
//! checker of the product's guarantees.
//!
//! [`collect`] reads the API, the event streams, the table of calls and the
//! provider's request log after a soak; [`check`] compares them. A [`History`]
//! is plain data, so that the checker's own tests can violate each guarantee.

mod check;
mod collect;
mod sse;
#[cfg(test)]
mod tests;

pub use check::{Limits, Violation, check, repeated_calls};
pub(crate) use collect::database_file;
pub use collect::{collect, event_time, open_database, parse_event};
pub use sse::{SseFrame, SseParser};

#[derive(Clone, Debug, Default)]
pub struct History {
    pub suites: Vec<SuiteRecord>,
    /// The table of calls. A row is stored before its call is made.
    pub intents: Vec<CallIntent>,
    pub requests: Vec<ProviderRequest>,
    /// Turns that a client saw on a stream.
    pub observed: Vec<ObservedTurn>,
}

impl History {
    pub fn runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.suites.iter().flat_map(|suite| &suite.runs)
    }
}

/// A suite as the API shows it.
#[derive(Clone, Debug, Default)]
pub struct SuiteRecord {
    pub id: String,
    pub user: String,
    pub status: String,
    pub concurrency: usize,
    /// The ids of the runs in the response to the start.
    pub requested: Vec<String>,
    pub runs: Vec<RunRecord>,
    /// The stored events, from the first.
    pub events: Vec<Event>,
}

impl SuiteRecord {
    /// The statuses of a run in the order of their events.
    pub fn statuses_of(&self, run: &str) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(move |event| match &event.kind {
            EventKind::RunStatus { run: id, status } if id == run => Some(status.as_str()),
            _ => None,
        })
    }
}

/// A run as the API shows it.
#[derive(Clone, Debug, Default)]
pub struct RunRecord {
    pub id: String,
    pub status: String,
    /// The time of the cancel request, in milliseconds since 1970.
    pub cancelled_at: Option<i64>,
    pub recoveries: u64,
    pub transcript: Vec<TurnRecord>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnRecord {
    pub index: u64,
    pub speaker: String,
    pub message: String,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: i64,
    pub kind: EventKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    RunStatus { run: String, status: String },
    Turn(ObservedTurn),
    SuiteFinished { status: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTurn {
    pub run: String,
    pub turn: TurnRecord,
}

/// A row of the table of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct CallIntent {
    /// The value of the header `x-rehearsal-call`.
    pub id: String,
    pub run: String,
    /// Whether the call belongs to a later evaluation of the run.
    pub is_rejudge: bool,
    /// `agent`, `simulated_user` or `judge`.
    pub role: String,
    /// The number of turns that were stored before the call.
    pub turn: i64,
    /// `ok` or the error; `None` when the call is open or lost.
    pub outcome: Option<String>,
}

/// A request that reached the provider. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderRequest {
    /// The value of the header `x-rehearsal-call`.
    pub call: String,
    pub from: i64,
    /// When the response was sent or the client disconnected.
    pub until: Option<i64>,
    /// Whether the client disconnected before the response.
    pub disconnected: bool,
}
