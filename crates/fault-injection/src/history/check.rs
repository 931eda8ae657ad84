//! Checks the guarantees against a history.

use super::{
    CallIntent, EventKind, History, ObservedTurn, ProviderRequest, RunRecord, SuiteRecord,
};
use std::collections::{HashMap, HashSet};
use std::fmt;

const FINAL: [&str; 5] = ["passed", "failed", "inconclusive", "error", "cancelled"];
/// No call starts later than this after a cancel.
const CANCEL_MS: i64 = 1_000;
/// The time that the provider may take to notice a disconnect. It does not
/// count against the limits.
const DISCONNECT_MS: i64 = 100;

/// Limits that depend on the soak.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The runs that were in flight at all kills and stops together.
    pub repeated_calls: usize,
    /// Concurrent calls of the server.
    pub max_calls: usize,
    /// Concurrent runs of one user.
    pub runs_per_user: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::per_user(8)
    }
}

impl Limits {
    pub fn per_user(runs_per_user: usize) -> Self {
        Self { repeated_calls: 0, max_calls: 64, runs_per_user }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub guarantee: &'static str,
    pub details: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guarantee, self.details)
    }
}

/// Returns every violation in the history.
pub fn check(history: &History, limits: &Limits) -> Vec<Violation> {
    let mut found = Violations::default();
    for suite in &history.suites {
        check_final_statuses(suite, &mut found);
        check_event_order(suite, &mut found);
        check_transcripts(suite, &mut found);
    }
    check_observed_turns(history, &mut found);
    let calls = Calls::new(history, &mut found);
    let repeated = calls.repeated();
    if repeated > limits.repeated_calls {
        let details =
            format!("{repeated} calls were repeated; {} were in flight", limits.repeated_calls);
        found.add("few repeated calls", details);
    }
    calls.check_cancels(history, &mut found);
    calls.check_limits(history, limits, &mut found);
    found.0
}

/// The number of calls that were repeated although the provider had not failed them.
pub fn repeated_calls(history: &History) -> usize {
    Calls::new(history, &mut Violations::default()).repeated()
}

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, guarantee: &'static str, details: impl Into<String>) {
        self.0.push(Violation { guarantee, details: details.into() });
    }
}

/// Every requested run exists once, is final, and became final once.
fn check_final_statuses(suite: &SuiteRecord, found: &mut Violations) {
    const GUARANTEE: &str = "one final status";
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for run in &suite.runs {
        *counts.entry(&run.id).or_default() += 1;
    }
    for id in &suite.requested {
        match counts.get(id.as_str()) {
            Some(1) => {}
            Some(count) => found.add(GUARANTEE, format!("run {id} exists {count} times")),
            None => found.add(GUARANTEE, format!("run {id} was requested and is missing")),
        }
    }
    for run in &suite.runs {
        if !FINAL.contains(&run.status.as_str()) {
            found.add(GUARANTEE, format!("run {} is {}, which is not final", run.id, run.status));
        }
        let statuses = suite.statuses_of(&run.id).filter(|status| FINAL.contains(status));
        let statuses: Vec<&str> = statuses.collect();
        if statuses != [run.status.as_str()] {
            let details = format!("run {} is {}; events: {statuses:?}", run.id, run.status);
            found.add(GUARANTEE, details);
        }
    }
    let ends = suite.events.iter().filter_map(|event| match &event.kind {
        EventKind::SuiteFinished { status } => Some(status.as_str()),
        _ => None,
    });
    let ends: Vec<&str> = ends.collect();
    if ends != [suite.status.as_str()] {
        let details = format!("suite {} is {}; events: {ends:?}", suite.id, suite.status);
        found.add(GUARANTEE, details);
    }
}

/// Event numbers have no gap and no duplicate, and nothing follows the end.
fn check_event_order(suite: &SuiteRecord, found: &mut Violations) {
    const GUARANTEE: &str = "events without gap or duplicate";
    for (event, expected) in suite.events.iter().zip(1..) {
        if event.seq != expected {
            let details = format!("suite {}: {} instead of {expected}", suite.id, event.seq);
            return found.add(GUARANTEE, details);
        }
    }
    let is_end = |kind: &EventKind| matches!(kind, EventKind::SuiteFinished { .. });
    let end = suite.events.iter().position(|event| is_end(&event.kind));
    if end.is_some_and(|index| index + 1 != suite.events.len()) {
        found.add(GUARANTEE, format!("suite {}: events follow its end", suite.id));
    }
}

/// Turns are numbered from 0, and each has exactly one event.
fn check_transcripts(suite: &SuiteRecord, found: &mut Violations) {
    const GUARANTEE: &str = "no lost or duplicate turn";
    for run in &suite.runs {
        let indices: Vec<u64> = run.transcript.iter().map(|turn| turn.index).collect();
        if indices != (0..indices.len() as u64).collect::<Vec<_>>() {
            found.add(GUARANTEE, format!("run {} has the turns {indices:?}", run.id));
        }
        let events = suite.events.iter().filter_map(|event| match &event.kind {
            EventKind::Turn(observed) if observed.run == run.id => Some(observed.turn.index),
            _ => None,
        });
        let mut events: Vec<u64> = events.collect();
        events.sort_unstable();
        if events != indices {
            let details = format!("run {} has the turns {indices:?}; events: {events:?}", run.id);
            found.add(GUARANTEE, details);
        }
    }
}

/// Observed turns are in the transcript, unchanged.
fn check_observed_turns(history: &History, found: &mut Violations) {
    let runs: HashMap<&str, &RunRecord> =
        history.runs().map(|run| (run.id.as_str(), run)).collect();
    let events = history.suites.iter().flat_map(|suite| &suite.events);
    let stored = events.filter_map(|event| match &event.kind {
        EventKind::Turn(observed) => Some(observed),
        _ => None,
    });
    for ObservedTurn { run, turn } in stored.chain(&history.observed) {
        let stored = runs
            .get(run.as_str())
            .and_then(|run| run.transcript.iter().find(|stored| stored.index == turn.index));
        if stored != Some(turn) {
            let details = format!("turn {} of run {run} was {turn:?}, is {stored:?}", turn.index);
            found.add("observed turns stay", details);
        }
    }
}

/// The provider's requests, each with its intent.
struct Calls<'a>(Vec<(&'a ProviderRequest, &'a CallIntent)>);

impl<'a> Calls<'a> {
    fn new(history: &'a History, found: &mut Violations) -> Self {
        let intents: HashMap<&str, &CallIntent> =
            history.intents.iter().map(|intent| (intent.id.as_str(), intent)).collect();
        let mut calls = Vec::new();
        for request in &history.requests {
            match intents.get(request.call.as_str()) {
                Some(intent) => calls.push((request, *intent)),
                None => found.add(
                    "every call has an intent",
                    format!("the provider received {:?}, which has no row", request.call),
                ),
            }
        }
        Self(calls)
    }

    /// Calls that do not belong to a later evaluation.
    fn of_runs(&self) -> impl Iterator<Item = &(&'a ProviderRequest, &'a CallIntent)> {
        self.0.iter().filter(|(_, intent)| !intent.is_rejudge)
    }

    /// Counts the calls of one role for one turn of one run, beyond the first.
    /// The second request after a judge's first reply is not a repetition.
    fn repeated(&self) -> usize {
        let mut groups: HashMap<(&str, &str, i64), HashMap<&str, &CallIntent>> = HashMap::new();
        for (_, intent) in self.of_runs() {
            let group = (intent.run.as_str(), intent.role.as_str(), intent.turn);
            groups.entry(group).or_default().insert(&intent.id, intent);
        }
        let repeated = groups.values().map(|calls| {
            let replies = calls
                .values()
                .filter(|call| call.role == "judge" && call.outcome.as_deref() == Some("ok"))
                .count();
            calls.len().saturating_sub(replies.max(1))
        });
        repeated.sum()
    }

    fn check_cancels(&self, history: &History, found: &mut Violations) {
        let cancels: HashMap<&str, i64> =
            history.runs().filter_map(|run| Some((run.id.as_str(), run.cancelled_at?))).collect();
        for (request, intent) in self.of_runs() {
            let Some(cancelled_at) = cancels.get(intent.run.as_str()) else { continue };
            let late = request.from - cancelled_at;
            if late > CANCEL_MS {
                let details = format!("run {}: a call started {late} ms after it", intent.run);
                found.add("no call after a cancel", details);
            }
        }
    }

    /// Checks concurrent calls of the server, concurrent runs of a suite and of
    /// a user, and that a run makes one call at a time.
    fn check_limits(&self, history: &History, limits: &Limits, found: &mut Violations) {
        let mut suite_of: HashMap<&str, &SuiteRecord> = HashMap::new();
        for suite in &history.suites {
            suite_of.extend(suite.runs.iter().map(|run| (run.id.as_str(), suite)));
        }
        let mut open: HashSet<usize> = HashSet::new();
        let mut peaks: HashMap<(&str, &str), (usize, usize)> = HashMap::new();
        for (_, begins, index) in self.changes() {
            if !begins {
                open.remove(&index);
                continue;
            }
            open.insert(index);
            let (_, call) = self.0[index];
            let count = |matches: &dyn Fn(&CallIntent) -> bool| {
                open.iter().filter(|index| matches(self.0[**index].1)).count()
            };
            let mut update = |what, who, count, limit| {
                let peak = peaks.entry((what, who)).or_insert((0, limit));
                peak.0 = peak.0.max(count);
            };
            update("calls of the server", "", open.len(), limits.max_calls);
            update("calls of run", &call.run, count(&|other| other.run == call.run), 1);
            let suite = suite_of.get(call.run.as_str()).filter(|_| !call.is_rejudge);
            if let Some(suite) = suite {
                let count_by_suite = |matches: &dyn Fn(&SuiteRecord) -> bool| {
                    count(&|other| suite_of.get(other.run.as_str()).is_some_and(|s| matches(s)))
                };
                let of_suite = count_by_suite(&|other| other.id == suite.id);
                update("calls of suite", &suite.id, of_suite, suite.concurrency);
                let of_user = count_by_suite(&|other| other.user == suite.user);
                update("calls of user", &suite.user, of_user, limits.runs_per_user);
            }
        }
        for ((what, who), (count, limit)) in peaks {
            if count > limit {
                let details = format!("{what} {who}: {count} at once, {limit} allowed");
                found.add("limits hold", details);
            }
        }
    }

    /// The beginnings (`true`) and ends of all calls in the order of time. At
    /// the same time, ends come first.
    fn changes(&self) -> Vec<(i64, bool, usize)> {
        let mut changes = Vec::new();
        for (index, (request, _)) in self.0.iter().enumerate() {
            let until = request.until.unwrap_or(i64::MAX);
            let until =
                if request.disconnected { until.saturating_sub(DISCONNECT_MS) } else { until };
            if until > request.from {
                changes.push((request.from, true, index));
                changes.push((until, false, index));
            }
        }
        changes.sort_unstable();
        changes
    }
}
