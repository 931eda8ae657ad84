//! Signals of the live page. [`LiveState`] holds the data; an event updates only
//! the signals whose data changed.

use super::live_state::{Changes, LiveState, StatusAnnouncer, default_run_to_follow};
use super::stream_status::StreamStatus;
use crate::components::browser;
use crate::components::page_data::load_once;
use crate::domain::{
    ErrorKind, Run, RunId, RunStatus, Suite, SuiteEvent, SuiteId, SuiteStatus, Turn, WaitingRuns,
};
use crate::server_fns::suites::SuiteData;
use crate::server_fns::{CancelTarget, RunQuery, SuiteQuery, cancel};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// ID of the scrolling transcript element.
pub const LOG: &str = "transcript-log";

/// ID of the panel around the transcript.
pub const PANEL: &str = "transcript-panel";

#[derive(Clone, Copy, PartialEq)]
pub struct Row {
    pub id: RunId,
    pub run: RwSignal<Run>,
}

#[derive(Clone, Copy)]
pub struct LiveSuite {
    pub id: SuiteId,
    pub state: StoredValue<LiveState>,
    /// Without its runs.
    pub suite: RwSignal<Suite>,
    pub rows: RwSignal<Vec<Row>>,
    /// What runs wait for.
    pub waiting: RwSignal<Vec<WaitingRuns>>,
    /// Distinct error kinds of the runs.
    pub errors: RwSignal<Vec<ErrorKind>>,
    /// The run whose transcript is shown.
    pub followed: RwSignal<Option<RunId>>,
    /// Turns of the followed run.
    pub turns: RwSignal<Vec<Turn>>,
    /// Whether the user chose the followed run, which disables auto-follow.
    pub pinned: RwSignal<bool>,
    /// Number of new turns below the scroll position.
    pub unread: RwSignal<u32>,
    pub stream_status: RwSignal<StreamStatus>,
    /// Text of the screen reader status region.
    pub announcement: RwSignal<String>,
    /// The browser's clock in seconds; 0 before hydration.
    pub now: RwSignal<i64>,
    /// Whether the page is hydrated.
    pub is_interactive: RwSignal<bool>,
    /// Whether cancellation was requested.
    pub cancelling: RwSignal<bool>,
    /// Why the last action failed.
    pub problem: RwSignal<Option<String>>,
    announcer: StoredValue<StatusAnnouncer>,
}

impl LiveSuite {
    #[must_use]
    pub fn new(data: SuiteData, pinned: bool) -> Self {
        let state = LiveState::new(data.snapshot, data.followed);
        let suite = state.suite.clone();
        let progress = suite.progress;
        Self {
            id: suite.id,
            rows: RwSignal::new(rows_of(&state.runs)),
            waiting: RwSignal::new(state.waiting.clone()),
            errors: RwSignal::new(state.error_kinds()),
            followed: RwSignal::new(state.followed),
            turns: RwSignal::new(state.turns.values().cloned().collect()),
            pinned: RwSignal::new(pinned),
            unread: RwSignal::new(0),
            stream_status: RwSignal::new(StreamStatus::Connected),
            announcement: RwSignal::new(String::new()),
            now: RwSignal::new(0),
            is_interactive: RwSignal::new(false),
            cancelling: RwSignal::new(suite.cancel_requested_at.is_some()),
            problem: RwSignal::new(None),
            announcer: StoredValue::new(StatusAnnouncer::starting_at(
                progress.done,
                progress.total,
            )),
            suite: RwSignal::new(suite),
            state: StoredValue::new(state),
        }
    }

    #[must_use]
    pub fn is_final(self) -> bool {
        self.suite.try_with_untracked(|suite| suite.status.is_final()).unwrap_or(true)
    }

    /// Whether the suite repeats scenarios.
    #[must_use]
    pub fn has_repeats(self) -> bool {
        self.suite.with_untracked(|suite| suite.repeats > 1)
    }

    /// Sequence number of the newest applied event.
    #[must_use]
    pub fn seq(self) -> i64 {
        self.state.with_value(|state| state.seq)
    }

    /// Applies a batch of events and updates the signals once. With hundreds of
    /// runs, many events arrive between two frames.
    pub fn apply_events(self, events: Vec<(Option<i64>, SuiteEvent)>) {
        let was_final = self.is_final();
        let previous = self.suite.with_untracked(|suite| suite.status);
        let Some(changes) = self.state.try_update_value(|state| state.apply_all(events)) else {
            return;
        };
        self.update_signals(&changes);
        self.announce(previous, &changes);
        self.follow_automatically(was_final);
    }

    /// Announces status changes to screen readers.
    fn announce(self, previous: SuiteStatus, changes: &Changes) {
        let suite = self.suite.get_untracked();
        self.announcer.update_value(|announcer| {
            if previous == SuiteStatus::Pending && suite.status == SuiteStatus::Running {
                announcer.say("Started");
            }
            for (at, status) in &changes.ended {
                let name =
                    self.state.with_value(|s| s.runs.get(*at).map(|r| r.scenario.name.clone()));
                match (status, name) {
                    (RunStatus::Failed, Some(name)) => announcer.say(format!("{name} failed")),
                    (RunStatus::Error, Some(name)) => {
                        announcer.say(format!("{name} ended with an error"))
                    }
                    _ => {}
                }
            }
            announcer.progress(suite.progress.done, suite.progress.total);
            if suite.status.is_final() && !previous.is_final() {
                let c = suite.counts;
                announcer.say(format!(
                    "{}: {} passed, {} failed",
                    suite.status.label(),
                    c.passed,
                    c.failed
                ));
            }
        });
    }

    /// Follows another run when the followed one is final, unless the user chose
    /// it. A finished suite shows the run that a reload would show.
    fn follow_automatically(self, was_final: bool) {
        if self.pinned.get_untracked() {
            return;
        }
        let next = if self.is_final() {
            if was_final { None } else { self.default_run() }
        } else {
            self.state.with_value(LiveState::follow_next)
        };
        if let Some(next) = next {
            self.follow(next);
        }
    }

    fn update_signals(self, changes: &Changes) {
        if changes.all {
            let runs = self.state.with_value(|state| state.runs.clone());
            self.rows.set(rows_of(&runs));
        }
        for at in &changes.runs {
            let run = self.state.with_value(|state| state.runs.get(*at).cloned());
            let row = self.rows.with_untracked(|rows| rows.get(*at).copied());
            if let (Some(run), Some(row)) = (run, row) {
                row.run.set(run);
            }
        }
        if changes.suite {
            let waiting = self.state.with_value(|state| state.waiting.clone());
            if self.waiting.with_untracked(|known| *known != waiting) {
                self.waiting.set(waiting);
            }
            let kinds = self.state.with_value(LiveState::error_kinds);
            if self.errors.with_untracked(|known| *known != kinds) {
                self.errors.set(kinds);
            }
            self.suite.set(self.state.with_value(|state| state.suite.clone()));
        }
        if changes.turns {
            self.update_turns();
        }
    }

    /// Updates the transcript. Scrolls only if the reader was at the end.
    fn update_turns(self) {
        let turns: Vec<Turn> = self.state.with_value(|s| s.turns.values().cloned().collect());
        let before = self.turns.with_untracked(Vec::len);
        let new = turns.len().saturating_sub(before);
        if new == 0 {
            return;
        }
        let at_end = browser::is_at_end(LOG);
        self.turns.set(turns);
        if at_end {
            browser::after_ms(0, || browser::scroll_to_end(LOG));
        } else {
            self.unread.update(|unread| *unread += u32::try_from(new).unwrap_or_default());
        }
    }

    pub fn follow(self, run: RunId) {
        if self.followed.get_untracked() == Some(run) {
            return;
        }
        self.state.update_value(|state| state.follow(run));
        self.followed.set(Some(run));
        self.turns.set(Vec::new());
        self.unread.set(0);
        self.load_transcript(run);
    }

    /// Loads the transcript so far and merges turns that arrive meanwhile.
    pub fn load_transcript(self, run: RunId) {
        spawn_local(async move {
            let query = RunQuery { id: run.to_string() };
            if let Ok(data) = load_once(query).await {
                let turns = data.run.transcript.unwrap_or_default();
                if self.state.try_update_value(|state| state.merge_turns(run, turns)).is_some()
                    && self.followed.get_untracked() == Some(run)
                {
                    self.update_turns();
                }
            }
        });
    }

    /// Loads the suite and the followed transcript again, because a rejected
    /// stream delivers no events.
    pub fn reload(self) {
        let followed = self.followed.get_untracked();
        spawn_local(async move {
            let run = followed.map(|run| run.to_string());
            let query = SuiteQuery { id: self.id.to_string(), run };
            let Ok(data) = load_once(query).await else { return };
            if self.suite.try_get_untracked().is_none() {
                return;
            }
            self.apply_events(vec![(None, SuiteEvent::Snapshot(Box::new(data.snapshot)))]);
            if let (Some(run), Some(id)) = (data.followed, followed) {
                let turns = run.transcript.unwrap_or_default();
                self.state.update_value(|state| state.merge_turns(id, turns));
                self.update_turns();
            }
        });
    }

    pub fn cancel(self) {
        self.request_cancel(CancelTarget::Suite(self.id.to_string()), self.cancelling);
    }

    /// Cancels a run. `cancelling` is reset if the request fails.
    pub fn cancel_run(self, run: RunId, cancelling: RwSignal<bool>) {
        self.request_cancel(CancelTarget::Run(run.to_string()), cancelling);
    }

    fn request_cancel(self, target: CancelTarget, cancelling: RwSignal<bool>) {
        cancelling.set(true);
        self.problem.set(None);
        spawn_local(async move {
            if let Err(error) = cancel(target).await
                && !self.is_final()
            {
                let _ = cancelling.try_set(false);
                let problem = format!("Could not cancel: {error}");
                self.say(problem.clone());
                let _ = self.problem.try_set(Some(problem));
            }
        });
    }

    /// Queues a text for screen readers.
    pub fn say(self, text: impl Into<String>) {
        let text = text.into();
        let _ = self.announcer.try_update_value(|announcer| announcer.say(text));
    }

    /// Called once a second with the current time in milliseconds.
    pub fn tick(self, millis: i64) {
        self.now.set(millis / 1000);
        if let Some(Some(text)) =
            self.announcer.try_update_value(|announcer| announcer.flush(millis))
        {
            self.announcement.set(text);
        }
    }

    pub fn set_stream_status(self, stream_status: StreamStatus) {
        if self.stream_status.get_untracked() == stream_status {
            return;
        }
        self.stream_status.set(stream_status);
        match stream_status {
            StreamStatus::Reconnecting => self.say("Connection lost, reconnecting"),
            StreamStatus::Reconnected => self.say("Reconnected"),
            StreamStatus::Connected | StreamStatus::Polling => {}
        }
    }

    /// The URL that follows a run.
    #[must_use]
    pub fn url_of(self, run: RunId) -> String {
        format!("/suites/{}?run={run}", self.id)
    }

    /// The run with this ID, if it belongs to the suite.
    #[must_use]
    pub fn find_run(self, run: &str) -> Option<RunId> {
        let id = run.parse().ok()?;
        self.state.with_value(|state| state.runs.iter().any(|run| run.id == id)).then_some(id)
    }

    /// The run to follow if the URL names none.
    #[must_use]
    pub fn default_run(self) -> Option<RunId> {
        self.state.with_value(|state| default_run_to_follow(&state.runs))
    }
}

fn rows_of(runs: &[Run]) -> Vec<Row> {
    runs.iter().map(|run| Row { id: run.id, run: RwSignal::new(run.clone()) }).collect()
}
