//! Ends that come from outside of a run: its deadline, a day in which nobody
//! began it, a cancel.

use super::{Bench, T0, at, claim, finish, id, lost, memory, passed, space, sqlite, suite};
use crate::store::contract::told_to_both;
use crate::store::rows::EventRow;
use crate::store::transition::{Final, Lease};
use app::domain::{ErrorKind, RunId, RunStatus, SuiteId, SuiteStatus};
use std::time::Duration;

told_to_both! {
    past_the_deadline_it_ends_whoever_holds_it,
    nobody_begins_it_for_a_day,
    cancel_ends_what_nobody_holds_and_tells_of_the_rest,
    what_was_to_stop_ends_when_it_is_handed_back,
}

async fn past_the_deadline_it_ends_whoever_holds_it(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let deadline = run.deadline_at.unwrap();
    let before = deadline.minus(Duration::from_secs(1));
    b.queue.heartbeat("worker", before).await.unwrap();
    b.queue.reap(before).await.unwrap();
    assert!(!b.suites.run(space(1), run.id).await.unwrap().unwrap().status.is_final());
    b.queue.reap(deadline).await.unwrap();
    let row = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    assert!(lost(b.queue.commit(&lease, finish(passed()), deadline).await));
}

async fn nobody_begins_it_for_a_day(b: Bench) {
    b.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    b.queue.reap(at(24 * 3600 - 1)).await.unwrap();
    let open = b.suites.unfinished(space(1)).await.unwrap();
    assert_eq!(open[0].1.pending, 2);
    b.queue.reap(at(24 * 3600)).await.unwrap();
    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Finished);
    assert!(runs.iter().all(|run| run.error.as_ref().unwrap().kind == ErrorKind::Abandoned));
}

async fn cancel_ends_what_nobody_holds_and_tells_of_the_rest(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let held = b.queue.claim(claim(2, T0)).await.unwrap();
    let done = b.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let mut told = done.held.clone();
    told.sort();
    let mut expected: Vec<_> = held.iter().map(|run| run.id).collect();
    expected.sort();
    assert_eq!(told, expected);
    assert!(b.queue.claim(claim(9, at(1))).await.unwrap().is_empty(), "nothing new begins");
    let beat = b.queue.heartbeat("worker", at(2)).await.unwrap();
    assert_eq!(beat.cancelled.len(), 2, "another node hears of it by its heartbeat");
    let again = b.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap().unwrap();
    assert_eq!(again.held.len(), 2, "asking twice is fine");
    for run in &held {
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        b.queue.commit(&lease, finish(Final::cancelled()), at(4)).await.unwrap();
    }
    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Cancelled);
    assert_eq!(suite.cancel_requested_at, Some(at(1)));
    assert!(runs.iter().all(|run| run.status == RunStatus::Cancelled && run.score.is_none()));
    assert!(b.suites.cancel_suite(space(1), suite.id, at(5)).await.unwrap().is_none());
    let events = b.suites.events_after(suite.id, 0, 100).await.unwrap();
    let ends = events.iter().filter(|(_, event, _)| matches!(event, EventRow::Finished(_)));
    assert_eq!(ends.count(), 1, "one end");
}

async fn what_was_to_stop_ends_when_it_is_handed_back(b: Bench) {
    b.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    b.suites.create_suite(suite(2, 1, 2)).await.unwrap();
    let mut runs = Vec::new();
    for run in b.queue.claim(claim(9, T0)).await.unwrap() {
        runs.push(Lease { run_id: run.id, attempt: run.attempt });
    }
    b.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let alone = RunId(id(200));
    b.suites.cancel_run(space(1), alone, at(1)).await.unwrap().unwrap();
    for lease in &runs {
        b.queue.hand_back(lease, at(2)).await.unwrap();
    }
    let (row, ended) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((row.status, row.finished_at), (SuiteStatus::Cancelled, Some(at(2))));
    assert!(ended.iter().all(|run| run.status == RunStatus::Cancelled));
    let run = b.suites.run(space(1), alone).await.unwrap().unwrap();
    assert_eq!((run.status, run.recoveries), (RunStatus::Cancelled, 0));
    let again = b.queue.claim(claim(9, at(3))).await.unwrap();
    assert_eq!(again.iter().map(|run| run.id).collect::<Vec<_>>(), [RunId(id(201))]);
}
