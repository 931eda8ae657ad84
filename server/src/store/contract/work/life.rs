//! A run's life: it is claimed, goes its way, is freed when its holder is silent,
//! and ends once.

use super::{Bench, T0, at, claim, finish, id, lost, memory, passed, space, sqlite, suite, turns};
use crate::store::contract::told_to_both;
use crate::store::rows::{EventRow, Intent, Role};
use crate::store::suites::Created;
use crate::store::transition::{Change, Final, LEASE, Lease, MOST_RECOVERIES};
use app::domain::{EndReason, ErrorKind, RunStatus, Stage, SuiteId, SuiteStatus};
use std::time::Duration;

told_to_both! {
    a_run_goes_its_way_and_events_tell_of_it,
    final_is_final_for_ever,
    a_stale_holder_changes_nothing,
    handing_back_is_no_recovery,
    lapsed_leases_are_freed_and_a_run_that_kills_is_given_up,
}

async fn a_run_goes_its_way_and_events_tell_of_it(b: Bench) {
    assert_eq!(b.suites.create_suite(suite(1, 1, 1)).await.unwrap(), Created::New);
    let mut woken = b.suites.watch(SuiteId(id(1)));
    let run = b.queue.claim(claim(5, at(1))).await.unwrap().remove(0);
    assert_eq!((run.status, run.attempt), (RunStatus::Running, 1));
    assert_eq!(run.deadline_at, Some(at(1 + 300 + 600 + 180)));
    assert!(woken.borrow_and_update().seq > 0, "streams are woken");
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let intent = Intent { id: id(77), role: Role::Agent, turn: 1 };
    let change = Change { intents: vec![intent], ..turns(&["hello"]) };
    b.queue.commit(&lease, change, at(2)).await.unwrap();
    let over = Change { end_reason: Some(EndReason::ScriptFinished), ..turns(&["bye"]) };
    let row = b.queue.commit(&lease, over, at(3)).await.unwrap();
    assert_eq!((row.stage, row.turns, row.user_turns), (Some(Stage::Evaluating), 2, 2));
    b.queue.commit(&lease, finish(passed()), at(4)).await.unwrap();

    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((suite.status, suite.finished_at), (SuiteStatus::Finished, Some(at(4))));
    assert_eq!((runs[0].status, runs[0].score), (RunStatus::Passed, Some(100.0)));
    let transcript = b.suites.transcript(run.id).await.unwrap();
    let heard: Vec<_> = transcript.iter().map(|t| (t.index, t.message.as_str())).collect();
    assert_eq!(heard, [(0, "hello"), (1, "bye")]);

    let events = b.suites.events_after(suite.id, 0, 100).await.unwrap();
    let seqs: Vec<_> = events.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=suite.seq).collect::<Vec<_>>(), "gapless");
    let kinds: Vec<_> = events
        .iter()
        .map(|(_, event, turn)| match event {
            EventRow::Run(run) => run.status.as_str().to_owned(),
            EventRow::Turn { .. } => turn.as_ref().unwrap().message.clone(),
            EventRow::Finished(end) => end.status.as_str().to_owned(),
        })
        .collect();
    assert_eq!(kinds, ["running", "hello", "bye", "running", "passed", "finished"]);
    let later = b.suites.events_after(suite.id, 4, 1).await.unwrap();
    assert_eq!((later.len(), later[0].0), (1, 5), "only what was missed, at most so many");
}

async fn final_is_final_for_ever(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    b.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert!(lost(b.queue.commit(&lease, finish(Final::cancelled()), at(2)).await));
    assert!(lost(b.queue.commit(&lease, turns(&["late"]), at(2)).await));
    assert!(b.suites.cancel_run(space(1), run.id, at(2)).await.unwrap().is_none());
    b.queue.reap(at(100_000)).await.unwrap();
    let row = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.turns, row.finished_at), (RunStatus::Passed, 0, Some(at(1))));
    assert!(b.suites.transcript(run.id).await.unwrap().is_empty(), "no late turn got in");
}

async fn a_stale_holder_changes_nothing(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let old = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let stale = Lease { run_id: old.id, attempt: old.attempt };
    b.queue.reap(T0.plus(LEASE * 2)).await.unwrap();
    assert!(lost(b.queue.commit(&stale, turns(&["ghost"]), at(61)).await), "nobody holds it");
    let new = b.queue.claim(claim(1, at(62))).await.unwrap().remove(0);
    assert!(new.attempt > old.attempt);
    assert!(lost(b.queue.commit(&stale, turns(&["ghost"]), at(63)).await), "another holds it");
    assert!(lost(b.queue.hand_back(&stale, at(63)).await));
    let fresh = Lease { run_id: new.id, attempt: new.attempt };
    b.queue.commit(&fresh, turns(&["real"]), at(64)).await.unwrap();
    let transcript = b.suites.transcript(new.id).await.unwrap();
    assert_eq!(transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["real"]);
}

async fn handing_back_is_no_recovery(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    for _ in 0..10 {
        let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
        assert_eq!((run.recoveries, run.stalled), (0, 0));
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        b.queue.hand_back(&lease, at(1)).await.unwrap();
    }
    assert_eq!(b.queue.reap(at(2)).await.unwrap().recovered, 0);
}

async fn lapsed_leases_are_freed_and_a_run_that_kills_is_given_up(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let mut now = T0;
    for n in 0..MOST_RECOVERIES {
        let run = b.queue.claim(claim(1, now)).await.unwrap().remove(0);
        assert_eq!(run.recoveries, n);
        assert_eq!(b.queue.reap(now.plus(LEASE)).await.unwrap().recovered, 0, "not yet lapsed");
        now = now.plus(LEASE + Duration::from_millis(1));
        assert_eq!(b.queue.reap(now).await.unwrap().recovered, 1);
    }
    let run = b.queue.claim(claim(1, now)).await.unwrap().remove(0);
    assert_eq!(b.queue.take_over(now).await.unwrap().ended, 1, "a boot counts like a lapse");
    let row = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| error.kind), Some(ErrorKind::Abandoned));

    // A turn in between starts the count anew.
    b.suites.create_suite(suite(2, 1, 1)).await.unwrap();
    for _ in 0..6 {
        let run = b.queue.claim(claim(1, now)).await.unwrap().remove(0);
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        b.queue.commit(&lease, turns(&["on"]), now).await.unwrap();
        assert_eq!(b.queue.take_over(now).await.unwrap().recovered, 1);
    }
}
