//! Cancel requests, deadlines, and runs that stay pending.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, space, suite};
use crate::rows::EventRow;
use crate::transition::RunOutcome;
use domain::{ErrorKind, RunId, RunStatus, SuiteId, SuiteStatus};
use std::time::Duration;

pub async fn leased_run_ends_at_its_deadline(f: QueueFixture) {
    let run = f.leased_run().await;
    let deadline = run.deadline_at.unwrap();
    let before = deadline.minus(Duration::from_secs(1));
    f.queue.heartbeat("worker", before).await.unwrap();
    f.queue.reap(before).await.unwrap();
    assert!(!f.suites.run(space(1), run.id).await.unwrap().unwrap().status.is_final());
    f.queue.reap(deadline).await.unwrap();
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.as_ref().map(|error| error.kind), Some(ErrorKind::Abandoned));
    assert!(lost(f.queue.commit(&run.lease(), finish(passed()), deadline).await));
}

pub async fn pending_run_is_abandoned_after_a_day(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    f.queue.reap(at(24 * 3600 - 1)).await.unwrap();
    let unfinished = f.suites.unfinished_suites(space(1)).await.unwrap();
    assert_eq!(unfinished[0].1.pending, 2);
    f.queue.reap(at(24 * 3600)).await.unwrap();
    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.state.status(), SuiteStatus::Finished);
    assert!(runs.iter().all(|run| run.error.as_ref().unwrap().kind == ErrorKind::Abandoned));
}

pub async fn cancel_ends_pending_runs_and_returns_leased_ones(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let claimed = f.queue.claim(claim(2, T0)).await.unwrap();
    let outcome = f.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let mut leased = outcome.leased_runs;
    leased.sort();
    let mut expected: Vec<_> = claimed.iter().map(|run| run.id).collect();
    expected.sort();
    assert_eq!(leased, expected);
    assert!(f.queue.claim(claim(9, at(1))).await.unwrap().is_empty(), "no pending run starts");
    let heartbeat = f.queue.heartbeat("worker", at(2)).await.unwrap();
    assert_eq!(heartbeat.cancel_requested.len(), 2, "workers learn of the cancel by the heartbeat");
    let second = f.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap().unwrap();
    assert_eq!(second.leased_runs.len(), 2, "a second cancel has the same result");
    for run in &claimed {
        f.queue.commit(&run.lease(), finish(RunOutcome::cancelled()), at(4)).await.unwrap();
    }
    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.state.status(), SuiteStatus::Cancelled);
    assert_eq!(suite.state.cancel_requested_at(), Some(at(1)));
    assert!(runs.iter().all(|run| run.status == RunStatus::Cancelled && run.score.is_none()));
    assert!(f.suites.cancel_suite(space(1), suite.id, at(5)).await.unwrap().is_none());
    let events = f.suites.events_after(suite.id, 0, 100).await.unwrap();
    let finished = events.iter().filter(|(_, event, _)| matches!(event, EventRow::Finished(_)));
    assert_eq!(finished.count(), 1);
}

pub async fn cancelled_run_ends_on_release(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    f.suites.create_suite(suite(2, 1, 2)).await.unwrap();
    let mut runs = Vec::new();
    for run in f.queue.claim(claim(9, T0)).await.unwrap() {
        runs.push(run.lease());
    }
    f.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let alone = RunId(id(200));
    f.suites.cancel_run(space(1), alone, at(1)).await.unwrap().unwrap();
    for lease in &runs {
        f.queue.release(lease, at(2)).await.unwrap();
    }
    let (row, ended) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(
        (row.state.status(), row.state.finished_at()),
        (SuiteStatus::Cancelled, Some(at(2)))
    );
    assert!(ended.iter().all(|run| run.status == RunStatus::Cancelled));
    let run = f.suites.run(space(1), alone).await.unwrap().unwrap();
    assert_eq!((run.status, run.recoveries), (RunStatus::Cancelled, 0));
    let claimed = f.queue.claim(claim(9, at(3))).await.unwrap();
    assert_eq!(claimed.iter().map(|run| run.id).collect::<Vec<_>>(), [RunId(id(201))]);
}
