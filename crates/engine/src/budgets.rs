//! Budgets: no call starts once the budget of its suite, or of its user and day, is used up.
//!
//! A call is admitted while less than the limit is spent, right before each attempt. So what
//! a budget exceeds its limit by is at most what the calls in flight cost at that moment:
//! of a suite at most as many as its concurrency. What was spent is read from the store when
//! a run starts, and followed in memory while it runs.

use super::Shared;
use super::store_retry::StoreRetry;
use domain::{
    BudgetAction, ErrorKind, NanoUsd, SuiteId, Timestamp, TokenPrice, UserId, day_number,
};
use llm::{CallError, Decision};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::StoreResult;
use store::spending::{DailySpending, Spending, Spent, SuiteBudget};
use tokio_util::sync::CancellationToken;

/// How often a call is checked for being in flight after the budget is used up.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The budgets of running suites and of their users.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    suites: Mutex<HashMap<SuiteId, Weak<SuiteState>>>,
    days: Mutex<HashMap<UserId, Arc<DayState>>>,
}

/// The budget of a suite, shared by its running runs.
#[derive(Debug, Default)]
struct SuiteState {
    /// Absent until a run has read it from the store.
    known: Mutex<Option<(SuiteBudget, Spent)>>,
    used_up: CancellationToken,
    /// Whether its pending runs were ended.
    ended_pending: AtomicBool,
}

/// The budget of a user and day.
#[derive(Debug)]
struct DayState(Mutex<Day>);

#[derive(Debug)]
struct Day {
    number: i64,
    limit: Option<NanoUsd>,
    spent: NanoUsd,
}

impl Day {
    /// The limit and what is spent of it, on the day of `now`.
    fn on(&mut self, now: Timestamp) -> (Option<NanoUsd>, NanoUsd) {
        if day_number(now) != self.number {
            (self.number, self.spent) = (day_number(now), NanoUsd::ZERO);
        }
        (self.limit, self.spent)
    }
}

/// The budgets that apply to the calls of a run or rejudge.
#[derive(Clone, Debug)]
pub(super) struct CallBudget {
    /// A rejudge has only the budget of its user.
    suite: Option<(SuiteId, Arc<SuiteState>)>,
    day: Arc<DayState>,
}

impl Budgets {
    /// Reads the budgets of a run before its first call.
    pub(super) async fn of_run(
        retry: &StoreRetry<'_>,
        suite: SuiteId,
        user: UserId,
    ) -> StoreResult<CallBudget> {
        let shared = retry.shared;
        // Taken before the store is read: then no other run of the suite has spent anything
        // that is neither in the store nor in this state.
        let state = {
            let mut suites = shared.budgets.suites.lock();
            suites.retain(|_, state| state.strong_count() > 0);
            let known = suites.get(&suite).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let state = Arc::new(SuiteState::default());
                suites.insert(suite, Arc::downgrade(&state));
                state
            })
        };
        let read = || shared.queue.spending(suite, user, shared.clock.now());
        let Spending { suite_budget, suite: spent, daily } =
            retry.retry_while_unavailable(read).await?;
        state.known.lock().get_or_insert((suite_budget, spent));
        let day = shared.budgets.day(shared, user, daily);
        Ok(CallBudget { suite: Some((suite, state)), day })
    }

    /// Reads the budget of a rejudge before its first call.
    pub(super) async fn of_rejudge(
        retry: &StoreRetry<'_>,
        user: UserId,
    ) -> StoreResult<CallBudget> {
        let shared = retry.shared;
        let read = || shared.queue.daily_spending(user, shared.clock.now());
        let daily = retry.retry_while_unavailable(read).await?;
        Ok(CallBudget { suite: None, day: shared.budgets.day(shared, user, daily) })
    }

    /// The state of a user and day. The user may have changed the limit since the last read.
    fn day(&self, shared: &Shared, user: UserId, daily: DailySpending) -> Arc<DayState> {
        let limit = daily.budget.or(shared.settings.daily_budget);
        let mut days = self.days.lock();
        let day = days.entry(user).or_insert_with(|| {
            let number = day_number(shared.clock.now());
            Arc::new(DayState(Mutex::new(Day { number, limit, spent: daily.spent.cost })))
        });
        day.0.lock().limit = limit;
        day.clone()
    }
}

fn budget_exhausted(message: String) -> CallError {
    CallError::new(Decision::GiveUp(ErrorKind::BudgetExhausted), message)
}

impl CallBudget {
    /// Why no call of this price may start; `None` if it may.
    pub(super) fn refusal(&self, price: Option<&TokenPrice>, now: Timestamp) -> Option<CallError> {
        if price.is_some_and(TokenPrice::is_free) {
            return None;
        }
        let message = self.suite_refusal().or_else(|| {
            let (limit, spent) = self.day.0.lock().on(now);
            let limit = limit.filter(|limit| spent >= *limit)?;
            Some(format!(
                "Your budget for today (UTC), ${}, is used up: calls cost {spent} so far. What was said is kept. Raise the daily budget of your account or wait for tomorrow, then re-run the errors.",
                limit.decimal()
            ))
        })?;
        Some(budget_exhausted(message))
    }

    fn suite_refusal(&self) -> Option<String> {
        let (_, state) = self.suite.as_ref()?;
        let (budget, spent) = (*state.known.lock())?;
        let limit = budget.limit?;
        let exact = limit.decimal();
        if spent.unpriced_calls > 0 {
            return Some(format!(
                "The budget of this suite, ${exact}, cannot be kept: a reply reported no usage that the price of its model applies to, so its cost is unknown. What was said is kept. Re-run the errors without a budget, or with another model."
            ));
        }
        (spent.cost >= limit).then(|| {
            format!(
                "The budget of this suite, ${exact}, is used up: its calls cost {}. What was said is kept. Re-run the errors with a new budget to continue.",
                spent.cost
            )
        })
    }

    /// Adds an answered call; `None` if its cost is unknown.
    pub(super) fn add(&self, cost: Option<NanoUsd>, now: Timestamp) {
        {
            let mut day = self.day.0.lock();
            day.on(now);
            day.spent = day.spent.plus(cost.unwrap_or_default());
        }
        let Some((_, state)) = &self.suite else { return };
        if let Some((_, spent)) = state.known.lock().as_mut() {
            spent.add(cost);
        }
        if self.suite_refusal().is_some() {
            state.used_up.cancel();
        }
    }

    /// Waits until a call has to end because the budget of its suite is used up, and returns
    /// why: at once if the suite says so, otherwise only if the call is not in flight.
    pub(super) async fn wait_for_stop(
        &self,
        price: Option<&TokenPrice>,
        is_in_flight: &AtomicBool,
    ) -> CallError {
        if let Some((_, state)) = &self.suite {
            state.used_up.cancelled().await;
            let action = (*state.known.lock()).map(|(budget, _)| budget.action);
            while action != Some(BudgetAction::StopCalls) && is_in_flight.load(Ordering::Relaxed) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            let message = self.suite_refusal().filter(|_| !price.is_some_and(TokenPrice::is_free));
            if let Some(message) = message {
                return budget_exhausted(message);
            }
        }
        std::future::pending().await
    }

    /// Ends the pending runs of the suite together, once.
    pub(super) fn end_pending_runs(&self, shared: &Arc<Shared>, message: String) {
        let Some((suite, state)) = self.suite.clone() else { return };
        if state.ended_pending.swap(true, Ordering::Relaxed) {
            return;
        }
        let store = shared.clone();
        shared.spawn(&shared.tasks, async move {
            match store.queue.end_pending_runs(suite, message, store.clock.now()).await {
                Ok(runs) => tracing::info!(%suite, runs, "the budget of a suite is used up"),
                Err(error) => {
                    // The next run that is refused tries again; pending runs that start are
                    // refused, too.
                    state.ended_pending.store(false, Ordering::Relaxed);
                    tracing::warn!(%error, %suite, "pending runs could not be ended");
                }
            }
        });
    }
}
