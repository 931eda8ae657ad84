//! The sums of costs over SQLite. The trigger `calls_spent` keeps them.

use crate::SqliteStore;
use crate::cell::{Cell, RowReader};
use crate::queue::end_pending_runs;
use crate::rows::readable;
use crate::sqlite_error::DbResult;
use async_trait::async_trait;
use domain::{
    AgentId, BudgetAction, NanoUsd, RoleUsage, ScenarioId, SpaceId, SuiteId, Timestamp, Usage,
    UserId, day_number,
};
use futures::FutureExt;
use store::StoreResult;
use store::rows::CallDone;
use store::spending::{DailySpending, Spending, SpendingStore, Spent, SuiteBudget};

/// An amount as SQLite stores it.
pub(crate) fn stored(amount: NanoUsd) -> i64 {
    i64::try_from(amount.0).unwrap_or(i64::MAX)
}

/// A sum that a suite or a day has; `None` if it is NULL.
pub(crate) fn read_spent(
    row: RowReader<'_>,
    cost: Option<Cell<i64>>,
    unpriced_calls: Option<Cell<i64>>,
) -> StoreResult<Option<Spent>> {
    let cost: Option<u64> = row.optional("spent_nano_usd", cost)?;
    let unpriced: Option<u32> = row.optional("unpriced_calls", unpriced_calls)?;
    Ok(cost.map(|cost| Spent { cost: NanoUsd(cost), unpriced_calls: unpriced.unwrap_or(0) }))
}

/// The budget of a suite.
pub(crate) fn read_budget(
    row: RowReader<'_>,
    limit: Option<Cell<i64>>,
    action: Cell<String>,
) -> StoreResult<SuiteBudget> {
    let limit: Option<u64> = row.optional("budget_nano_usd", limit)?;
    let action = row.parse("budget_action", action, BudgetAction::parse)?;
    Ok(SuiteBudget { limit: limit.map(NanoUsd), action })
}

#[async_trait]
impl SpendingStore for SqliteStore {
    async fn spending(
        &self,
        suite: SuiteId,
        user: UserId,
        now: Timestamp,
    ) -> StoreResult<Spending> {
        struct RawSpending {
            budget_nano_usd: Option<Cell<i64>>,
            budget_action: Cell<String>,
            spent_nano_usd: Option<Cell<i64>>,
            unpriced_calls: Option<Cell<i64>>,
        }
        let raw = sqlx::query_as!(
            RawSpending,
            "SELECT budget_nano_usd, budget_action, spent_nano_usd, unpriced_calls FROM suites \
             WHERE id = ?",
            suite.0,
        );
        let mut spending =
            Spending { daily: self.daily_spending(user, now).await?, ..Spending::default() };
        if let Some(raw) = raw.fetch_optional(&self.read).await.db()? {
            let row = RowReader::new("suites", &suite);
            spending.suite_budget = read_budget(row, raw.budget_nano_usd, raw.budget_action)?;
            let spent = read_spent(row, raw.spent_nano_usd, raw.unpriced_calls)?;
            spending.suite = spent.unwrap_or_default();
        }
        Ok(spending)
    }

    async fn daily_spending(&self, user: UserId, now: Timestamp) -> StoreResult<DailySpending> {
        struct RawDay {
            daily_budget_nano_usd: Option<Cell<i64>>,
            spent_nano_usd: Option<Cell<i64>>,
            unpriced_calls: Option<Cell<i64>>,
        }
        let day = day_number(now);
        let raw = sqlx::query_as!(
            RawDay,
            r#"SELECT u.daily_budget_nano_usd, d.spent_nano_usd AS "spent_nano_usd?",
               d.unpriced_calls AS "unpriced_calls?" FROM users u
               LEFT JOIN daily_spending d ON d.user_id = u.id AND d.day = ? WHERE u.id = ?"#,
            day,
            user.0,
        );
        let Some(raw) = raw.fetch_optional(&self.read).await.db()? else {
            return Ok(DailySpending::default());
        };
        let row = RowReader::new("users", &user);
        let budget: Option<u64> =
            row.optional("daily_budget_nano_usd", raw.daily_budget_nano_usd)?;
        let row = RowReader::new("daily_spending", &user);
        let spent = read_spent(row, raw.spent_nano_usd, raw.unpriced_calls)?;
        Ok(DailySpending { budget: budget.map(NanoUsd), spent: spent.unwrap_or_default() })
    }

    async fn put_daily_budget(&self, user: UserId, budget: Option<NanoUsd>) -> StoreResult<()> {
        let budget = budget.map(stored);
        let statement =
            sqlx::query!("UPDATE users SET daily_budget_nano_usd = ? WHERE id = ?", budget, user.0);
        self.writer.execute(statement).await.map(|_| ())
    }

    async fn finish_judge_call(&self, call: CallDone, now: Timestamp) -> StoreResult<()> {
        let cost = call.cost.map(stored);
        let statement = sqlx::query!(
            "UPDATE calls SET outcome = ?, attempts = ?, latency_ms = ?, cost_nano_usd = ?, \
             done_at = ? WHERE id = ?",
            call.outcome,
            call.attempts,
            call.latency_ms,
            cost,
            now.0,
            call.id,
        );
        self.writer.execute(statement).await.map(|_| ())
    }

    async fn end_pending_runs(
        &self,
        suite: SuiteId,
        message: String,
        now: Timestamp,
    ) -> StoreResult<u32> {
        self.writer.transaction(move |tx| end_pending_runs(tx, suite, message, now).boxed()).await
    }

    async fn agent_spending(&self, space: SpaceId, agent: AgentId) -> StoreResult<Option<Spent>> {
        let suites = sqlx::query!(
            r#"SELECT id, spent_nano_usd, unpriced_calls FROM suites
               WHERE space_id = ? AND agent_id = ? AND deleted_at IS NULL"#,
            space.0,
            agent.0,
        );
        let mut sum: Option<Spent> = None;
        for suite in suites.fetch_all(&self.read).await.db()? {
            let row = RowReader::new("suites", &suite.id);
            let spent = read_spent(row, suite.spent_nano_usd, suite.unpriced_calls)?;
            let Some(spent) = spent else { return Ok(None) };
            sum = Some(sum.unwrap_or_default().plus(spent));
        }
        Ok(sum)
    }

    async fn past_usage(
        &self,
        space: SpaceId,
        agent: AgentId,
    ) -> StoreResult<Vec<(ScenarioId, RoleUsage)>> {
        // The latest 500 runs of the agent are enough for an estimate.
        let runs = sqlx::query!(
            r#"SELECT id, scenario_id, usage FROM (SELECT * FROM runs
               WHERE space_id = ? AND agent_id = ? ORDER BY created_at DESC, id DESC LIMIT 500)
               WHERE status IN ('passed', 'failed', 'inconclusive')"#,
            space.0,
            agent.0,
        );
        let runs = runs.fetch_all(&self.read).await.db()?.into_iter().map(|run| {
            let row = RowReader::new("runs", &run.id);
            let usage: Usage = row.json("usage", run.usage)?;
            Ok((row.get("scenario_id", run.scenario_id)?, usage.total()))
        });
        Ok(readable(runs))
    }
}
