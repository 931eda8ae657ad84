//! The signals of the live page. What is known is in [`LiveState`]; only what
//! an event changed is drawn again.

use super::hearing::Hearing;
use super::live_state::{Changes, LiveState, StatusLine, worth_following};
use crate::components::browser;
use crate::components::load::ask_once;
use crate::domain::{
    ErrorKind, HeldRuns, Run, RunId, RunStatus, Suite, SuiteEvent, SuiteId, SuiteStatus, Turn,
};
use crate::server_fns::suites::SuiteData;
use crate::server_fns::{RunQuery, SuiteQuery, Stop, cancel};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Id of the element that scrolls.
pub const LOG: &str = "transcript-log";

/// Id of the panel around it.
pub const PANEL: &str = "said";

/// One run and its signal.
#[derive(Clone, Copy, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: RunId,
    /// The run as it is known.
    pub run: RwSignal<Run>,
}

/// Everything the live page shows.
#[derive(Clone, Copy)]
pub struct Live {
    /// The suite.
    pub id: SuiteId,
    /// What is known.
    pub state: StoredValue<LiveState>,
    /// The suite without its runs.
    pub suite: RwSignal<Suite>,
    /// Its runs in their order.
    pub rows: RwSignal<Vec<Row>>,
    /// What they wait for.
    pub waiting: RwSignal<Vec<HeldRuns>>,
    /// The kinds of errors that they ended with.
    pub errors: RwSignal<Vec<ErrorKind>>,
    /// Whose transcript is shown.
    pub followed: RwSignal<Option<RunId>>,
    /// Its turns.
    pub turns: RwSignal<Vec<Turn>>,
    /// Whether somebody chose it.
    pub pinned: RwSignal<bool>,
    /// New turns below what is seen.
    pub unread: RwSignal<u32>,
    /// The stream.
    pub hearing: RwSignal<Hearing>,
    /// The one polite line.
    pub status: RwSignal<String>,
    /// The browser's clock, in seconds; 0 until the page is alive.
    pub now: RwSignal<i64>,
    /// Whether somebody asked to stop.
    pub cancelling: RwSignal<bool>,
    /// What could not be done, in words.
    pub problem: RwSignal<Option<String>>,
    line: StoredValue<StatusLine>,
}

impl Live {
    /// From what the server knew when the page was made.
    #[must_use]
    pub fn new(view: SuiteData, pinned: bool) -> Self {
        let state = LiveState::new(view.snapshot, view.followed);
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
            hearing: RwSignal::new(Hearing::Fine),
            status: RwSignal::new(String::new()),
            now: RwSignal::new(0),
            cancelling: RwSignal::new(suite.cancel_requested_at.is_some()),
            problem: RwSignal::new(None),
            line: StoredValue::new(StatusLine::starting_at(progress.done, progress.total)),
            suite: RwSignal::new(suite),
            state: StoredValue::new(state),
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.suite.try_with_untracked(|suite| suite.status.is_final()).unwrap_or(true)
    }

    /// Whether a scenario is there more than once.
    #[must_use]
    pub fn many(self) -> bool {
        self.suite.with_untracked(|suite| suite.repeats > 1)
    }

    /// The newest event that is contained.
    #[must_use]
    pub fn seq(self) -> i64 {
        self.state.with_value(|state| state.seq)
    }

    /// Takes in what the stream told since the last time, and draws it once:
    /// with hundreds of runs many events come between two frames.
    pub fn hear(self, events: Vec<(Option<i64>, SuiteEvent)>) {
        let was_final = self.is_final();
        let was = self.suite.with_untracked(|suite| suite.status);
        let Some(changes) = self.state.try_update_value(|state| state.apply_all(events)) else {
            return;
        };
        self.draw(&changes);
        self.speak(was, &changes);
        self.keep_following(was_final);
    }

    /// What a screen reader hears of it.
    fn speak(self, was: SuiteStatus, changes: &Changes) {
        let suite = self.suite.get_untracked();
        self.line.update_value(|line| {
            if was == SuiteStatus::Pending && suite.status == SuiteStatus::Running {
                line.say("Started");
            }
            for (at, status) in &changes.ended {
                let name =
                    self.state.with_value(|s| s.runs.get(*at).map(|r| r.scenario.name.clone()));
                match (status, name) {
                    (RunStatus::Failed, Some(name)) => line.say(format!("{name} failed")),
                    (RunStatus::Error, Some(name)) => line.say(format!("{name} ended in an error")),
                    _ => {}
                }
            }
            line.progress(suite.progress.done, suite.progress.total);
            if suite.status.is_final() && !was.is_final() {
                let c = suite.counts;
                line.say(format!(
                    "{}: {} passed, {} failed",
                    suite.status.label(),
                    c.passed,
                    c.failed
                ));
            }
        });
    }

    /// Another run is followed where the one that was is over, unless somebody
    /// chose it. The report shows the run that a reload would show.
    fn keep_following(self, was_final: bool) {
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

    fn draw(self, changes: &Changes) {
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
            self.draw_turns();
        }
    }

    /// Shows the turns as they are known; scrolls only where the reader stood
    /// at the end already.
    fn draw_turns(self) {
        let turns: Vec<Turn> = self.state.with_value(|s| s.turns.values().cloned().collect());
        let before = self.turns.with_untracked(Vec::len);
        let new = turns.len().saturating_sub(before);
        if new == 0 {
            return;
        }
        let at_end = browser::is_at_end(LOG);
        self.turns.set(turns);
        if at_end {
            browser::later(0, || browser::scroll_to_end(LOG));
        } else {
            self.unread.update(|unread| *unread += u32::try_from(new).unwrap_or_default());
        }
    }

    /// Shows another run's transcript.
    pub fn follow(self, run: RunId) {
        if self.followed.get_untracked() == Some(run) {
            return;
        }
        self.state.update_value(|state| state.follow(run));
        self.followed.set(Some(run));
        self.turns.set(Vec::new());
        self.unread.set(0);
        self.read_transcript(run);
    }

    /// Reads what was said so far; what arrives meanwhile is merged.
    pub fn read_transcript(self, run: RunId) {
        spawn_local(async move {
            let ask = RunQuery { id: run.to_string() };
            if let Ok(view) = ask_once(ask).await {
                let turns = view.run.transcript.unwrap_or_default();
                if self.state.try_update_value(|state| state.merge_turns(run, turns)).is_some()
                    && self.followed.get_untracked() == Some(run)
                {
                    self.draw_turns();
                }
            }
        });
    }

    /// Reads everything anew: after a stream that was refused.
    pub fn read_all(self) {
        let followed = self.followed.get_untracked();
        spawn_local(async move {
            let run = followed.map(|run| run.to_string());
            let ask = SuiteQuery { id: self.id.to_string(), run };
            let Ok(view) = ask_once(ask).await else { return };
            if self.suite.try_get_untracked().is_none() {
                return;
            }
            self.hear(vec![(None, SuiteEvent::Snapshot(Box::new(view.snapshot)))]);
            if let (Some(run), Some(id)) = (view.followed, followed) {
                let turns = run.transcript.unwrap_or_default();
                self.state.update_value(|state| state.merge_turns(id, turns));
                self.draw_turns();
            }
        });
    }

    /// Asks the suite to stop; the page says so at once.
    pub fn cancel(self) {
        self.stop(Stop::Suite(self.id.to_string()), self.cancelling);
    }

    /// Asks one run to stop; `asked` says whether that is on its way.
    pub fn cancel_run(self, run: RunId, asked: RwSignal<bool>) {
        self.stop(Stop::Run(run.to_string()), asked);
    }

    fn stop(self, what: Stop, asked: RwSignal<bool>) {
        asked.set(true);
        self.problem.set(None);
        spawn_local(async move {
            if let Err(error) = cancel(what).await
                && !self.is_final()
            {
                let _ = asked.try_set(false);
                let problem = format!("Could not cancel: {error}");
                self.say(problem.clone());
                let _ = self.problem.try_set(Some(problem));
            }
        });
    }

    /// Says something on the polite line, when there is room.
    pub fn say(self, text: impl Into<String>) {
        let text = text.into();
        let _ = self.line.try_update_value(|line| line.say(text));
    }

    /// A second has passed.
    pub fn tick(self, millis: i64) {
        self.now.set(millis / 1000);
        if let Some(Some(text)) = self.line.try_update_value(|line| line.flush(millis)) {
            self.status.set(text);
        }
    }

    /// The stream changed.
    pub fn heard(self, hearing: Hearing) {
        if self.hearing.get_untracked() == hearing {
            return;
        }
        self.hearing.set(hearing);
        match hearing {
            Hearing::Lost => self.say("Connection lost, reconnecting"),
            Hearing::Back => self.say("Back, caught up"),
            Hearing::Fine | Hearing::Polling => {}
        }
    }

    /// The address that follows a run.
    #[must_use]
    pub fn address_of(self, run: RunId) -> String {
        format!("/suites/{}?run={run}", self.id)
    }

    /// The run of an address; an unknown one is none.
    #[must_use]
    pub fn known(self, run: &str) -> Option<RunId> {
        let id = run.parse().ok()?;
        self.state.with_value(|state| state.runs.iter().any(|run| run.id == id)).then_some(id)
    }

    /// The run to look at when the address names none.
    #[must_use]
    pub fn default_run(self) -> Option<RunId> {
        self.state.with_value(|state| worth_following(&state.runs))
    }
}

fn rows_of(runs: &[Run]) -> Vec<Row> {
    runs.iter().map(|run| Row { id: run.id, run: RwSignal::new(run.clone()) }).collect()
}
