//! Queue statistics and completion metrics.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, space, suite};
use crate::queue_stats::QueueStats;
use crate::suites::NewSuite;
use crate::transition::{LEASE_DURATION, RunChange, RunOutcome};
use domain::{EndReason, ErrorKind, RunError, SuiteId, WaitReason, Waiting};
use telemetry::parser::ParsedMetrics;

pub async fn queue_stats_count_unfinished_runs_by_state(f: QueueFixture) {
    assert_eq!(f.queue.queue_stats().await.unwrap(), QueueStats::default());
    f.suites.create_suite(NewSuite { concurrency: 6, ..suite(1, 1, 9) }).await.unwrap();
    let runs = f.queue.claim(claim(6, T0)).await.unwrap();
    let lease = |n: usize| runs[n].lease();
    for (n, what) in
        [WaitReason::Slot, WaitReason::RateLimit, WaitReason::Circuit].iter().enumerate()
    {
        let waiting = Some(Some(Waiting { what: *what, until: Some(at(60)) }));
        let change = RunChange { waiting, ..RunChange::default() };
        f.queue.commit(&lease(n), change, at(1)).await.unwrap();
    }
    let over = RunChange { end_reason: Some(EndReason::ScriptFinished), ..RunChange::default() };
    f.queue.commit(&lease(3), over, at(1)).await.unwrap();
    f.queue.commit(&lease(4), finish(passed()), at(1)).await.unwrap();
    let expected = QueueStats {
        pending: 3,
        conversing: 1,
        evaluating: 1,
        waiting_slot: 1,
        waiting_rate_limit: 1,
        waiting_circuit: 1,
        earliest_lease_expiry: Some(T0.plus(LEASE_DURATION)),
    };
    assert_eq!(f.queue.queue_stats().await.unwrap(), expected);
    f.queue.heartbeat("worker", at(20)).await.unwrap();
    let renewed =
        QueueStats { earliest_lease_expiry: Some(at(20).plus(LEASE_DURATION)), ..expected };
    assert_eq!(f.queue.queue_stats().await.unwrap(), renewed);
}

pub async fn each_completion_is_counted_once(f: QueueFixture) {
    let recorder = telemetry::scrape::recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    telemetry::scrape::initialize();
    let count = |status: &str, kind: &str| {
        let numbers = ParsedMetrics::read(&recorder.handle().render());
        let labels = [("status", status), ("error_kind", kind)];
        numbers.value("rehearsal_runs_finished_total", &labels)
    };
    // An incompatible run ends at once.
    let mut new = suite(1, 1, 4);
    new.runs[3].error = Some(RunError::new(ErrorKind::Incompatible, "It lacks a tool."));
    f.suites.create_suite(new).await.unwrap();
    assert_eq!(count("error", "incompatible"), 1.0);
    // The lease holder completes a run; late commits are refused.
    let runs = f.queue.claim(claim(2, T0)).await.unwrap();
    let lease = |n: usize| runs[n].lease();
    f.queue.commit(&lease(0), finish(passed()), at(1)).await.unwrap();
    assert!(lost(f.queue.commit(&lease(0), finish(passed()), at(2)).await));
    assert!(lost(f.queue.commit(&lease(0), finish(RunOutcome::cancelled()), at(2)).await));
    assert_eq!((count("passed", "none"), count("cancelled", "none")), (1.0, 0.0));
    // The reaper ends a run at its deadline.
    f.queue.reap(runs[1].deadline_at.unwrap()).await.unwrap();
    assert_eq!(count("error", "abandoned"), 1.0);
    // A cancel ends a pending run.
    f.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap();
    assert_eq!(count("cancelled", "none"), 1.0);
    let all = ParsedMetrics::read(&recorder.handle().render());
    assert_eq!(all.of("rehearsal_runs_finished_total").map(|(_, n)| n).sum::<f64>(), 4.0);
}
