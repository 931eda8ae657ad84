//! The store takes nothing for a while: what was paid for is held on to, and
//! nobody is to blame.

use super::bench::{Bench, obliging, scripted, space, user};
use async_trait::async_trait;
use clock::Clock;
use domain::{ErrorKind, Evaluation, EvaluationId, EvaluationStatus, RunId, RunStatus, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use store::memory::InMemoryQueue;
use store::queue::{Claim, Heartbeat, QueueStore, RecoverySummary, RunInput};
use store::queue_stats::QueueStats;
use store::rows::{EvaluationRow, RunRow};
use store::suites::{NewEvaluation, SuiteStore};
use store::transition::{Lease, RunChange};
use store::{StoreError, StoreResult};
use uuid::Uuid;

/// A store that is away on command.
pub(super) struct Moody {
    inner: Arc<InMemoryQueue>,
    away: AtomicBool,
    /// Heartbeats do not come back, and everything else does.
    no_beat: AtomicBool,
    /// Commits that were refused.
    refused: AtomicU32,
}

impl Moody {
    pub(super) fn over(b: &Bench) -> Arc<Self> {
        Arc::new(Self {
            inner: b.work.clone(),
            away: false.into(),
            no_beat: false.into(),
            refused: 0.into(),
        })
    }

    pub(super) fn go(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn there(&self) -> StoreResult<&InMemoryQueue> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl QueueStore for Moody {
    async fn claim(&self, claim: Claim) -> StoreResult<Vec<RunRow>> {
        self.there()?.claim(claim).await
    }
    async fn run_input(&self, run: &RunRow) -> StoreResult<RunInput> {
        self.there()?.run_input(run).await
    }
    async fn commit(
        &self,
        lease: &Lease,
        change: RunChange,
        now: Timestamp,
    ) -> StoreResult<RunRow> {
        let there = self.there();
        if there.is_err() {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        there?.commit(lease, change, now).await
    }
    async fn reacquire_slot(
        &self,
        lease: &Lease,
        runs_per_user: u32,
        now: Timestamp,
    ) -> StoreResult<bool> {
        self.there()?.reacquire_slot(lease, runs_per_user, now).await
    }
    async fn release(&self, lease: &Lease, now: Timestamp) -> StoreResult<()> {
        self.there()?.release(lease, now).await
    }
    async fn claim_evaluations(&self, claim: Claim) -> StoreResult<Vec<EvaluationRow>> {
        self.there()?.claim_evaluations(claim).await
    }
    async fn commit_evaluation(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        view: Evaluation,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.there()?.commit_evaluation(id, lease_epoch, view, now).await
    }
    async fn run_with_input(&self, run: RunId) -> StoreResult<(RunRow, RunInput)> {
        self.there()?.run_with_input(run).await
    }
    async fn record_judge_call(
        &self,
        row: &EvaluationRow,
        call: Uuid,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.there()?.record_judge_call(row, call, now).await
    }
    async fn release_evaluation(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.there()?.release_evaluation(id, lease_epoch, now).await
    }
    async fn heartbeat(&self, owner: &str, now: Timestamp) -> StoreResult<Heartbeat> {
        while self.no_beat.load(Ordering::SeqCst) {
            pass(100).await;
        }
        self.there()?.heartbeat(owner, now).await
    }
    async fn reap(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        self.there()?.reap(now).await
    }
    async fn recover_at_boot(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        self.there()?.recover_at_boot(now).await
    }
    async fn queue_stats(&self) -> StoreResult<QueueStats> {
        self.there()?.queue_stats().await
    }
}

#[tokio::test(start_paused = true)]
async fn unavailable_endpoint_lookup_ends_no_run() {
    let b = Bench::new(obliging);
    b.connections_readable(false);
    let suite = b.suite(1, &[scripted(2)]).await;
    let _engine = b.engine().await;
    pass(20_000).await;
    let waits = b.runs(1, suite).await.remove(0);
    assert_eq!((waits.status, b.seen().len()), (RunStatus::Running, 0), "{:?}", waits.error);
    b.connections_readable(true);
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!((run.status, run.error.clone()), (RunStatus::Passed, None));
    assert!(run.active_ms < 2_000, "holding on is not active time: {}", run.active_ms);
}

#[tokio::test(start_paused = true)]
async fn endpoint_lookup_can_be_stopped_and_ends_at_deadline() {
    let b = Bench::new(obliging);
    b.connections_readable(false);
    let suite = b.suite(1, &[scripted(1), scripted(1)]).await;
    let engine = b.engine().await;
    pass(5_000).await;
    let stopped = b.runs(1, suite).await.remove(0).id;
    b.work.cancel_run(space(1), stopped, b.clock.now()).await.unwrap();
    engine.cancel(&[stopped]);
    pass(1_000).await;
    let runs = b.runs(1, suite).await;
    assert_eq!(runs[0].status, RunStatus::Cancelled);
    let late = b.finished(1, suite).await.remove(1);
    assert_eq!(late.error.as_ref().map(|error| error.kind), Some(ErrorKind::Abandoned));
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn store_outage_loses_no_call_and_no_turn() {
    // The run takes 6 × 100 ms; the store goes away at every point of it.
    for gone_at in (1..=13).map(|n| n * 50) {
        let b = Bench::new(obliging);
        let suite = b.suite(1, &[scripted(5)]).await;
        let store = Moody::over(&b);
        let _engine = b.engine_on(store.clone()).await;
        pass(gone_at).await;
        store.go(true);
        pass(12_000).await;
        store.go(false);
        let run = b.finished(1, suite).await.remove(0);
        assert_eq!(run.status, RunStatus::Passed, "away at {gone_at} ms: {:?}", run.error);
        assert_eq!(b.said(run.id).await.len(), 10, "away at {gone_at} ms");
        assert_eq!(b.seen().len(), 6, "no call is made again, away at {gone_at} ms");
        assert_eq!((run.lease_epoch, run.recoveries), (1, 0), "the same holder");
        b.every_call_was_noted();
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_heartbeat_for_20_s_runs_are_stopped_and_later_taken_up_again() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(5), scripted(5), scripted(5)]).await;
    let store = Moody::over(&b);
    let engine = b.engine_on(store.clone()).await;
    pass(250).await;
    store.go(true);
    pass(15_000).await;
    assert_eq!(engine.held(), 3, "held on to");
    pass(13_000).await;
    assert_eq!(engine.held(), 0, "somebody else may hold them soon");
    let calls = b.seen().len();
    // Long enough that every lease has lapsed, and every look at it too.
    pass(600_000).await;
    assert_eq!(b.seen().len(), calls, "nothing is asked while nothing can be stored");
    assert!(store.refused.load(Ordering::SeqCst) > 0);
    store.go(false);
    pass(20_000).await;
    for run in b.finished(1, suite).await {
        assert_eq!((run.status, run.recoveries), (RunStatus::Passed, 0), "{:?}", run.error);
        assert_eq!(b.said(run.id).await.len(), 10);
    }
    assert!(b.seen().len() <= 3 * 6 + 3, "at most the reply in hand is asked for again");
    b.every_call_was_noted();
}

#[tokio::test(start_paused = true)]
async fn turns_before_cancel_are_stored_after_store_outage() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(5)]).await;
    let store = Moody::over(&b);
    let engine = b.engine_on(store.clone()).await;
    // The first reply comes back to a store that is away.
    pass(50).await;
    store.go(true);
    pass(1_000).await;
    let run = b.runs(1, suite).await.remove(0).id;
    engine.cancel(&[run]);
    pass(5_000).await;
    assert_eq!(b.seen().len(), 1, "no new call after the cancel");
    store.go(false);
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert!(b.said(run.id).await.len() >= 2, "the reply that was paid for is there");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_unavailable_store() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(5), scripted(5)]).await;
    let store = Moody::over(&b);
    let engine = b.engine_on(store.clone()).await;
    pass(250).await;
    store.go(true);
    pass(2_000).await;
    let began = tokio::time::Instant::now();
    engine.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    store.go(false);
    let _next = b.engine_on(store).await;
    for run in b.finished(1, suite).await {
        assert_eq!(run.status, RunStatus::Passed);
        assert_eq!(b.said(run.id).await.len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn rejudge_survives_store_outage() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(2)]).await;
    let store = Moody::over(&b);
    let engine = b.engine_on(store.clone()).await;
    let run = b.finished(1, suite).await.remove(0);
    // Away for less than the process may hold on, then for longer.
    for (away_ms, calls) in [(10_000, 1), (60_000, 2)] {
        let before = b.seen().len();
        let now = b.clock.now();
        let asked = Evaluation::pending(b.clock.uuid().into(), "m", 1, now);
        let id = asked.id;
        let row = EvaluationRow::requested(&run, run.model_snapshot.judge.clone(), asked);
        b.work.create_evaluation(NewEvaluation { row, key: None }).await.unwrap();
        engine.wake();
        pass(50).await;
        store.go(true);
        pass(away_ms).await;
        store.go(false);
        pass(60_000).await;
        let all = b.work.evaluations(run.id).await.unwrap();
        let judged = all.into_iter().find(|row| row.id() == id).unwrap();
        assert_eq!(judged.view.status, EvaluationStatus::Done, "{:?}", judged.view.error);
        assert_eq!(judged.recoveries, 0, "no judging is to blame");
        assert!(b.seen().len() - before <= calls, "away for {away_ms} ms");
        assert_eq!(judged.user_id, user(1));
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeat_precedes_reaper_after_silence() {
    let b = Bench::new(|n, request| {
        Box::pin(async move {
            pass(60_000).await;
            obliging(n, request).await
        })
    });
    let suite = b.suite(1, &[scripted(1)]).await;
    let store = Moody::over(&b);
    let _engine = b.engine_on(store.clone()).await;
    pass(6_000).await;
    // The lease lapses at 35 s, with its holder alive.
    store.no_beat.store(true, Ordering::SeqCst);
    pass(40_000).await;
    store.no_beat.store(false, Ordering::SeqCst);
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!((run.lease_epoch, run.recoveries), (1, 0), "it was its own all the time");
    assert_eq!(b.seen().len(), 2, "nothing is asked twice");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_cancelled_runs() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(5)]).await;
    let store = Moody::over(&b);
    let engine = b.engine_on(store.clone()).await;
    pass(250).await;
    let run = b.runs(1, suite).await.remove(0).id;
    store.go(true);
    b.work.cancel_run(super::bench::space(1), run, b.clock.now()).await.unwrap();
    engine.cancel(&[run]);
    pass(1_000).await;
    let began = tokio::time::Instant::now();
    engine.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    store.go(false);
    let _next = b.engine_on(store).await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
}
