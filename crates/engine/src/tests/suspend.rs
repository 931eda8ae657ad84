//! The machine is suspended in the middle of runs: the wall clock goes on, and
//! timers stand still.

use super::bench::{Bench, obliging, scripted};
use super::unavailable_store::Moody;
use clock::testing::SuspendableClock;
use domain::RunStatus;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Answers after ten seconds.
fn slow() -> Bench {
    Bench::new(|number, request| {
        Box::pin(async move {
            tokio::time::sleep(10 * SECOND).await;
            obliging(number, request).await
        })
    })
}

#[tokio::test(start_paused = true)]
async fn process_that_cannot_renew_after_suspend_stops_its_runs() {
    let b = slow();
    b.suite(1, &[scripted(5), scripted(5)]).await;
    let (laptop, store) = (Arc::new(SuspendableClock::default()), Moody::over(&b));
    let engine = b.engine_by(laptop.clone(), store.clone(), b.outbound()).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(engine.held(), 2);
    // Longer than a lease, and the disk does not wake up with the machine.
    laptop.suspend(40 * SECOND);
    store.go(true);
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(engine.held(), 0, "somebody else may hold them by now");
}

#[tokio::test(start_paused = true)]
async fn process_that_can_renew_after_suspend_continues() {
    let b = slow();
    let suite = b.suite(1, &[scripted(1), scripted(1)]).await;
    let laptop = Arc::new(SuspendableClock::default());
    let _engine = b.engine_by(laptop.clone(), b.work.clone(), b.outbound()).await;
    tokio::time::sleep(SECOND).await;
    laptop.suspend(40 * SECOND);
    for run in b.finished(1, suite).await {
        assert_eq!((run.status, run.lease_epoch, run.recoveries), (RunStatus::Passed, 1, 0));
    }
    assert_eq!(b.seen().len(), 4, "no call is made twice");
}
