//! A run's life: it is claimed, goes its way, is freed when its holder is silent,
//! and ends once.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, space, suite, turns};
use crate::rows::{EventRow, Intent, Role};
use crate::suites::Created;
use crate::transition::{Change, Final, LEASE, Lease, MOST_RECOVERIES};
use domain::{EndReason, ErrorKind, RunStatus, Stage, SuiteId, SuiteStatus};
use std::time::Duration;

pub async fn a_run_goes_its_way_and_events_tell_of_it(f: QueueFixture) {
    assert_eq!(f.suites.create_suite(suite(1, 1, 1)).await.unwrap(), Created::New);
    let mut woken = f.suites.watch(SuiteId(id(1)));
    let run = f.queue.claim(claim(5, at(1))).await.unwrap().remove(0);
    assert_eq!((run.status, run.attempt), (RunStatus::Running, 1));
    assert_eq!(run.deadline_at, Some(at(1 + 300 + 600 + 180)));
    assert!(woken.borrow_and_update().seq > 0, "streams are woken");
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let intent = Intent { id: id(77), role: Role::Agent, turn: 1 };
    let change = Change { intents: vec![intent], ..turns(&["hello"]) };
    f.queue.commit(&lease, change, at(2)).await.unwrap();
    let over = Change { end_reason: Some(EndReason::ScriptFinished), ..turns(&["bye"]) };
    let row = f.queue.commit(&lease, over, at(3)).await.unwrap();
    assert_eq!((row.stage, row.turns, row.user_turns), (Some(Stage::Evaluating), 2, 2));
    f.queue.commit(&lease, finish(passed()), at(4)).await.unwrap();

    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((suite.status, suite.finished_at), (SuiteStatus::Finished, Some(at(4))));
    assert_eq!((runs[0].status, runs[0].score), (RunStatus::Passed, Some(100.0)));
    let transcript = f.suites.transcript(run.id).await.unwrap();
    let heard: Vec<_> = transcript.iter().map(|t| (t.index, t.message.as_str())).collect();
    assert_eq!(heard, [(0, "hello"), (1, "bye")]);

    let events = f.suites.events_after(suite.id, 0, 100).await.unwrap();
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
    let later = f.suites.events_after(suite.id, 4, 1).await.unwrap();
    assert_eq!((later.len(), later[0].0), (1, 5), "only what was missed, at most so many");
}

pub async fn final_is_final_for_ever(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    f.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert!(lost(f.queue.commit(&lease, finish(Final::cancelled()), at(2)).await));
    assert!(lost(f.queue.commit(&lease, turns(&["late"]), at(2)).await));
    assert!(f.suites.cancel_run(space(1), run.id, at(2)).await.unwrap().is_none());
    f.queue.reap(at(100_000)).await.unwrap();
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.turns, row.finished_at), (RunStatus::Passed, 0, Some(at(1))));
    assert!(f.suites.transcript(run.id).await.unwrap().is_empty(), "no late turn got in");
}

pub async fn a_stale_holder_changes_nothing(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let old = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let stale = Lease { run_id: old.id, attempt: old.attempt };
    f.queue.reap(T0.plus(LEASE * 2)).await.unwrap();
    assert!(lost(f.queue.commit(&stale, turns(&["ghost"]), at(61)).await), "nobody holds it");
    let new = f.queue.claim(claim(1, at(62))).await.unwrap().remove(0);
    assert!(new.attempt > old.attempt);
    assert!(lost(f.queue.commit(&stale, turns(&["ghost"]), at(63)).await), "another holds it");
    assert!(lost(f.queue.hand_back(&stale, at(63)).await));
    let fresh = Lease { run_id: new.id, attempt: new.attempt };
    f.queue.commit(&fresh, turns(&["real"]), at(64)).await.unwrap();
    let transcript = f.suites.transcript(new.id).await.unwrap();
    assert_eq!(transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["real"]);
}

pub async fn handing_back_is_no_recovery(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    for _ in 0..10 {
        let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
        assert_eq!((run.recoveries, run.stalled), (0, 0));
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        f.queue.hand_back(&lease, at(1)).await.unwrap();
    }
    assert_eq!(f.queue.reap(at(2)).await.unwrap().recovered, 0);
}

pub async fn lapsed_leases_are_freed_and_a_run_that_kills_is_given_up(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let mut now = T0;
    for n in 0..MOST_RECOVERIES {
        let run = f.queue.claim(claim(1, now)).await.unwrap().remove(0);
        assert_eq!(run.recoveries, n);
        assert_eq!(f.queue.reap(now.plus(LEASE)).await.unwrap().recovered, 0, "not yet lapsed");
        now = now.plus(LEASE + Duration::from_millis(1));
        assert_eq!(f.queue.reap(now).await.unwrap().recovered, 1);
    }
    let run = f.queue.claim(claim(1, now)).await.unwrap().remove(0);
    assert_eq!(f.queue.take_over(now).await.unwrap().ended, 1, "a boot counts like a lapse");
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| error.kind), Some(ErrorKind::Abandoned));

    // A turn in between starts the count anew.
    f.suites.create_suite(suite(2, 1, 1)).await.unwrap();
    for _ in 0..6 {
        let run = f.queue.claim(claim(1, now)).await.unwrap().remove(0);
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        f.queue.commit(&lease, turns(&["on"]), now).await.unwrap();
        assert_eq!(f.queue.take_over(now).await.unwrap().recovered, 1);
    }
}
