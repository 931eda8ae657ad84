//! What calls cost, and the budgets that limit it.

use super::StoreResult;
use super::rows::CallDone;
use async_trait::async_trait;
use domain::{
    AgentId, BudgetAction, ConnectionId, ModelPrice, NanoUsd, RoleUsage, ScenarioId, SpaceId,
    SuiteId, Timestamp, UserId,
};

/// The cost of several calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The sum of the known costs.
    pub cost: NanoUsd,
    /// The number of answered calls whose cost is unknown.
    pub unpriced_calls: u32,
}

impl Spent {
    /// Adds one answered call; `None` if its cost is unknown.
    pub fn add(&mut self, cost: Option<NanoUsd>) {
        match cost {
            Some(cost) => self.cost = self.cost.plus(cost),
            None => self.unpriced_calls = self.unpriced_calls.saturating_add(1),
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cost: self.cost.plus(other.cost),
            unpriced_calls: self.unpriced_calls.saturating_add(other.unpriced_calls),
        }
    }
}

/// What a suite may spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuiteBudget {
    /// `None` for no limit.
    pub limit: Option<NanoUsd>,
    pub action: BudgetAction,
}

/// What a user spent on one day (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DailySpending {
    /// What the user chose as the daily budget; `None` for the default of the server.
    pub budget: Option<NanoUsd>,
    /// The cost of the calls of runs and rejudges of that day.
    pub spent: Spent,
}

/// What the worker of a run has to know before its first call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    pub suite_budget: SuiteBudget,
    /// Without rejudges.
    pub suite: Spent,
    pub daily: DailySpending,
}

/// The sums of costs. A store adds each answered call to them in the transaction of its
/// reply, and never recounts them.
#[async_trait]
pub trait SpendingStore: Send + Sync + 'static {
    /// The spending of a suite, and of a user on the day of `now`.
    async fn spending(&self, suite: SuiteId, user: UserId, now: Timestamp)
    -> StoreResult<Spending>;
    /// The spending of a user on the day of `now`.
    async fn daily_spending(&self, user: UserId, now: Timestamp) -> StoreResult<DailySpending>;
    /// Stores the daily budget of a user; `None` selects the default of the server.
    async fn put_daily_budget(&self, user: UserId, budget: Option<NanoUsd>) -> StoreResult<()>;
    /// Stores the outcome of a call of a rejudge.
    async fn finish_judge_call(&self, call: CallDone, now: Timestamp) -> StoreResult<()>;
    /// Ends the pending runs of a suite as `budget_exhausted`, together. Returns their
    /// number.
    async fn end_pending_runs(
        &self,
        suite: SuiteId,
        message: String,
        now: Timestamp,
    ) -> StoreResult<u32>;
    /// The cost of all suites of an agent that are kept. `None` if there is none, or if one
    /// was created before costs were known.
    async fn agent_spending(&self, space: SpaceId, agent: AgentId) -> StoreResult<Option<Spent>>;
    /// The scenarios and the usage of the newest judged runs of an agent, for an estimate.
    async fn past_usage(
        &self,
        space: SpaceId,
        agent: AgentId,
    ) -> StoreResult<Vec<(ScenarioId, RoleUsage)>>;
}

/// The prices that users entered.
#[async_trait]
pub trait PriceStore: Send + Sync + 'static {
    /// Ordered by model.
    async fn prices(
        &self,
        space: SpaceId,
        connection: ConnectionId,
    ) -> StoreResult<Vec<ModelPrice>>;
    /// Replaces the prices of a connection.
    async fn put_prices(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        prices: Vec<ModelPrice>,
    ) -> StoreResult<()>;
}
