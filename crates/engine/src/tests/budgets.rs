//! Costs of calls, and budgets: what is spent is never more than the limit and the calls in
//! flight, and a restart forgets nothing.

use super::fixture::{Answer, Fixture, T0, passing_reply, reply, scripted, space, user};
use clock::Clock;
use domain::{BudgetAction, ErrorKind, NanoUsd, RunStatus, SuiteId, TokenPrice};
use llm::ChatRequest;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::rows::RunRow;
use store::spending::{SpendingStore, Spent, SuiteBudget};
use store::suites::{NewSuite, SuiteStore};

/// Calls of the tests have 10 input tokens, so each costs this.
const CALL: u64 = 1_000_000;
const PRICE: TokenPrice = TokenPrice { input: NanoUsd::from_usd(100), ..TokenPrice::FREE };

fn with_budget(calls: u64, action: BudgetAction) -> impl FnOnce(&mut NewSuite) {
    move |new| {
        set_prices(new, Some(PRICE));
        new.budget = SuiteBudget { limit: Some(NanoUsd(calls * CALL)), action };
        new.concurrency = 32;
    }
}

fn set_prices(new: &mut NewSuite, price: Option<TokenPrice>) {
    new.model_snapshot.agent_price = price;
    new.model_snapshot.judge.price = price;
    new.model_snapshot.simulated_user.price = price;
}

fn fixture(script: impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static) -> Fixture {
    let mut f = Fixture::new(script);
    f.settings.runs_per_user = 64;
    f
}

async fn spent(f: &Fixture, suite: SuiteId) -> Spent {
    f.queue.suite(space(1), suite).await.unwrap().unwrap().0.spent.unwrap()
}

/// Compares the sums with the calls that they are made of.
async fn assert_sums_match_calls(f: &Fixture, suite: SuiteId, runs: &[RunRow]) {
    let mut recounted = Spent::default();
    for (run, _, done) in f.queue.calls() {
        let is_answered = |done: &store::rows::CallDone| done.outcome == "ok";
        if let Some(done) = done.filter(is_answered)
            && runs.iter().any(|row| row.id == run)
        {
            recounted.add(done.cost);
        }
    }
    assert_eq!(spent(f, suite).await, recounted);
    let mut by_role = Spent::default();
    for run in runs {
        let total = run.usage.total();
        by_role.cost = by_role.cost.plus(total.cost_nano_usd);
        by_role.unpriced_calls += total.unpriced_calls();
    }
    assert_eq!(by_role, recounted);
    assert_eq!(f.queue.daily_spending(user(1), f.clock.now()).await.unwrap().spent, recounted);
}

fn is_exhausted(run: &RunRow) -> bool {
    run.error.as_ref().is_some_and(|error| error.kind == ErrorKind::BudgetExhausted)
}

#[tokio::test(start_paused = true)]
async fn costs_are_summed_by_role_and_unknown_ones_are_counted() {
    let f = fixture(passing_reply);
    let suite =
        f.suite_with(1, &[scripted(2)], |new| new.model_snapshot.agent_price = Some(PRICE)).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let usage = runs[0].view().usage;
    assert_eq!((usage.agent.calls, usage.agent.priced_calls), (2, 2));
    assert_eq!(usage.agent.cost_usd, Some(0.002));
    assert_eq!((usage.judge.calls, usage.judge.cost_usd), (1, None), "unknown, not 0");
    assert_eq!(spent(&f, suite).await, Spent { cost: NanoUsd(2 * CALL), unpriced_calls: 1 });
    assert_sums_match_calls(&f, suite, &runs).await;
}

#[tokio::test(start_paused = true)]
async fn thirty_two_concurrent_runs_exceed_the_budget_by_the_calls_in_flight_at_most() {
    let f = fixture(passing_reply);
    let all = vec![scripted(6); 64];
    let suite = f.suite_with(1, &all, with_budget(100, BudgetAction::FinishCalls)).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let cost = spent(&f, suite).await.cost.0;
    assert!((100 * CALL..=132 * CALL).contains(&cost), "{cost}");
    assert!(f.provider.max_in_flight.load(Ordering::SeqCst) > 8, "calls were concurrent");
    assert_eq!(f.received_calls().len() as u64 * CALL, cost, "every reply was stored");
    assert_sums_match_calls(&f, suite, &runs).await;
    let ended: Vec<_> = runs.iter().filter(|run| is_exhausted(run)).collect();
    assert!(runs.iter().all(|run| is_exhausted(run) || run.status == RunStatus::Passed));
    let never_began = ended.iter().filter(|run| run.started_at.is_none()).count();
    assert!(never_began > 0, "pending runs end together");
    let message = &ended[0].error.as_ref().unwrap().message;
    assert!(message.contains("$0.1, is used up"), "{message}");
    for run in ended {
        let answers = run.usage.agent.calls as usize;
        let kept = f.messages(run.id).await.iter().filter(|text| text.contains("Answer")).count();
        assert_eq!(kept, answers, "everything said so far is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_dropped_if_the_suite_says_so() {
    // The first three replies use up the budget; the others are slow.
    let slow = |number: usize, request: ChatRequest| -> Answer {
        if number < 3 {
            return passing_reply(number, request);
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            reply("Answer of the helpful agent, late.")
        })
    };
    for (action, most) in [(BudgetAction::StopCalls, 3), (BudgetAction::FinishCalls, 8)] {
        let mut f = fixture(slow);
        f.settings.call_timeout = Duration::from_secs(200);
        let suite = f.suite_with(1, &vec![scripted(2); 4], with_budget(3, action)).await;
        let _engine = f.start().await;
        let runs = f.finished(1, suite).await;
        assert!(runs.iter().all(is_exhausted), "{action:?}");
        let cost = spent(&f, suite).await.cost.0;
        assert!(cost >= 3 * CALL && cost <= most * CALL, "{action:?}: {cost}");
        let took = f.clock.now().since(T0);
        let is_immediate = took < Duration::from_secs(50);
        assert_eq!(is_immediate, action == BudgetAction::StopCalls, "{action:?}: {took:?}");
        assert_eq!(f.provider.in_flight.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn restart_does_not_forget_what_was_spent() {
    let f = fixture(passing_reply);
    let all = vec![scripted(6); 20];
    let suite = f.suite_with(1, &all, with_budget(40, BudgetAction::FinishCalls)).await;
    let engine = f.start().await;
    while spent(&f, suite).await.cost.0 < 20 * CALL {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = spent(&f, suite).await.cost.0;
    engine.kill().await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let cost = spent(&f, suite).await.cost.0;
    assert!((40 * CALL..=72 * CALL).contains(&cost) && cost > before, "{before} {cost}");
    assert!(runs.iter().any(is_exhausted));
}

#[tokio::test(start_paused = true)]
async fn reply_without_usage_closes_the_budget() {
    let f = fixture(|_, _| {
        Box::pin(async {
            reply("Answer of the helpful agent.")
                .map(|reply| llm::ChatReply { input_tokens: 0, ..reply })
        })
    });
    let suite = f.suite_with(1, &[scripted(3)], with_budget(100, BudgetAction::FinishCalls)).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    assert!(is_exhausted(&runs[0]));
    assert!(runs[0].error.as_ref().unwrap().message.contains("cannot be kept"));
    assert_eq!(f.received_calls().len(), 1);
    assert_eq!(spent(&f, suite).await, Spent { cost: NanoUsd::ZERO, unpriced_calls: 1 });
}

#[tokio::test(start_paused = true)]
async fn daily_budget_limits_all_suites_of_a_user_until_midnight() {
    let mut f = fixture(passing_reply);
    f.settings.daily_budget = Some(NanoUsd(6 * CALL));
    let priced = |new: &mut NewSuite| set_prices(new, Some(PRICE));
    let first = f.suite_with(1, &vec![scripted(1); 2], priced).await;
    let _engine = f.start().await;
    assert!(f.finished(1, first).await.iter().all(|run| run.status == RunStatus::Passed));
    let second = f.suite_with(1, &vec![scripted(1); 9], priced).await;
    let runs = f.finished(1, second).await;
    assert!(runs.iter().any(is_exhausted));
    let today = f.queue.daily_spending(user(1), f.clock.now()).await.unwrap().spent.cost;
    assert!(today.0 >= 6 * CALL && today.0 <= 9 * CALL, "{today:?}");
    // Other users and free models go on.
    let other = f.suite_with(2, &[scripted(1)], priced).await;
    assert_eq!(f.finished(2, other).await[0].status, RunStatus::Passed);
    let free = f.suite_with(1, &[scripted(1)], |new| set_prices(new, Some(TokenPrice::FREE))).await;
    assert_eq!(f.finished(1, free).await[0].status, RunStatus::Passed);
    // A higher budget of the user applies to the next run, and a new day to all.
    f.queue.put_daily_budget(user(1), Some(NanoUsd(100 * CALL))).await.unwrap();
    let raised = f.suite_with(1, &[scripted(1)], priced).await;
    assert_eq!(f.finished(1, raised).await[0].status, RunStatus::Passed);
    f.queue.put_daily_budget(user(1), None).await.unwrap();
    let refused = f.suite_with(1, &[scripted(1)], priced).await;
    assert!(is_exhausted(&f.finished(1, refused).await[0]));
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    let tomorrow = f.suite_with(1, &[scripted(1)], priced).await;
    assert_eq!(f.finished(1, tomorrow).await[0].status, RunStatus::Passed);
}

#[tokio::test(start_paused = true)]
async fn rejudge_counts_in_the_day_and_not_in_the_suite() {
    let f = fixture(passing_reply);
    let suite = f.suite_with(1, &[scripted(1)], |new| set_prices(new, Some(PRICE))).await;
    let engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    let id = f.rejudge(&run).await;
    engine.wake();
    while f.evaluation(&run, id).await.evaluation.finished_at.is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(spent(&f, suite).await.cost, NanoUsd(2 * CALL));
    let today = f.queue.daily_spending(user(1), f.clock.now()).await.unwrap().spent;
    assert_eq!(today, Spent { cost: NanoUsd(3 * CALL), unpriced_calls: 0 });
    let evaluation = f.evaluation(&run, id).await.evaluation;
    assert_eq!((evaluation.priced_calls, evaluation.cost_nano_usd), (1, NanoUsd(CALL)));
    assert!(f.queue.calls().iter().all(|(_, _, done)| done.is_some()), "every outcome is stored");
}
