//! Re-runs of a part of a suite. The new suite names its parent; where nothing
//! changed, only the missing work is done.

use super::{Suites, preflight};
use domain::error::AppError;
use domain::services::{AppResult, RerunScope};
use domain::{Agent, ErrorKind, ModelChoice, NewestRevisions, RunError, RunStatus, Scenario};
use store::rows::{ModelSnapshot, RunRow, SuiteRow};
use store::suites::NewRun;

impl Suites {
    /// The run that repeats `row` with the newest revisions. `revision` is the agent's
    /// revision of `row`.
    pub(super) fn rerun_of(
        &self,
        row: &RunRow,
        scenario: Option<&Scenario>,
        agent: &Agent,
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
        NewRun {
            source_run_id: (unchanged && has_reusable_conversation(row)).then_some(row.id),
            ..self.new_run(agent, scenario, row.repetition)
        }
    }
}

/// Whether a rerun continues the stored conversation: it finished and only the judging
/// failed, or it stopped because the provider or the budget let no call through. A deployed agent may have
/// forgotten a session meanwhile, so a conversation with one begins anew.
fn has_reusable_conversation(row: &RunRow) -> bool {
    let stopped_from_outside =
        row.error.as_ref().is_some_and(|error| error.kind.can_continue_conversation());
    let can_continue = stopped_from_outside && row.turns > 0 && row.session_id.is_none();
    row.status == RunStatus::Error && (row.end_reason.is_some() || can_continue)
}

/// The judge and the simulated user that the suite of a run selected itself.
pub(super) fn requested_models(row: &RunRow) -> (Option<ModelChoice>, Option<ModelChoice>) {
    let ModelSnapshot { judge, simulated_user, requested, .. } = &row.model_snapshot;
    (
        requested.judge.then(|| ModelChoice::from(judge)),
        requested.simulated_user.then(|| ModelChoice::from(simulated_user)),
    )
}

pub(super) fn newest(agent: Option<&Agent>, scenarios: &[Scenario]) -> NewestRevisions {
    NewestRevisions {
        agent: agent.map(|agent| agent.revision),
        scenarios: scenarios.iter().map(|scenario| (scenario.id, scenario.revision)).collect(),
    }
}

/// Refuses a re-run that cannot change any result.
pub(super) fn check_rerun(
    which: RerunScope,
    rows: &[&RunRow],
    agent: &Agent,
    scenarios: &[Scenario],
) -> AppResult<()> {
    let newest = newest(Some(agent), scenarios);
    let runs: Vec<_> = rows.iter().map(|row| row.view()).collect();
    if newest.allow_rerun(which, &runs) {
        return Ok(());
    }
    let detail = if runs.iter().any(|run| newest.can_rerun(run)) {
        "A re-run would end with the same errors, because neither the agent nor a scenario of these runs was changed. Change them first, or start all runs again."
    } else {
        "The scenarios of these runs were deleted, so nothing can be run again."
    };
    Err(AppError::conflict(detail))
}

/// The number of runs of the whole, if a re-run of so many runs of `parent` is a part. A
/// re-run of a part is a part of the first suite, also if it repeats the whole part.
pub(super) fn part_of(parent: &SuiteRow, runs: usize) -> Option<u32> {
    let whole = parent.part_of.unwrap_or(parent.total);
    (preflight::count(runs) < whole).then_some(whole)
}

pub(super) fn matches(row: &RunRow, which: RerunScope) -> bool {
    match which {
        RerunScope::Errors => row.status == RunStatus::Error,
        RerunScope::Failed => row.status == RunStatus::Failed,
        RerunScope::All => row.status.is_final(),
    }
}

#[cfg(test)]
mod tests {
    use super::has_reusable_conversation;
    use domain::{EndReason, ErrorKind};
    use std::time::Duration;
    use store::contract::queue::{T0, at, finish, new_run, suite, turns};
    use store::rows::RunRow;
    use store::transition::{RunChange, RunOutcome, RunTransition};

    /// A run that ended with this error after these turns.
    fn failed(kind: ErrorKind, messages: &[&str], end_reason: Option<EndReason>) -> RunRow {
        failed_in_session(None, kind, messages, end_reason)
    }

    fn failed_in_session(
        session_id: Option<String>,
        kind: ErrorKind,
        messages: &[&str],
        end_reason: Option<EndReason>,
    ) -> RunRow {
        let mut run = RunRow::new(&suite(1, 1, 1), &new_run(1), 0);
        let claim = RunTransition::Claim { owner: "w".into(), max_wait: Duration::ZERO };
        run.transition(claim, T0).unwrap();
        let end = finish(RunOutcome::error(kind, "fault"));
        let change = RunChange { end_reason, session_id, finish: end.finish, ..turns(messages) };
        let lease_epoch = run.lease_epoch;
        let commit = RunTransition::Commit { lease_epoch, change: Box::new(change) };
        run.transition(commit, at(1)).unwrap();
        run
    }

    #[test]
    fn conversation_continues_only_if_no_call_was_let_through() {
        let cases = [
            (ErrorKind::CircuitOpen, true),
            (ErrorKind::RateLimited, true),
            (ErrorKind::ProviderUnavailable, true),
            (ErrorKind::CredentialInvalid, true),
            (ErrorKind::QuotaExhausted, true),
            (ErrorKind::BudgetExhausted, true),
            (ErrorKind::ProviderRejected, false),
            (ErrorKind::Timeout, false),
            (ErrorKind::Abandoned, false),
            (ErrorKind::Internal, false),
            (ErrorKind::InvalidScenario, false),
        ];
        for (kind, expected) in cases {
            let run = failed(kind, &["a"], None);
            assert_eq!(has_reusable_conversation(&run), expected, "{kind:?}");
            let finished = failed(kind, &["a"], Some(EndReason::ScriptFinished));
            assert!(has_reusable_conversation(&finished), "{kind:?}: only the judging is left");
        }
        let empty = failed(ErrorKind::CircuitOpen, &[], None);
        assert!(!has_reusable_conversation(&empty), "there is nothing to continue");
    }

    #[test]
    fn conversation_in_a_session_of_a_deployed_agent_begins_anew() {
        let failed = |end_reason| {
            let session = Some("s-1".to_owned());
            failed_in_session(session, ErrorKind::ProviderUnavailable, &["a"], end_reason)
        };
        assert!(!has_reusable_conversation(&failed(None)), "the session may be forgotten");
        let finished = failed(Some(EndReason::ScriptFinished));
        assert!(has_reusable_conversation(&finished), "only the judging is left");
    }
}
