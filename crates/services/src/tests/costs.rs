//! Prices, the estimate of a preflight, and starts with budgets.

use super::starts::{Fixture, fixture, unkeyed};
use super::{paths, status, unknown_id};
use domain::services::{
    Caller, CostService, RerunRequest, RerunScope, ResultService, SuiteService,
};
use domain::{BudgetAction, Draft, ErrorKind, NanoUsd, StartSuite, Usage};
use serde_json::{Value, json};
use std::time::Duration;
use store::queue::Claim;
use store::rows::{CallDone, Intent, Role, RunRow};
use store::schedule::Capacity;
use store::transition::{RunChange, RunOutcome};

const DOLLAR: NanoUsd = NanoUsd::from_usd(1);

impl Fixture {
    async fn set_prices(&self, prices: Value) {
        let draft = Draft(json!({ "prices": prices }));
        self.suites.update_prices(&self.anna, self.connection, &draft).await.unwrap();
    }

    async fn set_price(&self) {
        self.set_prices(json!([{"model": "m", "input_usd": 2, "output_usd": 8}])).await;
    }

    fn with_budget(&self, budget: NanoUsd) -> StartSuite {
        StartSuite { budget_usd: Some(budget), ..self.request() }
    }

    async fn claim(&self) -> RunRow {
        let claim = Claim {
            owner: "worker".into(),
            runs_per_user: 99,
            max_wait: Duration::ZERO,
            most: 1,
            admission_limits: Vec::new(),
            capacity: Capacity::unlimited(),
            now: self.suites.clock.now(),
        };
        self.queue.claim(claim).await.unwrap().remove(0)
    }

    /// Ends a run after one call of this cost.
    async fn finish(&self, run: &RunRow, cost: Option<NanoUsd>, outcome: RunOutcome) {
        let (id, now) = (self.suites.clock.uuid(), self.suites.clock.now());
        let intents = vec![Intent { id, role: Role::Agent, turn: 0 }];
        let intent = RunChange { intents, ..RunChange::default() };
        self.queue.commit(&run.lease(), intent, now).await.unwrap();
        let outcome_of_call = "ok".to_owned();
        let call = CallDone { id, outcome: outcome_of_call, attempts: 1, latency_ms: None, cost };
        let mut usage = Usage::default();
        usage.agent.add(10, 5);
        usage.agent.add_cost(cost);
        let change = RunChange {
            calls_done: vec![call],
            usage: Some(usage),
            finish: Some(outcome),
            ..RunChange::default()
        };
        self.queue.commit(&run.lease(), change, now).await.unwrap();
    }
}

#[tokio::test]
async fn prices_belong_to_their_user_and_need_a_connection_of_the_user() {
    let f = fixture().await;
    f.set_price().await;
    let stored = f.suites.prices(&f.anna, f.connection).await.unwrap();
    assert_eq!((stored.prices.len(), stored.built_in.len()), (1, 0));
    let stranger = Caller {
        user_id: unknown_id().into(),
        space_id: unknown_id().into(),
        email: "eve@example.org".into(),
        ..f.anna.clone()
    };
    let draft = Draft(json!({"prices": []}));
    assert_eq!(status(f.suites.prices(&stranger, f.connection).await), 404);
    assert_eq!(status(f.suites.update_prices(&stranger, f.connection, &draft).await), 404);
    assert_eq!(status(f.suites.agent_cost(&stranger, f.agent).await), 404);
    let invalid = Draft(json!({"prices": [{"model": "m", "input_usd": -1, "output_usd": 1}]}));
    let refused = f.suites.update_prices(&f.anna, f.connection, &invalid).await;
    assert_eq!(paths(refused), ["prices[0].input_usd"]);
    assert_eq!(f.suites.prices(&f.anna, f.connection).await.unwrap(), stored, "nothing changed");
}

#[tokio::test]
async fn start_with_a_budget_needs_prices() {
    let f = fixture().await;
    let request = f.with_budget(DOLLAR);
    let found = f.suites.preflight(&f.anna, &request).await.unwrap();
    assert_eq!(found.problems[0].path, "budget_usd");
    assert!(found.problems[0].message.contains("the price of “m” on “Ours” is unknown"));
    assert_eq!(paths(f.suites.start(&f.anna, &request, &unkeyed("/suites")).await), ["budget_usd"]);
    // Any price makes it known, also one for all models.
    f.set_prices(json!([{"model": "*", "input_usd": 1, "output_usd": 1}])).await;
    let started = f.suites.start(&f.anna, &request, &unkeyed("/suites")).await.unwrap();
    let suite = f.suites.suite(&f.anna, started.suite_id).await.unwrap().suite;
    assert_eq!((suite.budget_usd, suite.budget_action), (Some(DOLLAR), BudgetAction::FinishCalls));
    assert_eq!((suite.cost_usd, suite.unpriced_calls), (Some(NanoUsd::ZERO), 0));
    let price = f.claim().await.model_snapshot.agent_price.expect("a price");
    assert_eq!(price.input, DOLLAR, "the suite keeps the price of its start");
}

#[tokio::test]
async fn daily_budget_needs_prices_and_refuses_starts_when_it_is_used_up() {
    let f = fixture().await;
    f.suites.update_daily_budget(&f.anna, Some(DOLLAR)).await.unwrap();
    let request = f.request();
    let refused = f.suites.start(&f.anna, &request, &unkeyed("/suites")).await;
    assert_eq!(paths(refused), ["daily_budget_usd"]);
    f.set_price().await;
    f.suites.start(&f.anna, &request, &unkeyed("/suites")).await.unwrap();
    let run = f.claim().await;
    f.finish(&run, Some(DOLLAR), store::contract::queue::passed()).await;
    let budget = f.suites.daily_budget(&f.anna).await.unwrap();
    assert_eq!((budget.spent_today_usd, budget.day.as_str()), (DOLLAR, "2023-11-14"));
    assert!(budget.is_used_up());
    let refused = f.suites.start(&f.anna, &request, &unkeyed("/suites")).await;
    assert_eq!(paths(refused), ["daily_budget_usd"]);
    f.advance(24 * 3600);
    f.suites.start(&f.anna, &request, &unkeyed("/suites")).await.expect("a new day");
}

#[tokio::test]
async fn preflight_estimates_the_cost_from_past_runs() {
    let f = fixture().await;
    let request = f.request();
    let found = f.suites.preflight(&f.anna, &request).await.unwrap();
    assert_eq!((found.expected_cost_usd, found.scenarios_without_cost), (None, 1), "unknown");
    for cost in [None, Some(DOLLAR), Some(NanoUsd(3_000_000_000))] {
        f.suites.start(&f.anna, &request, &unkeyed("/suites")).await.unwrap();
        let run = f.claim().await;
        f.finish(&run, cost, store::contract::queue::passed()).await;
    }
    let twice = StartSuite { repeats: 2, ..request };
    let found = f.suites.preflight(&f.anna, &twice).await.unwrap();
    assert_eq!((found.expected_cost_usd, found.cost_runs), (Some(4.0), 2));
    assert_eq!(found.scenarios_without_cost, 0);
    let cost = f.suites.agent_cost(&f.anna, f.agent).await.unwrap();
    assert_eq!((cost.cost_usd, cost.unpriced_calls), (Some(NanoUsd(4_000_000_000)), 1));
}

#[tokio::test]
async fn rerun_continues_with_the_same_or_a_new_budget() {
    let f = fixture().await;
    f.set_price().await;
    let request = StartSuite { budget_action: BudgetAction::StopCalls, ..f.with_budget(DOLLAR) };
    let first = f.suites.start(&f.anna, &request, &unkeyed("/suites")).await.unwrap().suite_id;
    let run = f.claim().await;
    let outcome = RunOutcome::error(ErrorKind::BudgetExhausted, "Used up.");
    f.finish(&run, Some(DOLLAR), outcome).await;
    let errors = RerunRequest::from(RerunScope::Errors);
    let larger = RerunRequest { budget_usd: Some(NanoUsd::from_usd(5)), ..errors };
    for (rerun, limit) in [(errors, DOLLAR), (larger, NanoUsd::from_usd(5))] {
        let again = f.suites.rerun(&f.anna, first, rerun, &unkeyed("/rerun")).await.unwrap();
        let suite = f.suites.suite(&f.anna, again.suite_id).await.unwrap().suite;
        assert_eq!((suite.budget_usd, suite.budget_action), (Some(limit), BudgetAction::StopCalls));
        assert_eq!(suite.cost_usd, Some(NanoUsd::ZERO), "nothing is spent yet");
        f.suites.cancel_suite(&f.anna, again.suite_id).await.unwrap();
    }
    // A price that was removed since makes the budget a problem.
    f.set_prices(json!([])).await;
    let refused = f.suites.rerun(&f.anna, first, errors, &unkeyed("/rerun")).await;
    assert_eq!(paths(refused), ["budget_usd"]);
}
