//! The promises, held against a history.

use super::{Announced, Heard, History, Intent, RunSeen, SuiteSeen, Told, Words};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Statuses that nothing changes any more.
const FINAL: [&str; 5] = ["passed", "failed", "inconclusive", "error", "cancelled"];
/// After a cancel no call starts later than this.
const CANCEL_MS: i64 = 1_000;
/// How long the provider may take to notice that a client has gone: for so
/// long a dropped call is not held against the limits.
const NOTICED_MS: i64 = 100;

/// What to hold a history against, where it depends on the stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Calls that may have been made twice: the runs in flight at all kills
    /// and stops together.
    pub most_repeated: usize,
    /// Calls of the server at once.
    pub max_calls: usize,
    /// Runs of one user at once.
    pub runs_per_user: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { most_repeated: 0, max_calls: 64, runs_per_user: 8 }
    }
}

/// A promise that was broken, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise, in a word.
    pub promise: &'static str,
    /// Where and how.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// Every promise that the history breaks; empty when all are kept.
#[must_use]
pub fn check(history: &History, rules: &Rules) -> Vec<Violation> {
    let mut found = Found::default();
    for suite in &history.suites {
        one_final_status(suite, &mut found);
        events_in_order(suite, &mut found);
        transcripts(suite, &mut found);
    }
    announced_turns(history, &mut found);
    let calls = Calls::of(history, &mut found);
    let repeated = calls.repeated();
    if repeated > rules.most_repeated {
        let most = rules.most_repeated;
        let what = format!("{repeated} calls were made again; in flight at the kills were {most}");
        found.add("few calls are repeated", what);
    }
    calls.after_cancel(history, &mut found);
    calls.limits(history, rules, &mut found);
    found.0
}

/// Calls that were made again, though the provider had not failed them.
#[must_use]
pub fn repeated(history: &History) -> usize {
    Calls::of(history, &mut Found::default()).repeated()
}

#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, promise: &'static str, what: impl Into<String>) {
        self.0.push(Violation { promise, what: what.into() });
    }
}

/// Every requested run is there once, is final, and became so once.
fn one_final_status(suite: &SuiteSeen, found: &mut Found) {
    const PROMISE: &str = "one final status";
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for run in &suite.runs {
        *seen.entry(&run.id).or_default() += 1;
    }
    for id in &suite.requested {
        match seen.get(id.as_str()) {
            Some(1) => {}
            Some(times) => found.add(PROMISE, format!("run {id} is there {times} times")),
            None => found.add(PROMISE, format!("run {id} was asked for and is not there")),
        }
    }
    for run in &suite.runs {
        if !FINAL.contains(&run.status.as_str()) {
            found.add(PROMISE, format!("run {} is {} and not final", run.id, run.status));
        }
        let told: Vec<&str> = suite
            .events
            .iter()
            .filter_map(|event| match &event.what {
                Told::Run { run: id, status } if *id == run.id => Some(status.as_str()),
                _ => None,
            })
            .filter(|status| FINAL.contains(status))
            .collect();
        if told != [run.status.as_str()] {
            let what = format!("run {} is {}; its events told {told:?}", run.id, run.status);
            found.add(PROMISE, what);
        }
    }
    let ends: Vec<&str> = suite
        .events
        .iter()
        .filter_map(|event| match &event.what {
            Told::Finished { status } => Some(status.as_str()),
            _ => None,
        })
        .collect();
    if ends != [suite.status.as_str()] {
        let what = format!("suite {} is {}; its events told {ends:?}", suite.id, suite.status);
        found.add(PROMISE, what);
    }
}

/// Numbers without gap or double, and nothing after the end.
fn events_in_order(suite: &SuiteSeen, found: &mut Found) {
    const PROMISE: &str = "events without gap or double";
    for (event, expected) in suite.events.iter().zip(1..) {
        if event.seq != expected {
            let what = format!("suite {}: {} stands where {expected} should", suite.id, event.seq);
            return found.add(PROMISE, what);
        }
    }
    let end = suite.events.iter().position(|event| matches!(event.what, Told::Finished { .. }));
    if end.is_some_and(|place| place + 1 != suite.events.len()) {
        found.add(PROMISE, format!("suite {}: something follows its end", suite.id));
    }
}

/// Turns are numbered from 0, each is told once, and none is untold.
fn transcripts(suite: &SuiteSeen, found: &mut Found) {
    const PROMISE: &str = "no turn lost or double";
    for run in &suite.runs {
        let indices: Vec<u64> = run.transcript.iter().map(|turn| turn.index).collect();
        if indices != (0..indices.len() as u64).collect::<Vec<_>>() {
            found.add(PROMISE, format!("run {} has the turns {indices:?}", run.id));
        }
        let mut told: Vec<u64> = suite
            .events
            .iter()
            .filter_map(|event| match &event.what {
                Told::Turn(told) if told.run == run.id => Some(told.words.index),
                _ => None,
            })
            .collect();
        told.sort_unstable();
        if told != indices {
            let what = format!("run {} has the turns {indices:?}, told were {told:?}", run.id);
            found.add(PROMISE, what);
        }
    }
}

/// What was announced is in the transcript, with the same words.
fn announced_turns(history: &History, found: &mut Found) {
    let runs: HashMap<&str, &RunSeen> = history
        .suites
        .iter()
        .flat_map(|suite| &suite.runs)
        .map(|run| (run.id.as_str(), run))
        .collect();
    let stored = history.suites.iter().flat_map(|suite| &suite.events);
    let stored = stored.filter_map(|event| match &event.what {
        Told::Turn(told) => Some(told),
        _ => None,
    });
    for Announced { run, words } in stored.chain(&history.announced) {
        let kept = runs
            .get(run.as_str())
            .and_then(|run| run.transcript.iter().find(|turn: &&Words| turn.index == words.index));
        if kept != Some(words) {
            let what = format!("turn {} of run {run} was {words:?} and is {kept:?}", words.index);
            found.add("what was announced stays", what);
        }
    }
}

/// The provider's journal, each entry with the intent behind it.
struct Calls<'a> {
    heard: Vec<(&'a Heard, &'a Intent)>,
}

impl<'a> Calls<'a> {
    fn of(history: &'a History, found: &mut Found) -> Self {
        let intents: HashMap<&str, &Intent> =
            history.intents.iter().map(|intent| (intent.id.as_str(), intent)).collect();
        let mut heard = Vec::new();
        for call in &history.heard {
            match intents.get(call.call.as_str()) {
                Some(intent) => heard.push((call, *intent)),
                None => found.add(
                    "every call has an intent",
                    format!("the provider heard {:?}, of which there is no row", call.call),
                ),
            }
        }
        Self { heard }
    }

    /// Calls of one role for one turn of one run, beyond the first. A judge
    /// whose first reply came back is asked for a repair: that is no repetition.
    fn repeated(&self) -> usize {
        let mut groups: HashMap<(&str, &str, i64), HashMap<&str, &Intent>> = HashMap::new();
        for (_, intent) in self.heard.iter().filter(|(_, intent)| !intent.judging_again) {
            let group = (intent.run.as_str(), intent.role.as_str(), intent.turn);
            groups.entry(group).or_default().insert(&intent.id, intent);
        }
        groups
            .values()
            .map(|calls| {
                let repairs = calls
                    .values()
                    .filter(|call| call.role == "judge" && call.outcome.as_deref() == Some("ok"))
                    .count();
                calls.len().saturating_sub(repairs.max(1))
            })
            .sum()
    }

    fn after_cancel(&self, history: &History, found: &mut Found) {
        let cancelled: HashMap<&str, i64> = history
            .suites
            .iter()
            .flat_map(|suite| &suite.runs)
            .filter_map(|run| Some((run.id.as_str(), run.cancelled_at?)))
            .collect();
        for (heard, intent) in self.heard.iter().filter(|(_, intent)| !intent.judging_again) {
            let Some(asked) = cancelled.get(intent.run.as_str()) else { continue };
            let late = heard.from - asked;
            if late > CANCEL_MS {
                let what = format!("run {}: a call started {late} ms after it", intent.run);
                found.add("cancel means now", what);
            }
        }
    }

    /// Calls of the server at once, runs of a suite and of a user at once, and
    /// one call at a time within a run.
    fn limits(&self, history: &History, rules: &Rules, found: &mut Found) {
        const PROMISE: &str = "nobody over the limits";
        let mut suite_of: HashMap<&str, &SuiteSeen> = HashMap::new();
        for suite in &history.suites {
            suite_of.extend(suite.runs.iter().map(|run| (run.id.as_str(), suite)));
        }
        // Ends before beginnings of the same moment; then by call.
        let mut changes: Vec<(i64, bool, usize)> = Vec::new();
        for (place, (heard, _)) in self.heard.iter().enumerate() {
            let until = heard.until.unwrap_or(i64::MAX);
            let until = if heard.dropped { until.saturating_sub(NOTICED_MS) } else { until };
            if until > heard.from {
                changes.push((heard.from, true, place));
                changes.push((until, false, place));
            }
        }
        changes.sort_unstable();
        let mut open: HashSet<usize> = HashSet::new();
        let mut most: HashMap<(&str, &str), (usize, usize)> = HashMap::new();
        for (_, begins, place) in changes {
            if !begins {
                open.remove(&place);
                continue;
            }
            open.insert(place);
            let (_, now) = self.heard[place];
            let suite = suite_of.get(now.run.as_str());
            let calls = |same: &dyn Fn(&Intent) -> bool| {
                open.iter().filter(|place| same(self.heard[**place].1)).count()
            };
            let mut note = |what, who, count, limit| {
                let entry = most.entry((what, who)).or_insert((0, limit));
                entry.0 = entry.0.max(count);
            };
            note("calls of the server", "", open.len(), rules.max_calls);
            note("calls of run", &now.run, calls(&|other| other.run == now.run), 1);
            if let Some(suite) = suite.filter(|_| !now.judging_again) {
                let of_suite = |other: &Intent| {
                    suite_of.get(other.run.as_str()).is_some_and(|other| other.id == suite.id)
                };
                note("calls of suite", &suite.id, calls(&of_suite), suite.concurrency);
                let of_user = |other: &Intent| {
                    suite_of.get(other.run.as_str()).is_some_and(|other| other.user == suite.user)
                };
                note("calls of user", &suite.user, calls(&of_user), rules.runs_per_user);
            }
        }
        for ((what, who), (count, limit)) in most {
            if count > limit {
                found.add(PROMISE, format!("{what} {who}: {count} at once, {limit} allowed"));
            }
        }
    }
}
