//! A queue that is unavailable on command.

use super::fixture::Fixture;
use async_trait::async_trait;
use domain::{
    AgentId, Evaluation, EvaluationId, NanoUsd, RoleUsage, RunId, ScenarioId, SpaceId, SuiteId,
    Timestamp, UserId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use store::memory::InMemoryQueue;
use store::queue::{
    Claim, GiveUp, Heartbeat, Outage, OutageKey, QueueStore, RecoverySummary, RunInput,
};
use store::queue_stats::QueueStats;
use store::rows::{CallDone, EvaluationRow, RunRow};
use store::spending::{DailySpending, Spending, SpendingStore, Spent};
use store::transition::{Lease, RunChange};
use store::{StoreError, StoreResult};
use uuid::Uuid;

/// A queue whose methods fail on command.
pub(super) struct FaultyStore {
    inner: Arc<InMemoryQueue>,
    unavailable: AtomicBool,
    /// Heartbeats do not return while it is set.
    blocks_heartbeats: AtomicBool,
    /// The number of commits that failed.
    failed_commits: AtomicU32,
}

impl FaultyStore {
    pub(super) fn over(f: &Fixture) -> Arc<Self> {
        Arc::new(Self {
            inner: f.queue.clone(),
            unavailable: false.into(),
            blocks_heartbeats: false.into(),
            failed_commits: 0.into(),
        })
    }

    pub(super) fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    pub(super) fn block_heartbeats(&self, blocks: bool) {
        self.blocks_heartbeats.store(blocks, Ordering::SeqCst);
    }

    pub(super) fn failed_commits(&self) -> u32 {
        self.failed_commits.load(Ordering::SeqCst)
    }

    fn available(&self) -> StoreResult<&InMemoryQueue> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl SpendingStore for FaultyStore {
    async fn spending(
        &self,
        suite: SuiteId,
        user: UserId,
        now: Timestamp,
    ) -> StoreResult<Spending> {
        self.available()?.spending(suite, user, now).await
    }
    async fn daily_spending(&self, user: UserId, now: Timestamp) -> StoreResult<DailySpending> {
        self.available()?.daily_spending(user, now).await
    }
    async fn put_daily_budget(&self, user: UserId, budget: Option<NanoUsd>) -> StoreResult<()> {
        self.available()?.put_daily_budget(user, budget).await
    }
    async fn finish_judge_call(&self, call: CallDone, now: Timestamp) -> StoreResult<()> {
        self.available()?.finish_judge_call(call, now).await
    }
    async fn end_pending_runs(
        &self,
        suite: SuiteId,
        message: String,
        now: Timestamp,
    ) -> StoreResult<u32> {
        self.available()?.end_pending_runs(suite, message, now).await
    }
    async fn agent_spending(&self, space: SpaceId, agent: AgentId) -> StoreResult<Option<Spent>> {
        self.available()?.agent_spending(space, agent).await
    }
    async fn past_usage(
        &self,
        space: SpaceId,
        agent: AgentId,
    ) -> StoreResult<Vec<(ScenarioId, RoleUsage)>> {
        self.available()?.past_usage(space, agent).await
    }
}

#[async_trait]
impl QueueStore for FaultyStore {
    async fn claim(&self, claim: Claim) -> StoreResult<Vec<RunRow>> {
        self.available()?.claim(claim).await
    }
    async fn run_input(&self, run: &RunRow) -> StoreResult<RunInput> {
        self.available()?.run_input(run).await
    }
    async fn commit(
        &self,
        lease: &Lease,
        change: RunChange,
        now: Timestamp,
    ) -> StoreResult<RunRow> {
        let available = self.available();
        if available.is_err() {
            self.failed_commits.fetch_add(1, Ordering::SeqCst);
        }
        available?.commit(lease, change, now).await
    }
    async fn reacquire_user_slot(
        &self,
        lease: &Lease,
        runs_per_user: u32,
        now: Timestamp,
    ) -> StoreResult<bool> {
        self.available()?.reacquire_user_slot(lease, runs_per_user, now).await
    }
    async fn release(&self, lease: &Lease, now: Timestamp) -> StoreResult<()> {
        self.available()?.release(lease, now).await
    }
    async fn claim_rejudges(&self, claim: Claim) -> StoreResult<Vec<EvaluationRow>> {
        self.available()?.claim_rejudges(claim).await
    }
    async fn commit_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        evaluation: Evaluation,
        now: Timestamp,
    ) -> StoreResult<EvaluationRow> {
        self.available()?.commit_rejudge(id, lease_epoch, evaluation, now).await
    }
    async fn store_rejudge_wait(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        waits: bool,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.available()?.store_rejudge_wait(id, lease_epoch, waits, now).await
    }
    async fn run_with_input(&self, run: RunId) -> StoreResult<(RunRow, RunInput)> {
        self.available()?.run_with_input(run).await
    }
    async fn record_judge_call(
        &self,
        row: &EvaluationRow,
        call: Uuid,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.available()?.record_judge_call(row, call, now).await
    }
    async fn release_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.available()?.release_rejudge(id, lease_epoch, now).await
    }
    async fn heartbeat(&self, owner: &str, now: Timestamp) -> StoreResult<Heartbeat> {
        while self.blocks_heartbeats.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.available()?.heartbeat(owner, now).await
    }
    async fn reap(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        self.available()?.reap(now).await
    }
    async fn recover_at_boot(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        self.available()?.recover_at_boot(now).await
    }
    async fn outages(&self) -> StoreResult<Vec<Outage>> {
        self.available()?.outages().await
    }
    async fn save_outages(&self, began: Vec<Outage>, ended: Vec<OutageKey>) -> StoreResult<()> {
        self.available()?.save_outages(began, ended).await
    }
    async fn give_up_pending(&self, give_up: GiveUp, now: Timestamp) -> StoreResult<u32> {
        self.available()?.give_up_pending(give_up, now).await
    }
    async fn queue_stats(&self) -> StoreResult<QueueStats> {
        self.available()?.queue_stats().await
    }
}
