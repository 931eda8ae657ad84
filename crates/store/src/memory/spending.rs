//! The sums of costs in memory.

use super::InMemoryQueue;
use super::state::State;
use crate::StoreResult;
use crate::rows::CallDone;
use crate::spending::{DailySpending, Spending, SpendingStore, Spent, SuiteBudget};
use crate::transition::RunTransition;
use async_trait::async_trait;
use domain::{
    AgentId, ErrorKind, NanoUsd, RoleUsage, RunId, RunStatus, ScenarioId, SpaceId, SuiteId,
    Timestamp, UserId, day_number,
};

impl State {
    /// Stores the outcome of a call, and adds its cost to the sums.
    pub(super) fn finish_call(&mut self, done: CallDone, now: Timestamp) -> Option<()> {
        let call = self.calls.iter_mut().find(|call| call.1.id == done.id)?;
        let (run, is_new) = (call.0, call.2.is_none());
        let is_rejudge = self.rejudge_calls.contains(&done.id);
        let (is_answered, cost) = (done.outcome == "ok", done.cost);
        call.2 = Some(done);
        if is_new && is_answered {
            self.add_cost(run, is_rejudge, cost, now);
        }
        Some(())
    }

    fn add_cost(&mut self, run: RunId, is_rejudge: bool, cost: Option<NanoUsd>, now: Timestamp) {
        let Some(run) = self.runs.get(&run) else { return };
        self.daily.entry((run.user_id, day_number(now))).or_default().add(cost);
        if let Some((suite, _)) = self.suites.get_mut(&run.suite_id).filter(|_| !is_rejudge)
            && let Some(spent) = &mut suite.spent
        {
            spent.add(cost);
        }
    }

    fn daily_spending(&self, user: UserId, now: Timestamp) -> DailySpending {
        let spent = self.daily.get(&(user, day_number(now))).copied();
        let budget = self.daily_budgets.get(&user).copied();
        DailySpending { budget, spent: spent.unwrap_or_default() }
    }
}

#[async_trait]
impl SpendingStore for InMemoryQueue {
    async fn spending(
        &self,
        suite: SuiteId,
        user: UserId,
        now: Timestamp,
    ) -> StoreResult<Spending> {
        let state = self.state.lock();
        let row = state.suites.get(&suite).map(|(row, _)| row);
        Ok(Spending {
            suite_budget: row.map_or(SuiteBudget::default(), |row| row.budget),
            suite: row.and_then(|row| row.spent).unwrap_or_default(),
            daily: state.daily_spending(user, now),
        })
    }

    async fn daily_spending(&self, user: UserId, now: Timestamp) -> StoreResult<DailySpending> {
        Ok(self.state.lock().daily_spending(user, now))
    }

    async fn put_daily_budget(&self, user: UserId, budget: Option<NanoUsd>) -> StoreResult<()> {
        let mut state = self.state.lock();
        match budget {
            Some(budget) => state.daily_budgets.insert(user, budget),
            None => state.daily_budgets.remove(&user),
        };
        Ok(())
    }

    async fn finish_judge_call(&self, call: CallDone, now: Timestamp) -> StoreResult<()> {
        self.state.lock().finish_call(call, now);
        Ok(())
    }

    async fn end_pending_runs(
        &self,
        suite: SuiteId,
        message: String,
        now: Timestamp,
    ) -> StoreResult<u32> {
        self.write(|state| {
            let pending = |run: &&crate::rows::RunRow| run.status == RunStatus::Pending;
            let due: Vec<_> = state.runs_of(suite).filter(pending).map(|run| run.id).collect();
            for id in &due {
                let message = message.clone();
                state.apply(
                    *id,
                    RunTransition::GiveUp { kind: ErrorKind::BudgetExhausted, message },
                    now,
                )?;
            }
            Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
        })
    }

    async fn agent_spending(&self, space: SpaceId, agent: AgentId) -> StoreResult<Option<Spent>> {
        let state = self.state.lock();
        let rows = state.suites.values().map(|(row, _)| row);
        let mut sum: Option<Spent> = None;
        for row in rows.filter(|row| row.space_id == space && row.agent.id == agent) {
            let Some(spent) = row.spent else { return Ok(None) };
            sum = Some(sum.unwrap_or_default().plus(spent));
        }
        Ok(sum)
    }

    async fn past_usage(
        &self,
        space: SpaceId,
        agent: AgentId,
    ) -> StoreResult<Vec<(ScenarioId, RoleUsage)>> {
        let state = self.state.lock();
        let runs = state.runs.values().filter(|run| {
            run.space_id == space && run.agent.id == agent && run.status.passed().is_some()
        });
        Ok(runs.map(|run| (run.scenario.id, run.usage.total())).collect())
    }
}
