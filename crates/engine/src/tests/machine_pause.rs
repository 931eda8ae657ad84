//! The machine is paused in the middle of runs: the wall clock advances, and timers
//! stop.

use super::faulty_store::FaultyStore;
use super::fixture::{Fixture, passing_reply, scripted};
use clock::testing::PausableClock;
use domain::RunStatus;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A provider with a latency of ten seconds.
fn slow() -> Fixture {
    Fixture::new(|number, request| {
        Box::pin(async move {
            tokio::time::sleep(10 * SECOND).await;
            passing_reply(number, request).await
        })
    })
}

#[tokio::test(start_paused = true)]
async fn process_that_cannot_renew_after_machine_pause_stops_its_runs() {
    let f = slow();
    f.suite(1, &[scripted(5), scripted(5)]).await;
    let (clock, store) = (Arc::new(PausableClock::default()), FaultyStore::over(&f));
    let engine = f.start_with(clock.clone(), store.clone(), f.outbound()).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(engine.task_count(), 2);
    // Longer than a lease; the store is unavailable after the pause.
    clock.pause(40 * SECOND);
    store.set_unavailable(true);
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(engine.task_count(), 0, "another worker may hold them by now");
}

#[tokio::test(start_paused = true)]
async fn process_that_can_renew_after_machine_pause_continues() {
    let f = slow();
    let suite = f.suite(1, &[scripted(1), scripted(1)]).await;
    let clock = Arc::new(PausableClock::default());
    let _engine = f.start_with(clock.clone(), f.queue.clone(), f.outbound()).await;
    tokio::time::sleep(SECOND).await;
    clock.pause(40 * SECOND);
    for run in f.finished(1, suite).await {
        assert_eq!((run.status, run.lease_epoch, run.recoveries), (RunStatus::Passed, 1, 0));
    }
    assert_eq!(f.received_calls().len(), 4, "no call is made twice");
}
