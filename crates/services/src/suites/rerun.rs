//! Re-runs of a part of a suite. The new suite names its parent; where nothing
//! changed, only the missing work is done.

use super::Suites;
use domain::services::RerunScope;
use domain::{ErrorKind, ModelChoice, RunError, RunStatus, Scenario};
use store::rows::{ModelRef, ModelSnapshot, RunRow};
use store::suites::NewRun;

impl Suites {
    /// The run that repeats `row` with the newest revisions. `revision` is the agent's
    /// revision of `row`.
    pub(super) fn rerun_of(
        &self,
        row: &RunRow,
        scenario: Option<&Scenario>,
        agent: &domain::Agent,
        revision: u32,
    ) -> NewRun {
        let Some(scenario) = scenario else {
            let message = "Not run: the scenario was deleted.";
            return NewRun {
                id: self.clock.uuid().into(),
                scenario: row.scenario.clone(),
                repetition: row.repetition,
                timeout_ms: row.timeout_ms,
                user_turns_planned: row.user_turns_planned,
                source_run_id: None,
                error: Some(RunError::new(ErrorKind::Incompatible, message)),
            };
        };
        let unchanged = agent.revision == revision && scenario.revision == row.scenario.revision;
        let only_judging_failed = row.status == RunStatus::Error && row.end_reason.is_some();
        NewRun {
            source_run_id: (unchanged && only_judging_failed).then_some(row.id),
            ..self.new_run(agent, scenario, row.repetition)
        }
    }
}

/// The judge and the simulated user that the suite of a run selected itself.
pub(super) fn own_models(row: &RunRow) -> (Option<ModelChoice>, Option<ModelChoice>) {
    let ModelSnapshot { judge, simulated_user, requested, .. } = &row.model_snapshot;
    let choice = |model: &ModelRef| ModelChoice {
        connection_id: model.connection_id,
        model: model.model.clone(),
    };
    (
        requested.judge.then(|| choice(judge)),
        requested.simulated_user.then(|| choice(simulated_user)),
    )
}

pub(super) fn matches(row: &RunRow, which: RerunScope) -> bool {
    match which {
        RerunScope::Errors => row.status == RunStatus::Error,
        RerunScope::Failed => row.status == RunStatus::Failed,
        RerunScope::All => row.status.is_final(),
    }
}
