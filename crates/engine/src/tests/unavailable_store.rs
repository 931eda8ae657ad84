//! The store is unavailable for a while: no reply that was paid for is lost, and no run
//! fails because of it.

use super::faulty_store::FaultyStore;
use super::fixture::{Fixture, passing_reply, scripted, space, user};
use clock::Clock;
use domain::{ErrorKind, EvaluationStatus, RunStatus};
use std::time::Duration;
use store::suites::SuiteStore;

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn unavailable_endpoint_lookup_ends_no_run() {
    let f = Fixture::new(passing_reply);
    f.set_endpoints_readable(false);
    let suite = f.suite(1, &[scripted(2)]).await;
    let _engine = f.start().await;
    pass(20_000).await;
    let waiting = f.runs(1, suite).await.remove(0);
    assert_eq!(
        (waiting.status, f.received_calls().len()),
        (RunStatus::Running, 0),
        "{:?}",
        waiting.error
    );
    f.set_endpoints_readable(true);
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!((run.status, run.error.clone()), (RunStatus::Passed, None));
    assert!(run.active_ms < 2_000, "retries are not active time: {}", run.active_ms);
}

#[tokio::test(start_paused = true)]
async fn endpoint_lookup_can_be_stopped_and_ends_at_deadline() {
    let f = Fixture::new(passing_reply);
    f.set_endpoints_readable(false);
    let suite = f.suite(1, &[scripted(1), scripted(1)]).await;
    let engine = f.start().await;
    pass(5_000).await;
    let stopped = f.runs(1, suite).await.remove(0).id;
    f.queue.cancel_run(space(1), stopped, f.clock.now()).await.unwrap();
    engine.cancel(&[stopped]);
    pass(1_000).await;
    let runs = f.runs(1, suite).await;
    assert_eq!(runs[0].status, RunStatus::Cancelled);
    let late = f.finished(1, suite).await.remove(1);
    assert_eq!(late.error.as_ref().map(|error| error.kind), Some(ErrorKind::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn store_outage_loses_no_call_and_no_turn() {
    // The run takes 6 × 100 ms; the store becomes unavailable at every point of it.
    for cut in (1..=13).map(|n| n * 50) {
        let f = Fixture::new(passing_reply);
        let suite = f.suite(1, &[scripted(5)]).await;
        let store = FaultyStore::over(&f);
        let _engine = f.start_with_store(store.clone()).await;
        pass(cut).await;
        store.set_unavailable(true);
        pass(12_000).await;
        store.set_unavailable(false);
        let run = f.finished(1, suite).await.remove(0);
        assert_eq!(run.status, RunStatus::Passed, "unavailable at {cut} ms: {:?}", run.error);
        assert_eq!(f.messages(run.id).await.len(), 10, "unavailable at {cut} ms");
        assert_eq!(f.received_calls().len(), 6, "no call is repeated, unavailable at {cut} ms");
        assert_eq!((run.lease_epoch, run.recoveries), (1, 0), "the lease holder is the same");
        f.assert_every_call_has_an_intent();
    }
}

#[tokio::test(start_paused = true)]
async fn runs_stop_after_20_s_without_heartbeat_and_resume_later() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(5), scripted(5), scripted(5)]).await;
    let store = FaultyStore::over(&f);
    let engine = f.start_with_store(store.clone()).await;
    pass(250).await;
    store.set_unavailable(true);
    pass(15_000).await;
    assert_eq!(engine.task_count(), 3, "the runs retry");
    pass(13_000).await;
    assert_eq!(engine.task_count(), 0, "another worker may hold them soon");
    let calls = f.received_calls().len();
    // Long enough that every lease expired.
    pass(600_000).await;
    assert_eq!(f.received_calls().len(), calls, "no call is made while nothing can be stored");
    assert!(store.failed_commits() > 0);
    store.set_unavailable(false);
    pass(20_000).await;
    for run in f.finished(1, suite).await {
        assert_eq!((run.status, run.recoveries), (RunStatus::Passed, 0), "{:?}", run.error);
        assert_eq!(f.messages(run.id).await.len(), 10);
    }
    assert!(f.received_calls().len() <= 3 * 6 + 3, "at most the call in flight is repeated");
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn turns_before_cancel_are_stored_after_store_outage() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(5)]).await;
    let store = FaultyStore::over(&f);
    let engine = f.start_with_store(store.clone()).await;
    // The store is unavailable when the first reply arrives.
    pass(50).await;
    store.set_unavailable(true);
    pass(1_000).await;
    let run = f.runs(1, suite).await.remove(0).id;
    engine.cancel(&[run]);
    pass(5_000).await;
    assert_eq!(f.received_calls().len(), 1, "no new call after the cancel");
    store.set_unavailable(false);
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert!(f.messages(run.id).await.len() >= 2, "the reply that was paid for is stored");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_unavailable_store() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(5), scripted(5)]).await;
    let store = FaultyStore::over(&f);
    let engine = f.start_with_store(store.clone()).await;
    pass(250).await;
    store.set_unavailable(true);
    pass(2_000).await;
    let began = tokio::time::Instant::now();
    engine.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    store.set_unavailable(false);
    let _next = f.start_with_store(store).await;
    for run in f.finished(1, suite).await {
        assert_eq!(run.status, RunStatus::Passed);
        assert_eq!(f.messages(run.id).await.len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn rejudge_survives_store_outage() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(2)]).await;
    let store = FaultyStore::over(&f);
    let engine = f.start_with_store(store.clone()).await;
    let run = f.finished(1, suite).await.remove(0);
    // Unavailable for less than the 20 s after which runs stop, then for longer.
    for (outage_ms, calls) in [(10_000, 1), (60_000, 2)] {
        let before = f.received_calls().len();
        let id = f.rejudge(&run).await;
        engine.wake();
        pass(50).await;
        store.set_unavailable(true);
        pass(outage_ms).await;
        store.set_unavailable(false);
        pass(60_000).await;
        let judged = f.evaluation(&run, id).await;
        assert_eq!(
            judged.evaluation.status,
            EvaluationStatus::Done,
            "{:?}",
            judged.evaluation.error
        );
        assert_eq!(judged.recoveries, 0, "an outage is no recovery");
        assert!(f.received_calls().len() - before <= calls, "unavailable for {outage_ms} ms");
        assert_eq!(judged.user_id, user(1));
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeat_precedes_reaper_after_silence() {
    let f = Fixture::new(|n, request| {
        Box::pin(async move {
            pass(60_000).await;
            passing_reply(n, request).await
        })
    });
    let suite = f.suite(1, &[scripted(1)]).await;
    let store = FaultyStore::over(&f);
    let _engine = f.start_with_store(store.clone()).await;
    pass(6_000).await;
    // The lease expires at 35 s, while its holder is alive.
    store.block_heartbeats(true);
    pass(40_000).await;
    store.block_heartbeats(false);
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!((run.lease_epoch, run.recoveries), (1, 0), "the lease holder never changed");
    assert_eq!(f.received_calls().len(), 2, "no call is repeated");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_cancelled_runs() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(5)]).await;
    let store = FaultyStore::over(&f);
    let engine = f.start_with_store(store.clone()).await;
    pass(250).await;
    let run = f.runs(1, suite).await.remove(0).id;
    store.set_unavailable(true);
    f.queue.cancel_run(space(1), run, f.clock.now()).await.unwrap();
    engine.cancel(&[run]);
    pass(1_000).await;
    let began = tokio::time::Instant::now();
    engine.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    store.set_unavailable(false);
    let _next = f.start_with_store(store).await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
}
