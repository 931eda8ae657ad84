//! What is old goes, step by step, and what is still needed stays.

use super::{QueueFixture, T0, again, at, claim, finish, id, passed, space, suite, turns, user};
use crate::cleaning::Old;
use crate::rows::{Intent, Role};
use crate::suites::{Created, NewEvaluation, NewKey, NewSuite};
use crate::transition::{Change, Lease};
use domain::services::HistoryFilter;
use domain::{Evaluation, EvaluationStatus, Stage, SuiteId, SuiteStatus, Timestamp};
use uuid::Uuid;

/// Runs a suite to its end.
async fn ended(f: &QueueFixture, n: u128, runs: u128, end: Timestamp) -> SuiteId {
    f.suites.create_suite(suite(n, 1, runs)).await.unwrap();
    for run in f.queue.claim(claim(99, T0)).await.unwrap() {
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        let intent =
            Intent { id: Uuid::from_u128(run.id.0.as_u128() << 32), role: Role::Agent, turn: 1 };
        let said = Change { intents: vec![intent], ..turns(&["hello", "bye"]) };
        f.queue.commit(&lease, said, T0).await.unwrap();
        f.queue.commit(&lease, finish(passed()), end).await.unwrap();
    }
    SuiteId(id(n))
}

/// Cleans until nothing is left; the rows of each step.
async fn cleaned(f: &QueueFixture, what: Old, before: Timestamp, most: u32) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        let step = f.retention.clean(what, before, most).await.unwrap();
        steps.push(step.total());
        if !step.more {
            return steps;
        }
    }
}

/// Brings the judging that waits to its end.
async fn judged_again(f: &QueueFixture) {
    let row = f.queue.claim_evaluations(claim(9, at(12))).await.unwrap().remove(0);
    let view = Evaluation { status: EvaluationStatus::Done, ..row.view.clone() };
    f.queue.commit_evaluation(row.view.id, row.attempt, view, at(13)).await.unwrap();
}

pub async fn old_events_go_and_the_suite_stays(f: QueueFixture) {
    let old = ended(&f, 1, 3, at(10)).await;
    let young = ended(&f, 2, 3, at(20)).await;
    f.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    f.queue.claim(claim(1, T0)).await.unwrap();
    let told = async |suite| f.suites.events_after(suite, 0, 1000).await.unwrap().len();
    let before = [told(old).await, told(young).await, told(SuiteId(id(3))).await];
    assert!(before[0] > 10);
    // After the first step already, none of them is told: half of them would
    // be a gap.
    let first = f.retention.clean(Old::Events, at(15), 4).await.unwrap();
    assert!(first.more && first.total() <= 4, "{first:?}");
    assert_eq!(told(old).await, 0);
    let steps = cleaned(&f, Old::Events, at(15), 4).await;
    assert!(steps.iter().all(|rows| *rows <= 4), "{steps:?}");
    assert_eq!(first.total() + steps.iter().sum::<u64>(), before[0] as u64);
    assert_eq!(cleaned(&f, Old::Events, at(15), 4).await, [0], "once");
    assert_eq!([told(young).await, told(SuiteId(id(3))).await], before[1..]);
    let (row, runs) = f.suites.suite(space(1), old).await.unwrap().unwrap();
    assert_eq!((row.status, runs.len()), (SuiteStatus::Finished, 3), "the report is there");
    assert_eq!(f.suites.transcript(runs[0].id).await.unwrap().len(), 2);
}

pub async fn old_suites_go_with_everything_in_them(f: QueueFixture) {
    let old = ended(&f, 1, 3, at(10)).await;
    let run = f.suites.suite(space(1), old).await.unwrap().unwrap().1.remove(0);
    let judged = NewEvaluation { row: again(&run, 1), key: None };
    f.suites.create_evaluation(judged).await.unwrap();
    judged_again(&f).await;
    let young = ended(&f, 2, 3, at(20)).await;
    f.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    let rows: u64 = cleaned(&f, Old::Suites, at(15), 500).await.iter().sum();
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
    assert_eq!(cleaned(&f, Old::Suites, at(15), 500).await, [0], "once");
    assert_eq!(f.queue.claim(claim(9, at(21))).await.unwrap().len(), 1, "the unfinished one works");
}

pub async fn a_suite_that_is_judged_again_stays_until_that_is_done(f: QueueFixture) {
    let judged = ended(&f, 1, 2, at(10)).await;
    let other = ended(&f, 2, 1, at(11)).await;
    let run = f.suites.suite(space(1), judged).await.unwrap().unwrap().1.remove(1);
    let new = NewEvaluation { row: again(&run, 1), key: None };
    assert_eq!(f.suites.create_evaluation(new).await.unwrap(), Created::New);
    cleaned(&f, Old::Suites, at(15), 500).await;
    assert!(f.suites.owns(space(1), judged).await.unwrap(), "while it waits");
    assert!(!f.suites.owns(space(1), other).await.unwrap(), "it holds up no other");
    let held = f.queue.claim_evaluations(claim(9, at(12))).await.unwrap().remove(0);
    cleaned(&f, Old::Suites, at(15), 500).await;
    let (_, work) = f.queue.work_of(run.id).await.unwrap();
    assert_eq!(work.transcript.len(), 2, "while it is under way");
    f.queue.hand_back_evaluation(held.view.id, held.attempt).await.unwrap();
    judged_again(&f).await;
    cleaned(&f, Old::Suites, at(15), 500).await;
    assert!(!f.suites.owns(space(1), judged).await.unwrap());
}

pub async fn what_is_gone_is_no_source_and_is_not_judged(f: QueueFixture) {
    let old = ended(&f, 1, 1, at(10)).await;
    let run = f.suites.suite(space(1), old).await.unwrap().unwrap().1.remove(0);
    cleaned(&f, Old::Suites, at(15), 500).await;
    let mut copy = suite(2, 1, 1);
    copy.runs[0].source_run_id = Some(run.id);
    assert_eq!(f.suites.create_suite(copy).await.unwrap(), Created::New);
    let begun = f.queue.claim(claim(1, at(16))).await.unwrap().remove(0);
    assert_eq!((begun.source_run_id, begun.turns, begun.end_reason), (None, 0, None));
    assert_eq!(begun.stage, Some(Stage::Conversing), "it talks for itself");
    let new = NewEvaluation { row: again(&run, 1), key: None };
    assert_eq!(f.suites.create_evaluation(new).await.unwrap(), Created::Gone);
    assert!(f.suites.evaluations(run.id).await.unwrap().is_empty());
}

pub async fn old_keys_go_and_new_ones_stay(f: QueueFixture) {
    let key = |n: u32| NewKey {
        path: "/suites".into(),
        key: format!("key {n}"),
        request: "{}".into(),
        response: "{}".into(),
    };
    for n in 0..10_u32 {
        let with_key = suite(u128::from(n) + 1, 1, 1);
        let with_key = NewSuite { key: Some(key(n)), at: at(n.into()), ..with_key };
        assert_eq!(f.suites.create_suite(with_key).await.unwrap(), Created::New);
    }
    let steps = cleaned(&f, Old::Keys, at(6), 3).await;
    assert_eq!(steps, [3, 3, 1]);
    for n in 0..10 {
        let known = f.suites.answered(user(1), &key(n), at(10)).await.unwrap();
        assert_eq!(known.is_some(), n > 6, "key {n}");
    }
}
