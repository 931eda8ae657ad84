//! Rejudges of final runs.

use super::{
    QueueFixture, at, claim, finish, finished_runs, id, lost, passed, rejudge, space, suite, user,
};
use crate::suites::{CreateOutcome, NewRejudge};
use crate::transition::{LEASE_DURATION, MAX_RECOVERIES_WITHOUT_PROGRESS};
use domain::{ErrorKind, EvaluationStatus, RunStatus};

pub async fn rejudge_has_its_own_lease(f: QueueFixture) {
    let run = f.leased_run().await;
    let lease = run.lease();
    f.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    let row = rejudge(&run, 1);
    let new = |n| NewRejudge { row: rejudge(&run, n), key: None };
    assert_eq!(f.suites.create_rejudge(new(1)).await.unwrap(), CreateOutcome::New);
    let busy = CreateOutcome::AlreadyRunning { suite_id: run.suite_id };
    assert_eq!(f.suites.create_rejudge(new(2)).await.unwrap(), busy);
    let first = f.queue.claim_rejudges(claim(9, at(2))).await.unwrap().remove(0);
    assert!(f.queue.claim_rejudges(claim(9, at(2))).await.unwrap().is_empty());
    f.queue.reap(at(2).plus(LEASE_DURATION * 2)).await.unwrap();
    let mut evaluation = first.evaluation.clone();
    evaluation.status = EvaluationStatus::Done;
    assert!(lost(
        f.queue
            .commit_rejudge(row.evaluation.id, first.lease_epoch, evaluation.clone(), at(70))
            .await
    ));
    assert!(lost(f.queue.record_judge_call(&first, id(1), at(70)).await), "no lease holder");
    let second = f.queue.claim_rejudges(claim(9, at(71))).await.unwrap().remove(0);
    assert_eq!(second.recoveries, 1);
    assert!(lost(f.queue.record_judge_call(&first, id(1), at(71)).await), "another lease holder");
    f.queue.record_judge_call(&second, id(1), at(71)).await.unwrap();
    f.queue
        .commit_rejudge(row.evaluation.id, second.lease_epoch, evaluation, at(72))
        .await
        .unwrap();
    let listed = f.suites.evaluations(run.id).await.unwrap();
    assert_eq!(listed[0].evaluation.status, EvaluationStatus::Done);
    let untouched = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(untouched.status, RunStatus::Passed, "a rejudge never changes the run");
}

pub async fn users_take_turns_with_rejudges(f: QueueFixture) {
    // User 1 requests many, then user 2 requests one, and later another.
    let request = async |n: u128, owner: u128, runs: u128| {
        let over = finished_runs(&*f.suites, &*f.queue, suite(n, owner, runs)).await;
        for (i, run) in (n * 100..).zip(&over) {
            let mut row = rejudge(run, i);
            row.evaluation.created_at = at(i as u64);
            let new = NewRejudge { row, key: None };
            assert_eq!(f.suites.create_rejudge(new).await.unwrap(), CreateOutcome::New);
        }
    };
    let taken = async |most: u32| -> Vec<_> {
        let taken = f.queue.claim_rejudges(claim(most, at(900))).await.unwrap();
        taken.into_iter().map(|row| (row.user_id, row.evaluation.created_at)).collect()
    };
    let (one, two) = (user(1), user(2));
    request(1, 1, 20).await;
    request(2, 2, 1).await;
    assert_eq!(taken(3).await, [(one, at(100)), (two, at(200)), (one, at(101))]);
    let next: Vec<_> = (102..108).map(|second| (one, at(second))).collect();
    assert_eq!(taken(99).await, next, "at most eight per user");
    request(3, 2, 1).await;
    assert_eq!(taken(3).await, [(two, at(300))], "a user without free slots does not block others");
    assert_eq!(taken(99).await, []);
}

pub async fn deadline_of_rejudge_stands_still_while_it_waits_for_a_slot(f: QueueFixture) {
    let run = f.leased_run().await;
    f.queue.commit(&run.lease(), finish(passed()), at(1)).await.unwrap();
    let new = NewRejudge { row: rejudge(&run, 1), key: None };
    f.suites.create_rejudge(new).await.unwrap();
    let row = f.queue.claim_rejudges(claim(9, at(2))).await.unwrap().remove(0);
    let wait = async |waits, now| {
        f.queue.store_rejudge_wait(row.id(), row.lease_epoch, waits, now).await.unwrap();
    };
    wait(true, at(3)).await;
    let after = row.deadline_at.unwrap().plus(LEASE_DURATION);
    f.queue.heartbeat("worker", after).await.unwrap();
    f.queue.reap(after).await.unwrap();
    wait(false, after).await;
    f.queue.reap(after).await.unwrap();
    let evaluation = row.evaluation.clone();
    let stored = f.queue.commit_rejudge(row.id(), row.lease_epoch, evaluation, after);
    let stored = stored.await.expect("it keeps its lease");
    let moved = row.deadline_at.unwrap().plus(after.since(at(3)));
    assert_eq!((stored.deadline_at, stored.deadline_paused_at), (Some(moved), None));
    f.queue.heartbeat("worker", moved).await.unwrap();
    f.queue.reap(moved.plus(LEASE_DURATION / 30)).await.unwrap();
    let ended = f.suites.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!(ended.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
}

pub async fn rejudge_without_progress_is_abandoned(f: QueueFixture) {
    let run = f.leased_run().await;
    f.queue.commit(&run.lease(), finish(passed()), at(1)).await.unwrap();
    let new = NewRejudge { row: rejudge(&run, 1), key: None };
    f.suites.create_rejudge(new).await.unwrap();
    for n in 0..=MAX_RECOVERIES_WITHOUT_PROGRESS {
        let claimed = f.queue.claim_rejudges(claim(9, at(2))).await.unwrap();
        assert_eq!(claimed[0].recoveries, n);
        f.queue.recover_at_boot(at(3)).await.unwrap();
    }
    assert!(f.queue.claim_rejudges(claim(9, at(4))).await.unwrap().is_empty());
    let ended = f.suites.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!(ended.status, EvaluationStatus::Error);
    assert_eq!(ended.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
    assert_eq!(ended.finished_at, Some(at(3)));
}
