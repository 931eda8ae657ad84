//! What a re-run of a suite would use.

use super::ids::ScenarioId;
use super::run::{Run, RunStatus};
use super::services::RerunScope;
use serde::{Deserialize, Serialize};

/// The newest revisions of the agent and the scenarios of a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestRevisions {
    /// `None` if the agent was deleted.
    pub agent: Option<u32>,
    /// Without deleted scenarios.
    pub scenarios: Vec<(ScenarioId, u32)>,
}

impl NewestRevisions {
    fn scenario(&self, id: ScenarioId) -> Option<u32> {
        self.scenarios.iter().find(|(known, _)| *known == id).map(|(_, revision)| *revision)
    }

    /// Whether a re-run can repeat this run: its agent and its scenario still exist.
    #[must_use]
    pub fn can_rerun(&self, run: &Run) -> bool {
        self.agent.is_some() && self.scenario(run.scenario.id).is_some()
    }

    /// Whether a re-run can end differently than this run, which ended as an error: later,
    /// with a fixed connection, or because the agent or the scenario was changed.
    #[must_use]
    pub fn rerun_may_help(&self, run: &Run) -> bool {
        let is_changed = self.agent != Some(run.agent.revision)
            || self.scenario(run.scenario.id) != Some(run.scenario.revision);
        let error = run.error.as_ref();
        self.can_rerun(run) && error.is_some_and(|error| error.kind.rerun_may_help() || is_changed)
    }

    /// Whether a re-run of these runs is useful: one of them is in the scope and can be
    /// repeated, and if it is an error, may end differently.
    #[must_use]
    pub fn allow_rerun(&self, which: RerunScope, runs: &[Run]) -> bool {
        runs.iter().any(|run| match which {
            RerunScope::Errors => run.status == RunStatus::Error && self.rerun_may_help(run),
            RerunScope::Failed => run.status == RunStatus::Failed && self.can_rerun(run),
            RerunScope::All => run.status.is_final() && self.can_rerun(run),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::NewestRevisions;
    use crate::services::RerunScope::{self, All, Errors, Failed};
    use crate::{ErrorKind, Run, RunError, RunStatus, ScenarioId};
    use rstest::rstest;
    use serde_json::json;

    const SCENARIO: &str = "0190a000-0000-7000-8000-000000000003";

    /// A run of revision 2 of the agent and revision 5 of the scenario.
    fn run(status: RunStatus, error: Option<ErrorKind>) -> Run {
        let usage = json!({"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": null});
        let run: Run = serde_json::from_value(json!({
            "id": "0190a000-0000-7000-8000-000000000001",
            "suite_id": "0190a000-0000-7000-8000-000000000002",
            "agent": {"id": "0190a000-0000-7000-8000-000000000004", "revision": 2, "name": "A"},
            "scenario": {"id": SCENARIO, "revision": 5, "name": "S"}, "repetition": 1,
            "status": status, "attempt": 1, "recoveries": 0, "user_turns": 0,
            "user_turns_planned": 3, "created_at": "2026-11-23T06:38:38.123Z",
            "usage": {"agent": usage, "simulated_user": usage, "judge": usage},
        }))
        .unwrap();
        Run { error: error.map(|kind| RunError::new(kind, "It failed.")), ..run }
    }

    fn newest(agent: Option<u32>, scenario: Option<u32>) -> NewestRevisions {
        let id: ScenarioId = SCENARIO.parse().unwrap();
        NewestRevisions {
            agent,
            scenarios: scenario.map(|revision| (id, revision)).into_iter().collect(),
        }
    }

    use ErrorKind::{CircuitOpen, Incompatible, InvalidAgent, InvalidScenario, Timeout};

    #[rstest]
    // scope, error, newest revision of agent and scenario → useful
    #[case::later(Errors, Some(Timeout), Some(2), Some(5), true)]
    #[case::after_an_outage(Errors, Some(CircuitOpen), Some(2), Some(5), true)]
    #[case::incompatible(Errors, Some(Incompatible), Some(2), Some(5), false)]
    #[case::invalid_scenario(Errors, Some(InvalidScenario), Some(2), Some(5), false)]
    #[case::invalid_agent(Errors, Some(InvalidAgent), Some(2), Some(5), false)]
    #[case::agent_changed(Errors, Some(Incompatible), Some(3), Some(5), true)]
    #[case::scenario_changed(Errors, Some(InvalidScenario), Some(2), Some(6), true)]
    #[case::agent_deleted(Errors, Some(Timeout), None, Some(5), false)]
    #[case::scenario_deleted(Errors, Some(Timeout), Some(2), None, false)]
    #[case::agent_changed_and_scenario_deleted(Errors, Some(Timeout), Some(3), None, false)]
    #[case::no_error(Errors, None, Some(2), Some(5), false)]
    #[case::failed(Failed, None, Some(2), Some(5), true)]
    #[case::failed_of_deleted_agent(Failed, None, None, Some(5), false)]
    #[case::failed_of_deleted_scenario(Failed, None, Some(2), None, false)]
    #[case::error_is_not_failed(Failed, Some(Timeout), Some(2), Some(5), false)]
    #[case::all(All, Some(Incompatible), Some(2), Some(5), true)]
    #[case::all_of_deleted_agent(All, None, None, Some(5), false)]
    #[case::all_of_deleted_scenarios(All, None, Some(2), None, false)]
    fn rerun_is_allowed_where_it_can_help(
        #[case] which: RerunScope,
        #[case] error: Option<ErrorKind>,
        #[case] agent: Option<u32>,
        #[case] scenario: Option<u32>,
        #[case] allowed: bool,
    ) {
        let status = if error.is_some() { RunStatus::Error } else { RunStatus::Failed };
        let newest = newest(agent, scenario);
        assert_eq!(newest.allow_rerun(which, &[run(status, error)]), allowed);
        let passed = run(RunStatus::Passed, None);
        let mixed = [passed, run(status, error)];
        assert_eq!(newest.allow_rerun(which, &mixed), allowed, "beside a passed run");
        assert!(!newest.allow_rerun(which, &[run(RunStatus::Running, None)]));
    }
}
