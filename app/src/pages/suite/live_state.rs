//! What the live page knows, and how events change it. Pure: the same events
//! twice, late or out of order leave the same state.

use crate::domain::{
    Counts, ErrorKind, Finished, HeldRuns, Progress, Run, RunEvent, RunId, RunStatus, Speaker,
    Suite, SuiteEvent, SuiteSnapshot, SuiteStatus, Turn, TurnEvent, pass_rate,
};
use std::collections::{BTreeMap, BTreeSet};

/// The suite, its runs, and the transcript of the run that is followed.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveState {
    /// The newest event that is contained.
    pub seq: i64,
    /// The suite without runs.
    pub suite: Suite,
    /// Its runs in the order of their making: nothing jumps.
    pub runs: Vec<Run>,
    /// What runs wait for.
    pub waiting: Vec<HeldRuns>,
    /// The run whose transcript is shown.
    pub followed: Option<RunId>,
    /// Its turns by position.
    pub turns: BTreeMap<u32, Turn>,
}

/// What an event changed, so that only that is drawn again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Runs that are different now, by position.
    pub runs: BTreeSet<usize>,
    /// Whether the suite or its counts are.
    pub suite: bool,
    /// Whether the followed run has new turns.
    pub turns: bool,
    /// Runs that became final: position and status.
    pub ended: Vec<(usize, RunStatus)>,
    /// Whether everything must be drawn again.
    pub all: bool,
}

impl Changes {
    /// These and what changed after them.
    fn and(&mut self, next: Self) {
        self.runs.extend(next.runs);
        self.ended.extend(next.ended);
        self.suite |= next.suite;
        self.turns |= next.turns;
        self.all |= next.all;
    }
}

/// The run to look at first: one that talks, else the first failure, else the
/// first one.
#[must_use]
pub fn worth_following(runs: &[Run]) -> Option<RunId> {
    let with = |status| runs.iter().find(move |run| run.status == status);
    with(RunStatus::Running)
        .or_else(|| with(RunStatus::Failed))
        .or_else(|| with(RunStatus::Error))
        .or_else(|| runs.iter().rfind(|run| run.status.is_final()))
        .or_else(|| runs.first())
        .map(|run| run.id)
}

impl LiveState {
    /// From what the server knew when the page was made.
    #[must_use]
    pub fn new(snapshot: SuiteSnapshot, followed: Option<Run>) -> Self {
        let SuiteSnapshot { seq, mut suite } = snapshot;
        let runs = suite.runs.take().unwrap_or_default();
        let held = |run: &Run| run.waiting_on.filter(|waiting| waiting.holds_up(run.status));
        let waiting = HeldRuns::of(runs.iter().filter_map(held));
        let mut state = Self { seq, suite, runs, waiting, followed: None, turns: BTreeMap::new() };
        if let Some(run) = followed {
            state.follow(run.id);
            state.merge_turns(run.id, run.transcript.unwrap_or_default());
        }
        state
    }

    /// The run to follow next: one that talks, where the followed one does not
    /// any more.
    #[must_use]
    pub fn follow_next(&self) -> Option<RunId> {
        let followed = self.runs.iter().find(|run| Some(run.id) == self.followed);
        if followed.is_some_and(|run| !run.status.is_final()) {
            return None;
        }
        self.runs.iter().find(|run| run.status == RunStatus::Running).map(|run| run.id)
    }

    /// Follows another run; its turns come through [`Self::merge_turns`].
    pub fn follow(&mut self, run: RunId) {
        if self.followed != Some(run) {
            self.followed = Some(run);
            self.turns.clear();
        }
    }

    /// Turns of a run that were read; those of another run than the followed
    /// one came too late and are dropped.
    pub fn merge_turns(&mut self, run: RunId, turns: Vec<Turn>) {
        if self.followed == Some(run) {
            for turn in turns {
                self.turns.entry(turn.index).or_insert(turn);
            }
        }
    }

    /// Applies events in their order.
    pub fn apply_all(&mut self, events: Vec<(Option<i64>, SuiteEvent)>) -> Changes {
        let mut changes = Changes::default();
        for (id, event) in events {
            changes.and(self.apply(id, event));
        }
        changes
    }

    /// Applies one event; `id` is its seq, where it has one. What is known
    /// already changes nothing.
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
        // Final once, final for ever.
        if *known == run || (known.status.is_final() && !run.status.is_final()) {
            return Changes::default();
        }
        let ended = !known.status.is_final() && run.status.is_final();
        let ended = ended.then_some((at, run.status)).into_iter().collect();
        *known = run;
        self.recount();
        Changes { runs: BTreeSet::from([at]), suite: true, ended, ..Changes::default() }
    }

    fn turn(&mut self, event: TurnEvent) -> Changes {
        let mut changes = Changes::default();
        let spoken = event.turn.speaker == Speaker::User;
        if let Some(at) = self.runs.iter().position(|run| run.id == event.run_id)
            && spoken
        {
            // Each turn is told once (by its seq), so counting is enough.
            self.runs[at].user_turns += 1;
            changes.runs.insert(at);
        }
        if self.followed == Some(event.run_id) && !self.turns.contains_key(&event.turn.index) {
            self.turns.insert(event.turn.index, event.turn);
            changes.turns = true;
        }
        changes
    }

    fn progress(&mut self, progress: &Progress) -> Changes {
        // Progress only grows; counts come from the runs themselves.
        if progress.done < self.suite.progress.done {
            return Changes::default();
        }
        self.suite.progress.eta_seconds = progress.eta_seconds;
        self.waiting.clone_from(&progress.waiting);
        // No event tells of such a wait: nothing happens to a run that is not begun.
        let mut runs = BTreeSet::new();
        for (at, run) in self.runs.iter_mut().enumerate() {
            if run.status == RunStatus::Pending && run.waiting_on != progress.held {
                run.waiting_on = progress.held;
                runs.insert(at);
            }
        }
        Changes { runs, suite: true, ..Changes::default() }
    }

    fn finished(&mut self, finished: Finished) -> Changes {
        self.suite.status = finished.status;
        self.suite.counts = finished.counts;
        self.suite.pass_rate = pass_rate(&finished.counts);
        self.suite.progress.done = finished.counts.done();
        self.suite.progress.eta_seconds = None;
        self.waiting.clear();
        if self.suite.finished_at.is_none() {
            self.suite.finished_at = self.runs.iter().filter_map(|run| run.finished_at).max();
        }
        Changes { suite: true, ..Changes::default() }
    }

    /// The kinds of errors that runs ended with, each once.
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

    fn recount(&mut self) {
        let counts = Counts::from_statuses(self.runs.iter().map(|run| run.status));
        if self.suite.status == SuiteStatus::Pending && counts.running + counts.done() > 0 {
            self.suite.status = SuiteStatus::Running;
        }
        if self.suite.started_at.is_none() {
            self.suite.started_at = self.runs.iter().filter_map(|run| run.started_at).min();
        }
        self.suite.counts = counts;
        self.suite.pass_rate = pass_rate(&counts);
        self.suite.progress.done = counts.done();
        self.suite.progress.total = counts.total();
        self.suite.total = counts.total();
    }
}

/// What a screen reader is told of the suite: few sentences, at most one every
/// five seconds, none lost that matters.
#[derive(Clone, Debug, Default)]
pub struct StatusLine {
    waiting: Vec<String>,
    last_at: Option<i64>,
    quarter: u32,
}

/// Milliseconds between two sentences.
const QUIET: i64 = 5000;

impl StatusLine {
    /// One that does not tell again what stood on the page at the start.
    #[must_use]
    pub fn starting_at(done: u32, total: u32) -> Self {
        Self { quarter: quarter(done, total), ..Self::default() }
    }

    /// Something to say when there is room.
    pub fn say(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        self.waiting.push(text.trim_end_matches('.').to_owned());
    }

    /// Progress: said at 25, 50 and 75 % only.
    pub fn progress(&mut self, done: u32, total: u32) {
        let reached = quarter(done, total);
        if reached > self.quarter {
            self.quarter = reached;
            if reached < 4 {
                self.say(format!("{} % done", reached * 25));
            }
        }
    }

    /// The sentence to say now, if there is one and it is not too soon.
    pub fn flush(&mut self, now: i64) -> Option<String> {
        if self.waiting.is_empty() || self.last_at.is_some_and(|at| now - at < QUIET) {
            return None;
        }
        self.last_at = Some(now);
        let mut all = std::mem::take(&mut self.waiting);
        if all.len() > 4 {
            let more = all.len() - 3;
            all.truncate(3);
            all.push(format!("and {more} more"));
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
