//! Later judgings of runs that are over: their own lease, their turn, their end.

use super::{QueueFixture, T0, again, at, claim, finish, id, lost, over, passed, space, suite, user};
use crate::suites::{Created, NewEvaluation};
use crate::transition::{LEASE, Lease, MOST_RECOVERIES};
use domain::{ErrorKind, EvaluationStatus, RunStatus};

pub async fn judging_again_has_a_lease_of_its_own(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    f.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    let row = again(&run, 1);
    let new = |n| NewEvaluation { row: again(&run, n), key: None };
    assert_eq!(f.suites.create_evaluation(new(1)).await.unwrap(), Created::New);
    let busy = Created::AlreadyRunning { suite_id: run.suite_id };
    assert_eq!(f.suites.create_evaluation(new(2)).await.unwrap(), busy);
    let first = f.queue.claim_evaluations(claim(9, at(2))).await.unwrap().remove(0);
    assert!(f.queue.claim_evaluations(claim(9, at(2))).await.unwrap().is_empty());
    f.queue.reap(at(2).plus(LEASE * 2)).await.unwrap();
    let mut view = first.view.clone();
    view.status = EvaluationStatus::Done;
    assert!(lost(
        f.queue.commit_evaluation(row.view.id, first.attempt, view.clone(), at(70)).await
    ));
    assert!(lost(f.queue.intend_evaluation(&first, id(1), at(70)).await), "nobody holds it");
    let second = f.queue.claim_evaluations(claim(9, at(71))).await.unwrap().remove(0);
    assert_eq!(second.recoveries, 1);
    assert!(lost(f.queue.intend_evaluation(&first, id(1), at(71)).await), "another holds it");
    f.queue.intend_evaluation(&second, id(1), at(71)).await.unwrap();
    f.queue.commit_evaluation(row.view.id, second.attempt, view, at(72)).await.unwrap();
    let listed = f.suites.evaluations(run.id).await.unwrap();
    assert_eq!(listed[0].view.status, EvaluationStatus::Done);
    let untouched = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(untouched.status, RunStatus::Passed, "judging again never changes the run");
}

pub async fn users_take_turns_at_judging_again(f: QueueFixture) {
    // User 1 asks for many, then user 2 for one, then again.
    let ask = async |n: u128, owner: u128, runs: u128| {
        let over = over(f.suites.as_ref(), f.queue.as_ref(), suite(n, owner, runs)).await;
        for (i, run) in (n * 100..).zip(&over) {
            let mut row = again(run, i);
            row.view.created_at = at(i as u64);
            let new = NewEvaluation { row, key: None };
            assert_eq!(f.suites.create_evaluation(new).await.unwrap(), Created::New);
        }
    };
    let taken = async |most: u32| -> Vec<_> {
        let taken = f.queue.claim_evaluations(claim(most, at(900))).await.unwrap();
        taken.into_iter().map(|row| (row.user_id, row.view.created_at)).collect()
    };
    let (one, two) = (user(1), user(2));
    ask(1, 1, 20).await;
    ask(2, 2, 1).await;
    assert_eq!(taken(3).await, [(one, at(100)), (two, at(200)), (one, at(101))]);
    let next: Vec<_> = (102..108).map(|second| (one, at(second))).collect();
    assert_eq!(taken(99).await, next, "eight of one user at most");
    ask(3, 2, 1).await;
    assert_eq!(taken(3).await, [(two, at(300))], "whose places are taken hides nobody");
    assert_eq!(taken(99).await, []);
}

pub async fn a_judging_that_takes_its_server_down_is_given_up(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    f.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    let new = NewEvaluation { row: again(&run, 1), key: None };
    f.suites.create_evaluation(new).await.unwrap();
    for n in 0..=MOST_RECOVERIES {
        let claimed = f.queue.claim_evaluations(claim(9, at(2))).await.unwrap();
        assert_eq!(claimed[0].recoveries, n);
        f.queue.take_over(at(3)).await.unwrap();
    }
    assert!(f.queue.claim_evaluations(claim(9, at(4))).await.unwrap().is_empty());
    let ended = f.suites.evaluations(run.id).await.unwrap().remove(0).view;
    assert_eq!(ended.status, EvaluationStatus::Error);
    assert_eq!(ended.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
    assert_eq!(ended.finished_at, Some(at(3)));
}
