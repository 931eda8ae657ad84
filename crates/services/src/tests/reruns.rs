//! Re-runs and rejudges: which are refused, and how a part is marked.

use super::scenario;
use super::starts::{Fixture, fixture, unkeyed};
use crate::suites::SuiteLimits;
use domain::error::AppError;
use domain::services::{
    AgentService, RerunScope, ResultService, ScenarioService, StartResponse, SuiteService,
};
use domain::{EndReason, ErrorKind, ScenarioId, StartSuite, Suite, SuiteId};
use serde_json::json;
use std::time::Duration;
use store::queue::Claim;
use store::schedule::Capacity;
use store::transition::{RunChange, RunOutcome};

/// Starts a suite of one run per scenario and ends its runs with these errors, or as passed.
async fn finished(
    fixture: &Fixture,
    scenarios: &[ScenarioId],
    ends: &[Option<ErrorKind>],
) -> SuiteId {
    let draft = json!({"agent_id": fixture.agent, "scenario_ids": scenarios});
    let request = StartSuite::parse(&domain::Draft(draft)).unwrap();
    let started = fixture.suites.start(&fixture.anna, &request, &unkeyed("/suites")).await.unwrap();
    let now = fixture.suites.clock.now();
    let claim = Claim {
        owner: "worker".into(),
        runs_per_user: 99,
        max_wait: Duration::ZERO,
        most: 99,
        admission_limits: Vec::new(),
        capacity: Capacity::unlimited(),
        now,
    };
    for (run, end) in fixture.queue.claim(claim).await.unwrap().iter().zip(ends) {
        let outcome = match end {
            Some(kind) => RunOutcome::error(*kind, "It failed."),
            None => store::contract::queue::passed(),
        };
        let end_reason = end.is_none().then_some(EndReason::ScriptFinished);
        let change = RunChange { finish: Some(outcome), end_reason, ..RunChange::default() };
        fixture.queue.commit(&run.lease(), change, now).await.unwrap();
    }
    started.suite_id
}

async fn rerun(
    fixture: &Fixture,
    suite: SuiteId,
    which: RerunScope,
) -> Result<StartResponse, AppError> {
    fixture.suites.rerun(&fixture.anna, suite, which.into(), &unkeyed("/rerun")).await
}

async fn suite(fixture: &Fixture, id: SuiteId) -> Suite {
    fixture.suites.suite(&fixture.anna, id).await.unwrap().suite
}

/// Asserts that a re-run is refused with this message and that the page does not offer it.
async fn assert_useless(fixture: &Fixture, id: SuiteId, which: RerunScope, message: &str) {
    let refused = rerun(fixture, id, which).await.unwrap_err();
    assert_eq!(refused.code.status(), 409, "{refused:?}");
    assert!(refused.detail.contains(message), "{}", refused.detail);
    let suite = suite(fixture, id).await;
    let newest = fixture.suites.newest_revisions(&fixture.anna, &suite).await.unwrap();
    assert!(!newest.allow_rerun(which, suite.runs.as_deref().unwrap()));
}

#[tokio::test]
async fn errors_are_rerun_only_where_that_can_help() {
    let fixture = fixture().await;
    let id = finished(&fixture, &[fixture.scenario], &[Some(ErrorKind::InvalidScenario)]).await;
    assert_useless(&fixture, id, RerunScope::Errors, "would end with the same errors").await;
    fixture
        .catalog
        .update_scenario(&fixture.anna, fixture.scenario, 1, &scenario("Other hours"))
        .await
        .unwrap();
    rerun(&fixture, id, RerunScope::Errors).await.expect("the scenario was changed");
}

#[tokio::test]
async fn nothing_is_rerun_without_its_scenarios_or_its_agent() {
    let fixture = fixture().await;
    let second = fixture.catalog.create_scenario(&fixture.anna, &scenario("Second")).await.unwrap();
    let scenarios = [fixture.scenario, second.id];
    let id = finished(&fixture, &scenarios, &[Some(ErrorKind::Timeout), None]).await;
    fixture.catalog.delete_scenario(&fixture.anna, fixture.scenario).await.unwrap();
    assert_useless(&fixture, id, RerunScope::Errors, "scenarios of these runs were deleted").await;
    let all = rerun(&fixture, id, RerunScope::All).await.expect("one scenario is left").suite_id;
    fixture.suites.cancel_suite(&fixture.anna, all).await.unwrap();
    fixture.catalog.delete_scenario(&fixture.anna, second.id).await.unwrap();
    assert_useless(&fixture, id, RerunScope::All, "scenarios of these runs were deleted").await;
    fixture.catalog.delete_agent(&fixture.anna, fixture.agent).await.unwrap();
    for which in [RerunScope::Errors, RerunScope::All] {
        assert_useless(&fixture, id, which, "The agent of this suite was deleted").await;
    }
}

#[tokio::test]
async fn rejudge_is_refused_when_transcripts_exceed_their_quota() {
    let mut fixture = fixture().await;
    let id = finished(&fixture, &[fixture.scenario], &[None]).await;
    let run = suite(&fixture, id).await.runs.unwrap()[0].id;
    let limits = fixture.suites.limits;
    fixture.suites.limits = SuiteLimits { transcript_bytes_per_user: 0, ..limits };
    let rejudged = fixture.suites.rejudge(&fixture.anna, run, &unkeyed("/rejudge")).await;
    let refused = rejudged.expect_err("no space");
    assert_eq!(refused.code.status(), 409);
    assert!(refused.detail.contains("REHEARSAL_TRANSCRIPT_MB_PER_USER"), "{}", refused.detail);
    fixture.suites.limits = limits;
    fixture.suites.rejudge(&fixture.anna, run, &unkeyed("/rejudge")).await.unwrap();
}

#[tokio::test]
async fn rerun_of_a_part_is_marked_also_when_it_is_rerun() {
    let fixture = fixture().await;
    let second = fixture.catalog.create_scenario(&fixture.anna, &scenario("Second")).await.unwrap();
    let scenarios = [fixture.scenario, second.id];
    let whole = finished(&fixture, &scenarios, &[Some(ErrorKind::Timeout), None]).await;
    let again = async |id, which| {
        let started = rerun(&fixture, id, which).await.unwrap();
        let answered: Suite = serde_json::from_str(&started.body).unwrap();
        fixture.suites.cancel_suite(&fixture.anna, started.suite_id).await.unwrap();
        let listed = fixture
            .suites
            .suites(&fixture.anna, &Default::default(), &Default::default())
            .await
            .unwrap();
        let listed = listed.items.into_iter().find(|one| one.id == started.suite_id).unwrap();
        let read = suite(&fixture, started.suite_id).await;
        assert_eq!((listed.part_of, read.part_of), (answered.part_of, answered.part_of));
        (started.suite_id, read.total, read.part_of)
    };
    assert_eq!(suite(&fixture, whole).await.part_of, None);
    let (_, total, part_of) = again(whole, RerunScope::All).await;
    assert_eq!((total, part_of), (2, None), "all runs are no part");
    let (part, total, part_of) = again(whole, RerunScope::Errors).await;
    assert_eq!((total, part_of), (1, Some(2)));
    let (_, total, part_of) = again(part, RerunScope::All).await;
    assert_eq!((total, part_of), (1, Some(2)), "all runs of a part are a part");
}
