//! Cancel requests, deadlines, and runs that stay pending.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, rejudge, space, suite};
use crate::rows::{EventRow, RunRow};
use crate::suites::{CreateOutcome, NewRejudge};
use crate::transition::{RunChange, RunOutcome};
use domain::{
    EndReason, ErrorKind, Evaluation, EvaluationId, EvaluationStatus, RunId, RunStatus, SuiteId,
    SuiteStatus, WaitReason, Waiting,
};
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

pub async fn deadline_stands_still_while_a_run_waits(f: QueueFixture) {
    let run = f.leased_run().await;
    let (lease, deadline) = (run.lease(), run.deadline_at.unwrap());
    let wait = |what| RunChange {
        waiting: Some(Some(Waiting { what, until: None })),
        ..RunChange::default()
    };
    let resume = RunChange { waiting: Some(None), ..RunChange::default() };
    let deadline_at = |row: RunRow| row.deadline_at.unwrap().since(deadline).as_secs();
    // Behind a circuit it passes.
    f.queue.commit(&lease, wait(WaitReason::Circuit), at(10)).await.unwrap();
    f.queue.commit(&lease, wait(WaitReason::RateLimit), at(20)).await.unwrap();
    let moved = f.queue.commit(&lease, wait(WaitReason::Slot), at(50)).await.unwrap();
    assert_eq!(deadline_at(moved), 30);
    let late = deadline.plus(Duration::from_secs(7200));
    f.queue.heartbeat("worker", late).await.unwrap();
    f.queue.reap(late).await.unwrap();
    let moved = f.queue.commit(&lease, resume.clone(), late).await.unwrap();
    assert_eq!(deadline_at(moved), 30 + late.since(at(50)).as_secs());
    // It moves when the lease is lost during the wait, too.
    f.queue.commit(&lease, wait(WaitReason::Slot), late).await.unwrap();
    let later = late.plus(Duration::from_secs(20_000));
    f.queue.recover_at_boot(later).await.unwrap();
    let again = f.claim_run(later).await;
    assert!(again.deadline_at.unwrap() > later, "{again:?}");
    // A day after the request everything ends.
    f.queue.commit(&again.lease(), wait(WaitReason::Slot), later).await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    f.queue.heartbeat("worker", T0.plus(day)).await.unwrap();
    f.queue.reap(T0.plus(day)).await.unwrap();
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.as_ref().map(|error| error.kind), Some(ErrorKind::Abandoned));
    assert!(row.deadline_at.unwrap() <= T0.plus(day));
}

pub async fn first_evaluation_ends_with_its_run(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 3)).await.unwrap();
    let runs = f.queue.claim(claim(3, T0)).await.unwrap();
    for (n, run) in (0..).zip(&runs) {
        let evaluation = Evaluation::pending(EvaluationId(id(7000 + n)), "m", 1, at(1));
        let evaluation = Evaluation {
            status: EvaluationStatus::Running,
            is_first: true,
            raw_reply: Some("{}".into()),
            ..evaluation
        };
        let judging = RunChange {
            end_reason: Some(EndReason::ScriptFinished),
            evaluation: Some(Box::new(evaluation)),
            ..RunChange::default()
        };
        f.queue.commit(&run.lease(), judging, at(2)).await.unwrap();
    }
    // The first is canceled, the second fails, the third is past its deadline.
    f.suites.cancel_run(space(1), runs[0].id, at(3)).await.unwrap();
    f.queue.commit(&runs[0].lease(), finish(RunOutcome::cancelled()), at(3)).await.unwrap();
    let internal = RunOutcome::error(ErrorKind::Internal, "fault");
    f.queue.commit(&runs[1].lease(), finish(internal), at(3)).await.unwrap();
    let deadline = runs[2].deadline_at.unwrap();
    f.queue.heartbeat("worker", deadline).await.unwrap();
    f.queue.reap(deadline).await.unwrap();
    let expected = [
        (EvaluationStatus::Cancelled, None),
        (EvaluationStatus::Error, Some(ErrorKind::Internal)),
        (EvaluationStatus::Error, Some(ErrorKind::Abandoned)),
    ];
    for (n, (run, expected)) in (0..).zip(runs.iter().zip(expected)) {
        let first = f.suites.evaluations(run.id).await.unwrap().remove(0).evaluation;
        assert_eq!((first.status, first.error.map(|error| error.kind)), expected);
        assert!(first.finished_at.is_some() && first.raw_reply.is_some());
        let run = f.suites.run(space(1), run.id).await.unwrap().unwrap();
        let new = NewRejudge { row: rejudge(&run, n), key: None };
        let created = f.suites.create_rejudge(new).await.unwrap();
        assert_eq!(created, CreateOutcome::New, "it can be rejudged");
    }
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
