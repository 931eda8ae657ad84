//! The lifecycle of a suite: pending, running, and finished or canceled.

use super::Refused;
use crate::rows::{EventRow, RunRow, SuiteRow};
use crate::spending::Spent;
use crate::suites::NewSuite;
use domain::{Counts, FinishedEvent, SuiteStatus, Timestamp};

/// Where a suite is in its lifecycle. Only [`SuiteState::transition`] changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteState {
    status: SuiteStatus,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    cancel_requested_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuiteTransition {
    /// A worker claims the first run.
    Start,
    /// A user cancels the suite.
    Cancel,
    /// Finishes the suite unless a run is unfinished.
    Finish {
        /// The suite's runs by status.
        counts: Counts,
    },
}

impl SuiteState {
    /// A suite without started runs.
    pub const PENDING: Self = Self {
        status: SuiteStatus::Pending,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
    };

    /// A state as a store read it.
    #[must_use]
    pub fn from_stored(
        status: SuiteStatus,
        started_at: Option<Timestamp>,
        finished_at: Option<Timestamp>,
        cancel_requested_at: Option<Timestamp>,
    ) -> Self {
        Self { status, started_at, finished_at, cancel_requested_at }
    }

    /// Applies a transition. Returns the event of a suite that finished.
    ///
    /// # Errors
    /// [`Refused`]: the state is unchanged.
    pub fn transition(
        &mut self,
        transition: SuiteTransition,
        now: Timestamp,
    ) -> Result<Option<EventRow>, Refused> {
        if self.status.is_final() {
            return Err(Refused::NotApplicable);
        }
        match transition {
            SuiteTransition::Start if self.status == SuiteStatus::Pending => {
                self.status = SuiteStatus::Running;
                self.started_at.get_or_insert(now);
                Ok(None)
            }
            SuiteTransition::Cancel => {
                self.cancel_requested_at.get_or_insert(now);
                Ok(None)
            }
            SuiteTransition::Finish { counts } if counts.done() == counts.total() => {
                let cancelled = self.cancel_requested_at.is_some();
                self.status =
                    if cancelled { SuiteStatus::Cancelled } else { SuiteStatus::Finished };
                self.finished_at = Some(now);
                Ok(Some(EventRow::Finished(FinishedEvent { status: self.status, counts })))
            }
            SuiteTransition::Start | SuiteTransition::Finish { .. } => Err(Refused::NotApplicable),
        }
    }

    #[must_use]
    pub fn status(&self) -> SuiteStatus {
        self.status
    }

    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }

    #[must_use]
    pub fn cancel_requested_at(&self) -> Option<Timestamp> {
        self.cancel_requested_at
    }
}

/// The rows of a new suite.
#[derive(Clone, Debug)]
pub struct NewRows {
    pub suite: SuiteRow,
    pub runs: Vec<RunRow>,
    pub counts: Counts,
    /// What completed at once: incompatible runs, and the suite if there are
    /// no others. Recorded in logs and metrics, not in the event log.
    pub completed: Vec<EventRow>,
}

impl NewSuite {
    /// The rows of this suite. Runs with an error are final from the start.
    #[must_use]
    pub fn rows(&self) -> NewRows {
        let runs: Vec<_> = self
            .runs
            .iter()
            .zip(0..)
            .map(|(run, position)| RunRow::new(self, run, position))
            .collect();
        let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
        let mut state = SuiteState::PENDING;
        let finished = state.transition(SuiteTransition::Finish { counts }, self.at);
        let suite = SuiteRow {
            id: self.id,
            space_id: self.space_id,
            user_id: self.user_id,
            agent: self.agent.clone(),
            profile: self.profile.clone(),
            variables_at: self.variables_at,
            state,
            total: counts.total(),
            concurrency: self.concurrency,
            repeats: self.repeats,
            parent_id: self.parent_id,
            part_of: self.part_of,
            note: self.note.clone(),
            budget: self.budget,
            spent: Some(Spent::default()),
            seq: 0,
            created_at: self.at,
        };
        let final_runs = runs.iter().filter(|run| run.status.is_final());
        let mut completed: Vec<_> = final_runs.map(RunRow::event).collect();
        completed.extend(finished.ok().flatten());
        NewRows { suite, runs, counts, completed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);
    const LATER: Timestamp = Timestamp(2_000);

    fn finish(pending: u32, passed: u32) -> SuiteTransition {
        SuiteTransition::Finish { counts: Counts { pending, passed, ..Counts::default() } }
    }

    #[test]
    fn finishes_once_and_only_without_unfinished_runs() {
        let mut suite = SuiteState::PENDING;
        assert_eq!(suite.transition(SuiteTransition::Start, NOW), Ok(None));
        assert_eq!(suite.transition(SuiteTransition::Start, LATER), Err(Refused::NotApplicable));
        assert_eq!(suite.started_at(), Some(NOW));
        assert_eq!(suite.transition(finish(1, 1), LATER), Err(Refused::NotApplicable));
        assert!(matches!(suite.transition(finish(0, 2), LATER), Ok(Some(EventRow::Finished(_)))));
        let finished = suite;
        for transition in [SuiteTransition::Start, SuiteTransition::Cancel, finish(0, 2)] {
            assert_eq!(suite.transition(transition, LATER), Err(Refused::NotApplicable));
        }
        assert_eq!(suite, finished);
        assert_eq!((suite.status(), suite.finished_at()), (SuiteStatus::Finished, Some(LATER)));
    }

    #[test]
    fn cancelled_suite_ends_as_cancelled_with_its_first_cancel_time() {
        let mut suite = SuiteState::PENDING;
        assert_eq!(suite.transition(SuiteTransition::Cancel, NOW), Ok(None));
        assert_eq!(suite.transition(SuiteTransition::Cancel, LATER), Ok(None));
        assert_eq!(suite.cancel_requested_at(), Some(NOW));
        assert!(suite.transition(finish(0, 0), LATER).is_ok());
        assert_eq!(suite.status(), SuiteStatus::Cancelled);
    }
}
