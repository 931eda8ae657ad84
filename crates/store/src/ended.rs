//! What ended: counted and logged once, after its commit, whoever ended it
//! (its holder, a cancel, the reaper, the boot).
//!
//! A store notes ends where it appends events, and tells them when they are
//! durable. What a change noted that was undone is dropped with it.

use super::rows::{EventRow, RunRow};
use super::suites::NewSuite;
use domain::{Finished, Run, RunStatus, SuiteId};
use std::cell::RefCell;
use std::future::Future;

/// Ends that were noted and not yet told.
#[derive(Debug, Default)]
pub struct Ended {
    runs: Vec<Run>,
    suites: Vec<(SuiteId, Finished)>,
}

tokio::task_local! {
    static NOTED: RefCell<Ended>;
}

/// Runs a change and gathers what it noted.
pub async fn gathering<T>(change: impl Future<Output = T>) -> (T, Ended) {
    NOTED
        .scope(RefCell::default(), async move {
            let done = change.await;
            (done, NOTED.with(RefCell::take))
        })
        .await
}

/// Notes the ends among `events` for when their change is committed.
pub fn note(suite: SuiteId, events: &[EventRow]) {
    // Outside of a change nothing is gathered: there is nobody to tell it.
    let _ = NOTED.try_with(|noted| noted.borrow_mut().add(suite, events));
}

impl Ended {
    /// The ends among `events`.
    pub fn of(suite: SuiteId, events: &[EventRow]) -> Self {
        let mut ended = Self::default();
        ended.add(suite, events);
        ended
    }

    fn add(&mut self, suite: SuiteId, events: &[EventRow]) {
        for event in events {
            match event {
                EventRow::Run(run) if run.status.is_final() => self.runs.push((**run).clone()),
                EventRow::Finished(finished) => self.suites.push((suite, *finished)),
                EventRow::Run(_) | EventRow::Turn { .. } => {}
            }
        }
    }

    /// Counts and logs them.
    pub fn tell(self) {
        for run in &self.runs {
            count(run);
            let kind = run.error.as_ref().map(|error| error.kind.as_str());
            tracing::info!(
                run = %run.id,
                suite = %run.suite_id,
                status = run.status.as_str(),
                kind,
                attempt = run.attempt,
                recoveries = run.recoveries,
                duration_ms = run.duration_ms,
                "run ended"
            );
        }
        for (suite, Finished { status, counts }) in &self.suites {
            let (passed, failed, error) = (counts.passed, counts.failed, counts.error);
            let (inconclusive, cancelled) = (counts.inconclusive, counts.cancelled);
            let status = status.as_str();
            tracing::info!(%suite, status, passed, failed, inconclusive, error, cancelled, "suite ended");
        }
    }
}

fn count(run: &Run) {
    let status = run.status.as_str();
    let kind = run.error.as_ref().filter(|_| run.status == RunStatus::Error);
    let kind = kind.map_or("none", |error| error.kind.as_str());
    metrics::counter!("rehearsal_runs_finished_total", "status" => status, "error_kind" => kind)
        .increment(1);
    if let Some(took) = run.duration_ms {
        let took = std::time::Duration::from_millis(took);
        metrics::histogram!("rehearsal_run_duration_seconds", "status" => status).record(took);
    }
}

/// Runs of a new suite that ended before they began (they do not go together
/// with the agent), and the suite when that is all of them.
pub fn of_new(new: &NewSuite) -> Vec<EventRow> {
    let rows = new.runs.iter().zip(0..).map(|(run, position)| RunRow::fresh(new, run, position));
    let views: Vec<Run> = rows.map(|row| row.view()).collect();
    let counts = domain::Counts::from_statuses(views.iter().map(|run| run.status));
    let over = counts.done() == counts.total();
    let ended = views.into_iter().filter(|run| run.status.is_final());
    let mut events: Vec<_> = ended.map(|run| EventRow::Run(Box::new(run))).collect();
    if over {
        let status = domain::SuiteStatus::Finished;
        events.push(EventRow::Finished(Finished { status, counts }));
    }
    events
}
