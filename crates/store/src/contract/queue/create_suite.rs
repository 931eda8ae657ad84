//! Creation of suites: idempotency, conflicts, limits, copies.

use super::{QueueFixture, T0, at, claim, finish, id, space, suite, turns, user};
use crate::suites::{CreateOutcome, IdempotencyRecord, NewSuite};
use crate::transition::{RunChange, RunOutcome};
use domain::services::HistoryFilter;
use domain::{EndReason, ErrorKind, RunError, Stage, SuiteId, SuiteStatus};

pub async fn idempotency_key_creates_one_suite(f: QueueFixture) {
    let key = |request: &str, n: u128| IdempotencyRecord {
        path: "/suites".into(),
        key: "k".into(),
        request: request.into(),
        response: format!("response {n}"),
    };
    let with_key = |request: &str, n| NewSuite { key: Some(key(request, n)), ..suite(n, 1, 1) };
    assert_eq!(f.suites.create_suite(with_key("a", 1)).await.unwrap(), CreateOutcome::New);
    let replay =
        CreateOutcome::Replayed { suite_id: SuiteId(id(1)), response: "response 1".into() };
    assert_eq!(f.suites.create_suite(with_key("a", 2)).await.unwrap(), replay);
    assert_eq!(f.suites.find_replay(user(1), &key("a", 9), T0).await.unwrap(), Some(replay));
    let reused = CreateOutcome::KeyReused { suite_id: SuiteId(id(1)) };
    assert_eq!(f.suites.create_suite(with_key("b", 3)).await.unwrap(), reused);
    assert_eq!(
        f.suites.find_replay(user(2), &key("a", 9), T0).await.unwrap(),
        None,
        "keys belong to a user"
    );
    let mut later = with_key("a", 4);
    later.at = at(24 * 3600 + 1);
    later.allow_parallel = true;
    assert_eq!(
        f.suites.create_suite(later).await.unwrap(),
        CreateOutcome::New,
        "the key expired after 24 h"
    );
    let all = f.suites.suites(space(1), &HistoryFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 2);
}

pub async fn second_suite_over_same_scenario_is_refused(f: QueueFixture) {
    let first = suite(1, 1, 2);
    f.suites.create_suite(first.clone()).await.unwrap();
    let mut second = suite(2, 1, 2);
    second.agent = first.agent.clone();
    assert_eq!(
        f.suites.create_suite(second.clone()).await.unwrap(),
        CreateOutcome::New,
        "other scenarios"
    );
    let mut third = suite(3, 1, 2);
    third.agent = first.agent.clone();
    third.runs[1].scenario = first.runs[0].scenario.clone();
    let busy = CreateOutcome::AlreadyRunning { suite_id: SuiteId(id(1)) };
    assert_eq!(f.suites.create_suite(third.clone()).await.unwrap(), busy);
    third.allow_parallel = true;
    assert_eq!(f.suites.create_suite(third).await.unwrap(), CreateOutcome::New);
    let scenarios = [first.runs[0].scenario.id];
    let over = f.suites.find_unfinished_suite(space(1), first.agent.id, &scenarios).await.unwrap();
    assert!(over.is_some());
    assert_eq!(
        f.suites.find_unfinished_suite(space(2), first.agent.id, &scenarios).await.unwrap(),
        None
    );
}

pub async fn full_queue_refuses_suite(f: QueueFixture) {
    let limited = |n, runs| NewSuite { queue_per_user: 10, ..suite(n, 1, runs) };
    assert_eq!(f.suites.create_suite(limited(1, 8)).await.unwrap(), CreateOutcome::New);
    let full = CreateOutcome::QueueFull { unfinished: 8 };
    assert_eq!(f.suites.create_suite(limited(2, 3)).await.unwrap(), full);
    assert_eq!(f.suites.create_suite(limited(3, 2)).await.unwrap(), CreateOutcome::New);
}

pub async fn incompatible_runs_are_final_from_the_start(f: QueueFixture) {
    let mut mixed = suite(1, 1, 2);
    mixed.runs[0].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
    f.suites.create_suite(mixed).await.unwrap();
    let claimed = f.queue.claim(claim(9, T0)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let mut incompatible = suite(2, 1, 1);
    incompatible.runs[0].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
    f.suites.create_suite(incompatible).await.unwrap();
    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(2))).await.unwrap().unwrap();
    assert_eq!(suite.state.status(), SuiteStatus::Finished, "no run is left");
    assert_eq!(runs[0].error.as_ref().unwrap().message, "needs a tool");
}

pub async fn unfinished_conversation_is_copied(f: QueueFixture) {
    let run = f.leased_run().await;
    let call = uuid::Uuid::from_u128(9);
    let change = RunChange {
        session_id: Some("s-1".to_owned()),
        unconfirmed_call: Some(Some(call)),
        ..turns(&["a", "b", "c"])
    };
    f.queue.commit(&run.lease(), change, at(1)).await.unwrap();
    let outage = RunOutcome::error(ErrorKind::CircuitOpen, "no call succeeds");
    f.queue.commit(&run.lease(), finish(outage), at(2)).await.unwrap();
    let mut again = suite(2, 1, 1);
    again.runs[0].source_run_id = Some(run.id);
    f.suites.create_suite(again).await.unwrap();
    let copy = f.claim_run(at(3)).await;
    assert_eq!((copy.stage, copy.end_reason), (Some(Stage::Conversing), None));
    assert_eq!((copy.turns, copy.user_turns, copy.active_ms), (3, 3, 0));
    assert_eq!((copy.session_id.as_deref(), copy.unconfirmed_call), (Some("s-1"), Some(call)));
    let next = f.queue.commit(&copy.lease(), turns(&["d"]), at(4)).await.unwrap();
    assert_eq!(next.turns, 4, "it continues after the copied turns");
    let input = f.queue.run_input(&next).await.unwrap();
    assert_eq!(input.transcript.len(), 4);
}

pub async fn finished_conversation_is_copied(f: QueueFixture) {
    let run = f.leased_run().await;
    let lease = run.lease();
    let over = RunChange { end_reason: Some(EndReason::AgentEnded), ..turns(&["a", "b"]) };
    f.queue.commit(&lease, over, at(1)).await.unwrap();
    let lost = RunOutcome::error(ErrorKind::EvaluationUnavailable, "no judge");
    f.queue.commit(&lease, finish(lost), at(2)).await.unwrap();
    let mut rerun = suite(2, 1, 1);
    rerun.runs[0].source_run_id = Some(run.id);
    f.suites.create_suite(rerun).await.unwrap();
    let copy = f.claim_run(at(3)).await;
    assert_eq!((copy.stage, copy.turns, copy.user_turns), (Some(Stage::Evaluating), 2, 2));
    assert_eq!(copy.end_reason, Some(EndReason::AgentEnded));
    let input = f.queue.run_input(&copy).await.unwrap();
    assert_eq!(input.transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
