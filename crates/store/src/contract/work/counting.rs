//! What is counted: unfinished runs by what they do, and each end once.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, space, suite};
use telemetry::reading::Numbers;
use crate::census::Census;
use crate::suites::NewSuite;
use crate::transition::{Change, Final, LEASE, Lease};
use domain::{EndReason, ErrorKind, RunError, SuiteId, Waiting, WaitingOn};

pub async fn unfinished_runs_are_counted_by_what_they_do(f: QueueFixture) {
    assert_eq!(f.queue.census().await.unwrap(), Census::default());
    f.suites.create_suite(NewSuite { concurrency: 6, ..suite(1, 1, 9) }).await.unwrap();
    let runs = f.queue.claim(claim(6, T0)).await.unwrap();
    let lease = |n: usize| Lease { run_id: runs[n].id, attempt: runs[n].attempt };
    for (n, what) in [WaitingOn::Slot, WaitingOn::RateLimit, WaitingOn::Circuit].iter().enumerate()
    {
        let waiting = Some(Some(Waiting { what: *what, until: Some(at(60)) }));
        let change = Change { waiting, ..Change::default() };
        f.queue.commit(&lease(n), change, at(1)).await.unwrap();
    }
    let over = Change { end_reason: Some(EndReason::ScriptFinished), ..Change::default() };
    f.queue.commit(&lease(3), over, at(1)).await.unwrap();
    f.queue.commit(&lease(4), finish(passed()), at(1)).await.unwrap();
    let expected = Census {
        pending: 3,
        conversing: 1,
        evaluating: 1,
        waiting_slot: 1,
        waiting_rate_limit: 1,
        waiting_circuit: 1,
        first_lapse: Some(T0.plus(LEASE)),
    };
    assert_eq!(f.queue.census().await.unwrap(), expected);
    f.queue.heartbeat("worker", at(20)).await.unwrap();
    let renewed = Census { first_lapse: Some(at(20).plus(LEASE)), ..expected };
    assert_eq!(f.queue.census().await.unwrap(), renewed);
}

pub async fn each_end_is_counted_once_whoever_brought_it(f: QueueFixture) {
    let recorder = telemetry::scrape::recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    telemetry::scrape::begin();
    let count = |status: &str, kind: &str| {
        let numbers = Numbers::read(&recorder.handle().render());
        let labels = [("status", status), ("error_kind", kind)];
        numbers.value("rehearsal_runs_finished_total", &labels)
    };
    // Ended before it began: it does not go together with the agent.
    let mut new = suite(1, 1, 4);
    new.runs[3].error = Some(RunError::new(ErrorKind::Incompatible, "It lacks a tool."));
    f.suites.create_suite(new).await.unwrap();
    assert_eq!(count("error", "incompatible"), 1.0);
    // By its holder, and late words of whoever is not.
    let runs = f.queue.claim(claim(2, T0)).await.unwrap();
    let lease = |n: usize| Lease { run_id: runs[n].id, attempt: runs[n].attempt };
    f.queue.commit(&lease(0), finish(passed()), at(1)).await.unwrap();
    assert!(lost(f.queue.commit(&lease(0), finish(passed()), at(2)).await));
    assert!(lost(f.queue.commit(&lease(0), finish(Final::cancelled()), at(2)).await));
    assert_eq!((count("passed", "none"), count("cancelled", "none")), (1.0, 0.0));
    // By the reaper.
    f.queue.reap(runs[1].deadline_at.unwrap()).await.unwrap();
    assert_eq!(count("error", "abandoned"), 1.0);
    // By a cancel, of one that nobody holds.
    f.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap();
    assert_eq!(count("cancelled", "none"), 1.0);
    let all = Numbers::read(&recorder.handle().render());
    assert_eq!(all.of("rehearsal_runs_finished_total").map(|(_, n)| n).sum::<f64>(), 4.0);
}
