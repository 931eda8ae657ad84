//! Ends that come from outside of a run: its deadline, a day in which nobody
//! began it, a cancel.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, space, suite};
use crate::rows::EventRow;
use crate::transition::{Final, Lease};
use domain::{ErrorKind, RunId, RunStatus, SuiteId, SuiteStatus};
use std::time::Duration;

pub async fn past_the_deadline_it_ends_whoever_holds_it(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let deadline = run.deadline_at.unwrap();
    let before = deadline.minus(Duration::from_secs(1));
    f.queue.heartbeat("worker", before).await.unwrap();
    f.queue.reap(before).await.unwrap();
    assert!(!f.suites.run(space(1), run.id).await.unwrap().unwrap().status.is_final());
    f.queue.reap(deadline).await.unwrap();
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    assert!(lost(f.queue.commit(&lease, finish(passed()), deadline).await));
}

pub async fn nobody_begins_it_for_a_day(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    f.queue.reap(at(24 * 3600 - 1)).await.unwrap();
    let open = f.suites.unfinished(space(1)).await.unwrap();
    assert_eq!(open[0].1.pending, 2);
    f.queue.reap(at(24 * 3600)).await.unwrap();
    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Finished);
    assert!(runs.iter().all(|run| run.error.as_ref().unwrap().kind == ErrorKind::Abandoned));
}

pub async fn cancel_ends_what_nobody_holds_and_tells_of_the_rest(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let held = f.queue.claim(claim(2, T0)).await.unwrap();
    let done = f.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let mut told = done.held.clone();
    told.sort();
    let mut expected: Vec<_> = held.iter().map(|run| run.id).collect();
    expected.sort();
    assert_eq!(told, expected);
    assert!(f.queue.claim(claim(9, at(1))).await.unwrap().is_empty(), "nothing new begins");
    let beat = f.queue.heartbeat("worker", at(2)).await.unwrap();
    assert_eq!(beat.cancelled.len(), 2, "another node hears of it by its heartbeat");
    let again = f.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap().unwrap();
    assert_eq!(again.held.len(), 2, "asking twice is fine");
    for run in &held {
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        f.queue.commit(&lease, finish(Final::cancelled()), at(4)).await.unwrap();
    }
    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Cancelled);
    assert_eq!(suite.cancel_requested_at, Some(at(1)));
    assert!(runs.iter().all(|run| run.status == RunStatus::Cancelled && run.score.is_none()));
    assert!(f.suites.cancel_suite(space(1), suite.id, at(5)).await.unwrap().is_none());
    let events = f.suites.events_after(suite.id, 0, 100).await.unwrap();
    let ends = events.iter().filter(|(_, event, _)| matches!(event, EventRow::Finished(_)));
    assert_eq!(ends.count(), 1, "one end");
}

pub async fn what_was_to_stop_ends_when_it_is_handed_back(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    f.suites.create_suite(suite(2, 1, 2)).await.unwrap();
    let mut runs = Vec::new();
    for run in f.queue.claim(claim(9, T0)).await.unwrap() {
        runs.push(Lease { run_id: run.id, attempt: run.attempt });
    }
    f.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let alone = RunId(id(200));
    f.suites.cancel_run(space(1), alone, at(1)).await.unwrap().unwrap();
    for lease in &runs {
        f.queue.hand_back(lease, at(2)).await.unwrap();
    }
    let (row, ended) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((row.status, row.finished_at), (SuiteStatus::Cancelled, Some(at(2))));
    assert!(ended.iter().all(|run| run.status == RunStatus::Cancelled));
    let run = f.suites.run(space(1), alone).await.unwrap().unwrap();
    assert_eq!((run.status, run.recoveries), (RunStatus::Cancelled, 0));
    let again = f.queue.claim(claim(9, at(3))).await.unwrap();
    assert_eq!(again.iter().map(|run| run.id).collect::<Vec<_>>(), [RunId(id(201))]);
}
