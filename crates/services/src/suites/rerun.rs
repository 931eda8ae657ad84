//! Re-runs of a part of a suite. The new suite names its parent; where nothing
//! changed, only the missing work is done.

use super::{Suites, plan};
use domain::services::RerunScope;
use domain::{ErrorKind, ModelChoice, RunError, RunStatus, Scenario, ScenarioRef};
use store::rows::{ModelRef, ModelSnapshot, RunRow};
use store::suites::NewRun;

impl Suites {
    pub(super) fn again(
        &self,
        row: &RunRow,
        scenario: Option<&Scenario>,
        agent: &domain::Agent,
        revision: u32,
    ) -> NewRun {
        let fresh = NewRun {
            id: self.clock.uuid().into(),
            scenario: row.scenario.clone(),
            repetition: row.repetition,
            timeout_ms: row.timeout_ms,
            user_turns_planned: row.user_turns_planned,
            source_run_id: None,
            error: None,
        };
        let Some(scenario) = scenario else {
            let message = "Not run: the scenario was deleted.";
            return NewRun {
                error: Some(RunError::new(ErrorKind::Incompatible, message)),
                ..fresh
            };
        };
        let unchanged = agent.revision == revision && scenario.revision == row.scenario.revision;
        let talked = row.status == RunStatus::Error && row.end_reason.is_some();
        let incompatible = plan::incompatible(agent, scenario);
        NewRun {
            scenario: ScenarioRef {
                id: scenario.id,
                revision: scenario.revision,
                name: scenario.spec.name.clone(),
            },
            timeout_ms: u64::from(scenario.spec.timeout_seconds) * 1000,
            user_turns_planned: plan::user_turns(scenario),
            source_run_id: (unchanged && talked).then_some(row.id),
            error: incompatible.map(|reason| {
                RunError::new(ErrorKind::Incompatible, format!("Not run: {reason}."))
            }),
            ..fresh
        }
    }
}

/// The judge and the simulated user that the suite of a run selected itself.
pub(super) fn own_models(row: &RunRow) -> (Option<ModelChoice>, Option<ModelChoice>) {
    let ModelSnapshot { judge, simulated_user, own, .. } = &row.model_snapshot;
    let choice = |model: &ModelRef| ModelChoice {
        connection_id: model.connection_id,
        model: model.model.clone(),
    };
    (own.judge.then(|| choice(judge)), own.simulated_user.then(|| choice(simulated_user)))
}

pub(super) fn matches(row: &RunRow, which: RerunScope) -> bool {
    match which {
        RerunScope::Errors => row.status == RunStatus::Error,
        RerunScope::Failed => row.status == RunStatus::Failed,
        RerunScope::All => row.status.is_final(),
    }
}
