//! Sums of costs, and pending runs that end when a budget is used up.

use super::{QueueFixture, T0, at, claim, finish, id, passed, rejudge, space, suite, user};
use crate::queue::QueueStore;
use crate::rows::{CallDone, Intent, Role, RunRow};
use crate::spending::{DailySpending, Spending, Spent, SuiteBudget};
use crate::suites::{NewRejudge, NewSuite};
use crate::transition::RunChange;
use domain::{BudgetAction, ErrorKind, NanoUsd, RunStatus, SuiteId, SuiteStatus, Usage};
use std::time::Duration;

fn call(n: u128, outcome: &str, cost: Option<u64>) -> CallDone {
    CallDone {
        id: id(7000 + n),
        outcome: outcome.into(),
        attempts: 1,
        latency_ms: Some(5),
        cost: cost.map(NanoUsd),
    }
}

/// Stores the intent of a call, and then its outcome.
async fn make_call(queue: &dyn QueueStore, run: &RunRow, call: CallDone, now: domain::Timestamp) {
    let intents = vec![Intent { id: call.id, role: Role::Agent, turn: 0 }];
    let intent = RunChange { intents, ..RunChange::default() };
    queue.commit(&run.lease(), intent, now).await.unwrap();
    let done = RunChange { calls_done: vec![call], ..RunChange::default() };
    queue.commit(&run.lease(), done, now).await.unwrap();
}

fn spent(cost: u64, unpriced_calls: u32) -> Spent {
    Spent { cost: NanoUsd(cost), unpriced_calls }
}

pub async fn answered_calls_are_added_to_the_sums_once(f: QueueFixture) {
    let budget = SuiteBudget { limit: Some(NanoUsd(500)), action: BudgetAction::StopCalls };
    f.suites.create_suite(NewSuite { budget, ..suite(1, 1, 2) }).await.unwrap();
    let runs = f.queue.claim(claim(2, T0)).await.unwrap();
    let read = async |now| f.queue.spending(SuiteId(id(1)), user(1), now).await.unwrap();
    assert_eq!(read(T0).await, Spending { suite_budget: budget, ..Spending::default() });
    for (n, outcome, cost) in
        [(1, "ok", Some(100)), (2, "ok", None), (3, "timeout", None), (4, "ok", Some(0))]
    {
        make_call(&*f.queue, &runs[0], call(n, outcome, cost), T0).await;
    }
    make_call(&*f.queue, &runs[1], call(5, "ok", Some(7)), T0).await;
    let both = read(T0).await;
    assert_eq!((both.suite, both.daily.spent), (spent(107, 1), spent(107, 1)));
    // The outcome is stored again, for example after a response of the database was lost.
    let again = RunChange { calls_done: vec![call(5, "ok", Some(7))], ..RunChange::default() };
    f.queue.commit(&runs[1].lease(), again, T0).await.unwrap();
    assert_eq!(read(T0).await, both, "nothing is counted twice");
    // The next day begins at 0, the suite goes on.
    let tomorrow = T0.plus(Duration::from_secs(24 * 3600));
    make_call(&*f.queue, &runs[1], call(6, "ok", Some(1)), tomorrow).await;
    let next = read(tomorrow).await;
    assert_eq!((next.suite, next.daily.spent), (spent(108, 1), spent(1, 0)));
    assert_eq!(read(T0).await.daily.spent, spent(107, 1));
    let (row, _) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((row.budget, row.spent), (budget, Some(spent(108, 1))));
    // Another user has spent nothing.
    assert_eq!(f.queue.daily_spending(user(2), T0).await.unwrap(), DailySpending::default());
}

pub async fn rejudges_count_for_the_user_and_not_for_the_suite(f: QueueFixture) {
    let run = f.leased_run().await;
    let run = f.queue.commit(&run.lease(), finish(passed()), at(1)).await.unwrap();
    let new = NewRejudge { row: rejudge(&run, 1), key: None };
    f.suites.create_rejudge(new).await.unwrap();
    let row = f.queue.claim_rejudges(claim(1, at(3))).await.unwrap().remove(0);
    let done = call(1, "ok", Some(40));
    f.queue.record_judge_call(&row, done.id, at(4)).await.unwrap();
    f.queue.finish_judge_call(done, at(5)).await.unwrap();
    let found = f.queue.spending(run.suite_id, user(1), at(5)).await.unwrap();
    assert_eq!((found.suite, found.daily.spent), (spent(0, 0), spent(40, 0)));
}

pub async fn pending_runs_end_together_when_the_budget_is_used_up(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 4)).await.unwrap();
    f.suites.create_suite(suite(2, 1, 1)).await.unwrap();
    let started = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let suite_id = started.suite_id;
    let pending = if suite_id == SuiteId(id(1)) { 3 } else { 0 };
    let end = || f.queue.end_pending_runs(suite_id, "Used up.".to_owned(), at(9));
    assert_eq!(end().await.unwrap(), pending);
    assert_eq!(end().await.unwrap(), 0);
    let (row, runs) = f.suites.suite(space(1), suite_id).await.unwrap().unwrap();
    assert_eq!(row.state.status(), SuiteStatus::Running, "one run goes on");
    for run in runs.iter().filter(|run| run.id != started.id) {
        let error = run.error.as_ref().unwrap();
        assert_eq!((run.status, error.kind), (RunStatus::Error, ErrorKind::BudgetExhausted));
        assert_eq!((error.message.as_str(), run.finished_at), ("Used up.", Some(at(9))));
    }
    f.queue.commit(&started.lease(), finish(passed()), at(10)).await.unwrap();
    let (row, _) = f.suites.suite(space(1), suite_id).await.unwrap().unwrap();
    assert_eq!(row.state.status(), SuiteStatus::Finished);
}

pub async fn costs_of_an_agent_are_those_of_its_suites(f: QueueFixture) {
    let agent = suite(1, 1, 1).agent;
    let none = f.queue.agent_spending(space(1), agent.id).await.unwrap();
    assert_eq!(none, None, "unknown, not 0");
    for n in [1, 2] {
        let new = NewSuite { agent: agent.clone(), allow_parallel: true, ..suite(n, 1, 1) };
        f.suites.create_suite(new).await.unwrap();
        let run = f.claim_run(T0).await;
        make_call(&*f.queue, &run, call(n, "ok", Some(20)), T0).await;
        let mut usage = Usage::default();
        usage.agent.add(1, 1);
        usage.agent.add_cost(Some(NanoUsd(20)));
        let change = RunChange { usage: Some(usage), ..finish(passed()) };
        f.queue.commit(&run.lease(), change, at(1)).await.unwrap();
    }
    let sum = f.queue.agent_spending(space(1), agent.id).await.unwrap();
    assert_eq!(sum, Some(spent(40, 0)));
    assert_eq!(f.queue.agent_spending(space(2), agent.id).await.unwrap(), None);
    let past = f.queue.past_usage(space(1), agent.id).await.unwrap();
    let costs: Vec<_> = past.iter().map(|(_, usage)| usage.known_cost()).collect();
    assert_eq!(costs, [Some(NanoUsd(20)), Some(NanoUsd(20))]);
    assert!(f.queue.past_usage(space(2), agent.id).await.unwrap().is_empty());
}
