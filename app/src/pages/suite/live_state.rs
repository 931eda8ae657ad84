//! State of the live page and the effect of events on it. Pure and idempotent:
//! duplicate, late and out-of-order events lead to the same state.

use crate::domain::{
    Counts, ErrorKind, FinishedEvent, ProgressEvent, Run, RunEvent, RunId, RunStatus, Speaker,
    Suite, SuiteEvent, SuiteSnapshot, SuiteStatus, Timestamp, Turn, TurnEvent, WaitReason, Waiting,
    WaitingRuns, judged_pass_rate, pass_rate,
};
use std::collections::{BTreeMap, BTreeSet};

/// The suite, its runs, and the transcript of the followed run.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveState {
    /// Sequence number of the newest applied event.
    pub seq: i64,
    /// Without its runs.
    pub suite: Suite,
    /// In order of creation, so that rows keep their place.
    pub runs: Vec<Run>,
    /// What runs wait for.
    pub waiting: Vec<WaitingRuns>,
    /// The run whose transcript is shown.
    pub followed: Option<RunId>,
    /// Turns of the followed run by index.
    pub turns: BTreeMap<u32, Turn>,
}

/// What events changed, so that only that is rendered again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Indexes of changed runs.
    pub runs: BTreeSet<usize>,
    /// Whether the suite or its counts changed.
    pub suite: bool,
    /// Whether the followed run has new turns.
    pub turns: bool,
    /// Runs that became final: index and status.
    pub ended: Vec<(usize, RunStatus)>,
    /// Whether the list of runs changed.
    pub all: bool,
}

impl Changes {
    fn merge(&mut self, next: Self) {
        self.runs.extend(next.runs);
        self.ended.extend(next.ended);
        self.suite |= next.suite;
        self.turns |= next.turns;
        self.all |= next.all;
    }
}

/// The run to follow first: the first running one, else the first failed one,
/// else the first error, else the last final one.
#[must_use]
pub fn default_run_to_follow(runs: &[Run]) -> Option<RunId> {
    let with = |status| runs.iter().find(move |run| run.status == status);
    with(RunStatus::Running)
        .or_else(|| with(RunStatus::Failed))
        .or_else(|| with(RunStatus::Error))
        .or_else(|| runs.iter().rfind(|run| run.status.is_final()))
        .or_else(|| runs.first())
        .map(|run| run.id)
}

impl LiveState {
    #[must_use]
    pub fn new(snapshot: SuiteSnapshot, followed: Option<Run>) -> Self {
        let SuiteSnapshot { seq, mut suite } = snapshot;
        let runs = suite.runs.take().unwrap_or_default();
        let held = |run: &Run| run.waiting_on.filter(|waiting| waiting.is_blocking(run.status));
        let waiting = WaitingRuns::group(runs.iter().filter_map(held));
        let mut state = Self { seq, suite, runs, waiting, followed: None, turns: BTreeMap::new() };
        state.align_retries();
        if let Some(run) = followed {
            state.follow(run.id);
            state.merge_turns(run.id, run.transcript.unwrap_or_default());
        }
        state
    }

    /// The next running run, if the followed one is final.
    #[must_use]
    pub fn follow_next(&self) -> Option<RunId> {
        let followed = self.runs.iter().find(|run| Some(run.id) == self.followed);
        if followed.is_some_and(|run| !run.status.is_final()) {
            return None;
        }
        self.runs.iter().find(|run| run.status == RunStatus::Running).map(|run| run.id)
    }

    /// Follows another run. [`Self::merge_turns`] adds its turns.
    pub fn follow(&mut self, run: RunId) {
        if self.followed != Some(run) {
            self.followed = Some(run);
            self.turns.clear();
        }
    }

    /// Adds loaded turns. Turns of a run that is no longer followed are dropped.
    pub fn merge_turns(&mut self, run: RunId, turns: Vec<Turn>) {
        if self.followed == Some(run) {
            for turn in turns {
                self.turns.entry(turn.index).or_insert(turn);
            }
        }
    }

    pub fn apply_all(&mut self, events: Vec<(Option<i64>, SuiteEvent)>) -> Changes {
        let mut changes = Changes::default();
        for (id, event) in events {
            changes.merge(self.apply(id, event));
        }
        changes
    }

    /// Applies one event with its sequence number, if it has one. Events that
    /// were applied before change nothing.
    pub fn apply(&mut self, id: Option<i64>, event: SuiteEvent) -> Changes {
        match (id, &event) {
            (_, SuiteEvent::Progress(_) | SuiteEvent::Snapshot(_)) | (None, _) => {}
            (Some(id), _) if id <= self.seq => return Changes::default(),
            (Some(id), _) => self.seq = id,
        }
        match event {
            SuiteEvent::Snapshot(snapshot) => self.replace(*snapshot),
            SuiteEvent::Run(event) => self.run(*event),
            SuiteEvent::Turn(event) => self.turn(*event),
            SuiteEvent::Progress(progress) => self.progress(&progress),
            SuiteEvent::Finished(finished) => self.finished(finished),
        }
    }

    fn replace(&mut self, snapshot: SuiteSnapshot) -> Changes {
        if snapshot.seq < self.seq {
            return Changes::default();
        }
        let mut ended = Vec::new();
        let fresh = Self::new(snapshot, None);
        for (i, run) in fresh.runs.iter().enumerate() {
            let before = self.runs.get(i).is_some_and(|old| old.status.is_final());
            if run.status.is_final() && !before {
                ended.push((i, run.status));
            }
        }
        self.seq = fresh.seq;
        self.suite = fresh.suite;
        self.runs = fresh.runs;
        self.waiting = fresh.waiting;
        Changes { all: true, suite: true, ended, ..Changes::default() }
    }

    fn run(&mut self, event: RunEvent) -> Changes {
        let run = event.run;
        let Some(at) = self.runs.iter().position(|known| known.id == run.id) else {
            self.runs.push(run);
            self.recount();
            return Changes { all: true, suite: true, ..Changes::default() };
        };
        let known = &mut self.runs[at];
        // A final status never changes.
        if *known == run || (known.status.is_final() && !run.status.is_final()) {
            return Changes::default();
        }
        let ended = !known.status.is_final() && run.status.is_final();
        let ended = ended.then_some((at, run.status)).into_iter().collect();
        let retry = run.waiting_on.filter(|waiting| waiting.what == WaitReason::Circuit);
        *known = run;
        self.recount();
        let mut runs = BTreeSet::from([at]);
        if let Some(Waiting { until, .. }) = retry {
            for group in self.waiting.iter_mut().filter(|one| one.what == WaitReason::Circuit) {
                group.until = until;
            }
            runs.extend(self.set_retry(until));
        }
        Changes { runs, suite: true, ended, ..Changes::default() }
    }

    /// Sets the next retry of every run that waits for the provider, so that all rows and
    /// the notice show the same time. The time that a run stores is that of the next
    /// retry when its wait began; a failed probe moves the next retry. Returns the changed runs.
    fn set_retry(&mut self, until: Option<Timestamp>) -> BTreeSet<usize> {
        let mut changed = BTreeSet::new();
        for (at, run) in self.runs.iter_mut().enumerate() {
            if let Some(waiting) = &mut run.waiting_on
                && waiting.what == WaitReason::Circuit
                && waiting.until != until
            {
                waiting.until = until;
                changed.insert(at);
            }
        }
        changed
    }

    /// Applies the next retry of the notice to all rows.
    fn align_retries(&mut self) -> BTreeSet<usize> {
        let group = self.waiting.iter().find(|group| group.what == WaitReason::Circuit);
        group.map(|group| group.until).map(|until| self.set_retry(until)).unwrap_or_default()
    }

    fn turn(&mut self, event: TurnEvent) -> Changes {
        let mut changes = Changes::default();
        let is_user_turn = event.turn.speaker == Speaker::User;
        if let Some(at) = self.runs.iter().position(|run| run.id == event.run_id)
            && is_user_turn
        {
            // Every turn event is applied once, by its sequence number.
            self.runs[at].user_turns += 1;
            changes.runs.insert(at);
        }
        if self.followed == Some(event.run_id) && !self.turns.contains_key(&event.turn.index) {
            self.turns.insert(event.turn.index, event.turn);
            changes.turns = true;
        }
        changes
    }

    fn progress(&mut self, progress: &ProgressEvent) -> Changes {
        // Progress never decreases. Counts come from the runs.
        if progress.done < self.suite.progress.done {
            return Changes::default();
        }
        self.suite.progress.eta_seconds = progress.eta_seconds;
        self.waiting.clone_from(&progress.waiting);
        // Queued runs emit no events, so their wait arrives with the progress.
        let mut runs = BTreeSet::new();
        for (at, run) in self.runs.iter_mut().enumerate() {
            if run.status == RunStatus::Pending && run.waiting_on != progress.pending_waiting_on {
                run.waiting_on = progress.pending_waiting_on;
                runs.insert(at);
            }
        }
        runs.extend(self.align_retries());
        Changes { runs, suite: true, ..Changes::default() }
    }

    fn finished(&mut self, finished: FinishedEvent) -> Changes {
        self.suite.status = finished.status;
        self.set_counts(finished.counts);
        self.suite.progress.done = finished.counts.done();
        self.suite.progress.eta_seconds = None;
        self.waiting.clear();
        if self.suite.finished_at.is_none() {
            self.suite.finished_at = self.runs.iter().filter_map(|run| run.finished_at).max();
        }
        Changes { suite: true, ..Changes::default() }
    }

    /// Distinct error kinds of the runs.
    #[must_use]
    pub fn error_kinds(&self) -> Vec<ErrorKind> {
        let mut kinds = Vec::new();
        for error in self.runs.iter().filter_map(|run| run.error.as_ref()) {
            if !kinds.contains(&error.kind) {
                kinds.push(error.kind);
            }
        }
        kinds
    }

    fn set_counts(&mut self, counts: Counts) {
        let suite = &mut self.suite;
        let is_cancelled =
            suite.status == SuiteStatus::Cancelled || suite.cancel_requested_at.is_some();
        suite.pass_rate = pass_rate(&counts, is_cancelled);
        suite.judged = counts.judged();
        suite.judged_pass_rate = judged_pass_rate(&counts);
        suite.counts = counts;
    }

    fn recount(&mut self) {
        let counts = Counts::from_statuses(self.runs.iter().map(|run| run.status));
        if self.suite.status == SuiteStatus::Pending && counts.running + counts.done() > 0 {
            self.suite.status = SuiteStatus::Running;
        }
        if self.suite.started_at.is_none() {
            self.suite.started_at = self.runs.iter().filter_map(|run| run.started_at).min();
        }
        self.set_counts(counts);
        self.suite.progress.done = counts.done();
        self.suite.progress.total = counts.total();
        self.suite.total = counts.total();
    }
}

/// Announcements for screen readers, at most one every five seconds.
#[derive(Clone, Debug, Default)]
pub struct StatusAnnouncer {
    queue: Vec<String>,
    last_at: Option<i64>,
    quarter: u32,
}

/// Minimum time between two announcements in milliseconds.
const ANNOUNCE_INTERVAL: i64 = 5000;

impl StatusAnnouncer {
    /// Skips the progress that the page already shows.
    #[must_use]
    pub fn starting_at(done: u32, total: u32) -> Self {
        Self { quarter: quarter(done, total), ..Self::default() }
    }

    /// Queues a sentence.
    pub fn say(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        self.queue.push(text.trim_end_matches('.').to_owned());
    }

    /// Announces 25%, 50% and 75% only.
    pub fn progress(&mut self, done: u32, total: u32) {
        let reached = quarter(done, total);
        if reached > self.quarter {
            self.quarter = reached;
            if reached < 4 {
                self.say(format!("{}% done", reached * 25));
            }
        }
    }

    /// The next announcement, if the interval has passed. Long queues are
    /// shortened to three sentences.
    pub fn flush(&mut self, now: i64) -> Option<String> {
        if self.queue.is_empty() || self.last_at.is_some_and(|at| now - at < ANNOUNCE_INTERVAL) {
            return None;
        }
        self.last_at = Some(now);
        let mut all = std::mem::take(&mut self.queue);
        if all.len() > 4 {
            let more = all.len() - 3;
            all.truncate(3);
            all.push(format!("And {more} more"));
        }
        Some(format!("{}.", all.join(". ")))
    }
}

fn quarter(done: u32, total: u32) -> u32 {
    done.saturating_mul(4).checked_div(total).unwrap_or(0)
}

#[cfg(test)]
#[path = "live_state_tests.rs"]
mod tests;
