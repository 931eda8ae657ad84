//! Deletion of expired data.

use super::{QueueFixture, T0, at, claim, finish, id, passed, rejudge, space, suite, turns, user};
use crate::retention::Expired;
use crate::rows::{Intent, Role};
use crate::suites::{CreateOutcome, IdempotencyRecord, NewRejudge, NewSuite};
use crate::transition::RunChange;
use domain::services::HistoryFilter;
use domain::{Evaluation, EvaluationStatus, Stage, SuiteId, SuiteStatus, Timestamp};
use uuid::Uuid;

/// Creates a suite whose runs pass at `end`.
async fn finished_suite(f: &QueueFixture, n: u128, runs: u128, end: Timestamp) -> SuiteId {
    f.suites.create_suite(suite(n, 1, runs)).await.unwrap();
    for run in f.queue.claim(claim(99, T0)).await.unwrap() {
        let lease = run.lease();
        let intent =
            Intent { id: Uuid::from_u128(run.id.0.as_u128() << 32), role: Role::Agent, turn: 1 };
        let change = RunChange { intents: vec![intent], ..turns(&["hello", "bye"]) };
        f.queue.commit(&lease, change, T0).await.unwrap();
        f.queue.commit(&lease, finish(passed()), end).await.unwrap();
    }
    SuiteId(id(n))
}

/// Deletes until nothing is left. Returns the rows of each step.
async fn delete_all(f: &QueueFixture, what: Expired, before: Timestamp, most: u32) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        let step = f.retention.delete_expired(what, before, most).await.unwrap();
        steps.push(step.total());
        if !step.more {
            return steps;
        }
    }
}

/// Completes the pending rejudge.
async fn complete_rejudge(f: &QueueFixture) {
    let row = f.queue.claim_rejudges(claim(9, at(12))).await.unwrap().remove(0);
    let evaluation = Evaluation { status: EvaluationStatus::Done, ..row.evaluation.clone() };
    f.queue.commit_rejudge(row.evaluation.id, row.lease_epoch, evaluation, at(13)).await.unwrap();
}

pub async fn expired_events_are_deleted_but_their_suite_stays(f: QueueFixture) {
    let old = finished_suite(&f, 1, 3, at(10)).await;
    let young = finished_suite(&f, 2, 3, at(20)).await;
    f.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    f.queue.claim(claim(1, T0)).await.unwrap();
    let count = async |suite| f.suites.events_after(suite, 0, 1000).await.unwrap().len();
    let before = [count(old).await, count(young).await, count(SuiteId(id(3))).await];
    assert!(before[0] > 10);
    // The first step hides the remaining events, because readers would miss some.
    let first = f.retention.delete_expired(Expired::Events, at(15), 4).await.unwrap();
    assert!(first.more && first.total() <= 4, "{first:?}");
    assert_eq!(count(old).await, 0);
    let steps = delete_all(&f, Expired::Events, at(15), 4).await;
    assert!(steps.iter().all(|rows| *rows <= 4), "{steps:?}");
    assert_eq!(first.total() + steps.iter().sum::<u64>(), before[0] as u64);
    assert_eq!(delete_all(&f, Expired::Events, at(15), 4).await, [0], "nothing left");
    assert_eq!([count(young).await, count(SuiteId(id(3))).await], before[1..]);
    let (row, runs) = f.suites.suite(space(1), old).await.unwrap().unwrap();
    assert_eq!((row.state.status(), runs.len()), (SuiteStatus::Finished, 3), "the suite stays");
    assert_eq!(f.suites.transcript(runs[0].id).await.unwrap().len(), 2);
}

pub async fn expired_suite_is_deleted_with_its_runs(f: QueueFixture) {
    let old = finished_suite(&f, 1, 3, at(10)).await;
    let run = f.suites.suite(space(1), old).await.unwrap().unwrap().1.remove(0);
    let judged = NewRejudge { row: rejudge(&run, 1), key: None };
    f.suites.create_rejudge(judged).await.unwrap();
    complete_rejudge(&f).await;
    let young = finished_suite(&f, 2, 3, at(20)).await;
    f.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    let rows: u64 = delete_all(&f, Expired::Suites, at(15), 500).await.iter().sum();
    assert!(rows > 0);
    assert!(!f.suites.owns(space(1), old).await.unwrap());
    assert!(f.suites.suite(space(1), old).await.unwrap().is_none());
    assert!(f.suites.run(space(1), run.id).await.unwrap().is_none());
    assert!(f.suites.transcript(run.id).await.unwrap().is_empty());
    assert!(f.suites.evaluations(run.id).await.unwrap().is_empty());
    assert!(f.suites.events_after(old, 0, 10).await.unwrap().is_empty());
    let all = HistoryFilter::default();
    assert_eq!(f.suites.suites(space(1), &all, None, 9).await.unwrap().len(), 2);
    assert_eq!(f.suites.runs(space(1), &all, None, 9).await.unwrap().len(), 4);
    assert!(f.suites.suite(space(1), young).await.unwrap().is_some());
    assert_eq!(delete_all(&f, Expired::Suites, at(15), 500).await, [0], "nothing left");
    assert_eq!(
        f.queue.claim(claim(9, at(21))).await.unwrap().len(),
        1,
        "the unfinished suite stays"
    );
}

pub async fn suite_with_unfinished_rejudge_is_not_deleted(f: QueueFixture) {
    let judged = finished_suite(&f, 1, 2, at(10)).await;
    let other = finished_suite(&f, 2, 1, at(11)).await;
    let run = f.suites.suite(space(1), judged).await.unwrap().unwrap().1.remove(1);
    let new = NewRejudge { row: rejudge(&run, 1), key: None };
    assert_eq!(f.suites.create_rejudge(new).await.unwrap(), CreateOutcome::New);
    delete_all(&f, Expired::Suites, at(15), 500).await;
    assert!(f.suites.owns(space(1), judged).await.unwrap(), "pending rejudge");
    assert!(!f.suites.owns(space(1), other).await.unwrap(), "other suites are deleted");
    let leased = f.queue.claim_rejudges(claim(9, at(12))).await.unwrap().remove(0);
    delete_all(&f, Expired::Suites, at(15), 500).await;
    let (_, input) = f.queue.run_with_input(run.id).await.unwrap();
    assert_eq!(input.transcript.len(), 2, "running rejudge");
    f.queue.release_rejudge(leased.evaluation.id, leased.lease_epoch, at(9)).await.unwrap();
    complete_rejudge(&f).await;
    delete_all(&f, Expired::Suites, at(15), 500).await;
    assert!(!f.suites.owns(space(1), judged).await.unwrap());
}

pub async fn deleted_run_is_neither_copied_nor_rejudged(f: QueueFixture) {
    let old = finished_suite(&f, 1, 1, at(10)).await;
    let run = f.suites.suite(space(1), old).await.unwrap().unwrap().1.remove(0);
    delete_all(&f, Expired::Suites, at(15), 500).await;
    let mut copy = suite(2, 1, 1);
    copy.runs[0].source_run_id = Some(run.id);
    assert_eq!(f.suites.create_suite(copy).await.unwrap(), CreateOutcome::New);
    let claimed = f.claim_run(at(16)).await;
    assert_eq!((claimed.source_run_id, claimed.turns, claimed.end_reason), (None, 0, None));
    assert_eq!(claimed.stage, Some(Stage::Conversing), "it has its own conversation");
    let new = NewRejudge { row: rejudge(&run, 1), key: None };
    assert_eq!(f.suites.create_rejudge(new).await.unwrap(), CreateOutcome::Gone);
    assert!(f.suites.evaluations(run.id).await.unwrap().is_empty());
}

pub async fn only_expired_idempotency_keys_are_deleted(f: QueueFixture) {
    let key = |n: u32| IdempotencyRecord {
        path: "/suites".into(),
        key: format!("key {n}"),
        request: "{}".into(),
        response: "{}".into(),
    };
    for n in 0..10_u32 {
        let with_key = suite(u128::from(n) + 1, 1, 1);
        let with_key = NewSuite { key: Some(key(n)), at: at(n.into()), ..with_key };
        assert_eq!(f.suites.create_suite(with_key).await.unwrap(), CreateOutcome::New);
    }
    let steps = delete_all(&f, Expired::Keys, at(6), 3).await;
    assert_eq!(steps, [3, 3, 1]);
    for n in 0..10 {
        let replay = f.suites.find_replay(user(1), &key(n), at(10)).await.unwrap();
        assert_eq!(replay.is_some(), n > 6, "key {n}");
    }
}
