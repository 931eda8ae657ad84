//! Running part of a suite again: as a new suite that names its parent, and
//! with the missing work only where nothing has changed.

use crate::errors::StoreResultExt;
use super::start::reference;
use super::troubles::{refused_for, stopping};
use super::{Suites, plan};
use store::rows::{Frozen, ModelRef, RunRow};
use store::suites::{NewRun, NewSuite};
use domain::backend::{Answer, Caller, Keyed, Started, Which};
use domain::{ErrorKind, ModelChoice, RunError, RunStatus, Scenario, ScenarioRef, SuiteId};
use domain::error::AppError;

impl Suites {
    /// Starts the chosen runs of a suite again, at the newest revisions of
    /// agent and scenarios. A run whose conversation was finished before it
    /// became an error is only judged, if neither has changed since.
    pub async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        which: Which,
        keyed: &Keyed,
    ) -> Answer<Started> {
        if let Some(known) = self.replayed(caller, keyed).await? {
            return Ok(known);
        }
        let found = self.suites.suite(caller.space_id, id).await.or_app_error()?;
        let (parent, rows) = found.ok_or_else(|| AppError::not_found("suite"))?;
        let chosen: Vec<&RunRow> = rows.iter().filter(|row| matches(row, which)).collect();
        if chosen.is_empty() {
            return Err(AppError::conflict(match which {
                Which::Errors => "No run of this suite ended as an error.",
                Which::Failed => "No run of this suite failed.",
                Which::All => "This suite has no finished run.",
            }));
        }
        let agent = self.agents.agent(caller.space_id, parent.agent.id).await.or_app_error()?;
        let gone = || AppError::conflict("The agent of this suite was deleted.");
        let agent = agent.ok_or_else(gone)?;
        let ids: Vec<_> = chosen.iter().map(|row| row.scenario.id).collect();
        let scenarios = self.scenarios.scenarios_by_id(caller.space_id, &ids).await.or_app_error()?;
        // What the suite asked for itself it keeps; all else is as it is now.
        let (judge, user) = chosen.first().map_or((None, None), |row| own_models(row));
        let frozen = self.frozen(caller, &agent, judge.as_ref(), user.as_ref()).await?;
        let mut problems = agent.problems();
        let troubles = self.troubles(caller, &frozen).await;
        problems.extend(stopping(&troubles));
        refused_for(problems, &troubles)?;
        let runs = chosen.iter().map(|row| {
            let scenario = scenarios.iter().find(|scenario| scenario.id == row.scenario.id);
            self.again(row, scenario, &agent, parent.agent.revision)
        });
        let suite = NewSuite {
            id: SuiteId(self.clock.uuid()),
            space_id: caller.space_id,
            user_id: caller.user_id,
            agent: reference(&agent),
            frozen,
            concurrency: parent.concurrency,
            repeats: parent.repeats,
            note: parent.note.clone(),
            parent_id: Some(parent.id),
            runs: runs.collect(),
            allow_parallel: false,
            queue_per_user: self.limits.queue_per_user,
            key: None,
            at: self.clock.now(),
        };
        self.create(suite, keyed).await
    }

    fn again(
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

/// The judge and the simulated user that a run's suite asked for itself.
fn own_models(row: &RunRow) -> (Option<ModelChoice>, Option<ModelChoice>) {
    let Frozen { judge, simulated_user, own, .. } = &row.frozen;
    let choice = |model: &ModelRef| ModelChoice {
        connection_id: model.connection_id,
        model: model.model.clone(),
    };
    (own.judge.then(|| choice(judge)), own.simulated_user.then(|| choice(simulated_user)))
}

fn matches(row: &RunRow, which: Which) -> bool {
    match which {
        Which::Errors => row.status == RunStatus::Error,
        Which::Failed => row.status == RunStatus::Failed,
        Which::All => row.status.is_final(),
    }
}
