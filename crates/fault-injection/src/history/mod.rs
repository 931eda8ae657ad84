//! What happened, from every side that can be looked at, and whether it keeps
//! the product's promises.
//!
//! [`gather`] reads the API, the event streams, the table of calls and the
//! provider's journal after a run of chaos; [`check`] lays them side by side.
//! A [`History`] is plain data, so that the checker's own tests can write one
//! by hand and make it false.

mod check;
mod gather;
mod sse;
#[cfg(test)]
mod tests;

pub use check::{Rules, Violation, check, repeated};
pub(crate) use gather::database_file;
pub use gather::{event, gather, heard, open_database, told_at};
pub use sse::{Frame, Frames};

/// Everything that is known of a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Suites as the API tells of them.
    pub suites: Vec<SuiteSeen>,
    /// The table of calls: what was about to be asked.
    pub intents: Vec<Intent>,
    /// The provider's journal: what it was asked.
    pub heard: Vec<Heard>,
    /// Turns that somebody saw on a stream or a page while it happened.
    pub announced: Vec<Announced>,
}

/// A suite.
#[derive(Clone, Debug, Default)]
pub struct SuiteSeen {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// `finished` or `cancelled`, in the end.
    pub status: String,
    /// How many runs may go at once.
    pub concurrency: usize,
    /// The runs that were asked for: those that the start's answer named.
    pub requested: Vec<String>,
    /// The runs as they are.
    pub runs: Vec<RunSeen>,
    /// Its stored events, from the first.
    pub events: Vec<Event>,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct RunSeen {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: String,
    /// When somebody asked it to stop: milliseconds since 1970.
    pub cancelled_at: Option<i64>,
    /// How often it was taken up after a crash.
    pub recoveries: u64,
    /// What was said, as the API has it.
    pub transcript: Vec<Words>,
}

/// A turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Its index.
    pub index: u64,
    /// Who.
    pub speaker: String,
    /// What.
    pub message: String,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub seq: i64,
    /// What it tells.
    pub what: Told,
}

/// What an event tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A run has this status now.
    Run {
        /// The run.
        run: String,
        /// The status.
        status: String,
    },
    /// A turn was stored.
    Turn(Announced),
    /// The suite is over.
    Finished {
        /// How.
        status: String,
    },
}

/// A turn that was told while it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Of this run.
    pub run: String,
    /// The turn.
    pub words: Words,
}

/// A call that was about to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// What is sent along as `x-rehearsal-call`.
    pub id: String,
    /// For this run.
    pub run: String,
    /// Whether it belongs to a later judging.
    pub judging_again: bool,
    /// `agent`, `simulated_user` or `judge`.
    pub role: String,
    /// Turns that stood then.
    pub turn: i64,
    /// When: milliseconds since 1970.
    pub created_at: i64,
    /// `ok` or what went wrong; `None` = open or lost.
    pub outcome: Option<String>,
}

/// A request that reached the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its `x-rehearsal-call`.
    pub call: String,
    /// When it came: milliseconds since 1970.
    pub from: i64,
    /// When its answer had been sent, or its client had gone.
    pub until: Option<i64>,
    /// Whether its client went before the answer.
    pub dropped: bool,
}
