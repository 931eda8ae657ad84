//! Prices of models, and budgets of users.

mod built_in_prices;
pub(crate) mod estimate;

use super::Catalog;
use super::errors::{StoreResultExt, reject_if_any};
use super::suites::Suites;
use async_trait::async_trait;
use built_in_prices::built_in_prices;
use domain::error::AppError;
use domain::services::{AgentService, AppResult, Caller, ConnectionService, CostService};
use domain::{
    AgentCost, AgentId, ConnectionId, ConnectionKind, ConnectionPrices, DailyBudget, Draft,
    ModelPrice, NanoUsd, Problem, TokenPrice, date,
};
use store::rows::{ModelRef, ModelSnapshot};

#[async_trait]
impl CostService for Suites {
    async fn prices(&self, caller: &Caller, id: ConnectionId) -> AppResult<ConnectionPrices> {
        self.catalog.prices(caller, id).await
    }

    async fn update_prices(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> AppResult<ConnectionPrices> {
        // Checks the owner.
        self.catalog.connection(caller, id).await?;
        let today = date(self.clock.now());
        let prices = ModelPrice::parse_list(draft, &today).map_err(AppError::invalid)?;
        self.catalog.store.put_prices(caller.space_id, id, prices).await.or_app_error()?;
        self.catalog.prices(caller, id).await
    }

    async fn daily_budget(&self, caller: &Caller) -> AppResult<DailyBudget> {
        let now = self.clock.now();
        let daily = self.store.daily_spending(caller.user_id, now).await.or_app_error()?;
        Ok(DailyBudget {
            daily_budget_usd: daily.budget,
            default_daily_budget_usd: self.limits.daily_budget,
            spent_today_usd: daily.spent.cost,
            unpriced_calls_today: daily.spent.unpriced_calls,
            day: date(now),
        })
    }

    async fn update_daily_budget(
        &self,
        caller: &Caller,
        budget: Option<NanoUsd>,
    ) -> AppResult<DailyBudget> {
        self.store.put_daily_budget(caller.user_id, budget).await.or_app_error()?;
        self.daily_budget(caller).await
    }

    async fn agent_cost(&self, caller: &Caller, id: AgentId) -> AppResult<AgentCost> {
        // Checks the owner.
        self.catalog.agent(caller, id).await?;
        let spent = self.store.agent_spending(caller.space_id, id).await.or_app_error()?;
        Ok(AgentCost {
            cost_usd: spent.map(|spent| spent.cost),
            unpriced_calls: spent.map_or(0, |spent| spent.unpriced_calls),
        })
    }
}

impl Catalog {
    /// The prices that apply to a connection of the caller.
    async fn prices(&self, caller: &Caller, id: ConnectionId) -> AppResult<ConnectionPrices> {
        let connection = self.connection(caller, id).await?;
        let prices = self.store.prices(caller.space_id, id).await.or_app_error()?;
        let built_in = match connection.kind {
            ConnectionKind::Anthropic
            | ConnectionKind::OpenAi
            | ConnectionKind::OpenAiResponses => built_in_prices(&connection.base_url),
            ConnectionKind::Demo | ConnectionKind::HttpAgent => Vec::new(),
        };
        Ok(ConnectionPrices { prices, built_in })
    }

    /// What the tokens of a model cost the caller; `None` if that is unknown, also for a
    /// connection that does not exist.
    pub(crate) async fn price(
        &self,
        caller: &Caller,
        model: &ModelRef,
    ) -> AppResult<Option<TokenPrice>> {
        match self.connection_kind(caller, model.connection_id).await? {
            None => Ok(None),
            Some(ConnectionKind::Demo) => Ok(Some(TokenPrice::FREE)),
            Some(_) => Ok(self.prices(caller, model.connection_id).await?.of(&model.model)),
        }
    }
}

impl Suites {
    /// The problems of a start with a budget: no price for a model, or nothing left of the
    /// daily budget.
    pub(super) async fn budget_problems(
        &self,
        caller: &Caller,
        budget: Option<NanoUsd>,
        models: &ModelSnapshot,
    ) -> AppResult<Vec<Problem>> {
        let daily = self.daily_budget(caller).await?;
        let limits = [("budget_usd", budget), ("daily_budget_usd", daily.limit())];
        let mut problems = Vec::new();
        for (path, _) in limits.into_iter().filter(|(_, limit)| limit.is_some()) {
            for model in unpriced(models) {
                let name = self.catalog.connection(caller, model.connection_id).await;
                let name = name.map_or_else(|_| String::new(), |connection| connection.name);
                let model = match model.model.as_str() {
                    "" => "the deployed agent".to_owned(),
                    model => format!("“{model}”"),
                };
                let message = format!(
                    "cannot be kept, because the price of {model} on “{name}” is unknown; enter it under the prices of this connection"
                );
                problems.push(Problem::new(path, message));
            }
        }
        problems.extend(daily_problem(&daily, models));
        Ok(problems)
    }

    /// Refuses a rejudge when the daily budget is used up or the price of the judge is
    /// unknown.
    pub(super) async fn check_daily_budget(
        &self,
        caller: &Caller,
        judge: &store::rows::RoleModel,
    ) -> AppResult<()> {
        let models = ModelSnapshot {
            agent_price: judge.price,
            judge: judge.clone(),
            simulated_user: judge.clone(),
            ..ModelSnapshot::all(judge)
        };
        let mut problems = self.budget_problems(caller, None, &models).await?;
        problems.truncate(1);
        reject_if_any(problems)
    }
}

/// The models without a price, each once.
fn unpriced(models: &ModelSnapshot) -> Vec<&ModelRef> {
    let roles = [
        (&models.agent, models.agent_price),
        (&*models.judge, models.judge.price),
        (&*models.simulated_user, models.simulated_user.price),
    ];
    let mut unpriced = Vec::new();
    for (model, price) in roles {
        if price.is_none() && !unpriced.contains(&model) {
            unpriced.push(model);
        }
    }
    unpriced
}

fn daily_problem(daily: &DailyBudget, models: &ModelSnapshot) -> Option<Problem> {
    let prices = [models.agent_price, models.judge.price, models.simulated_user.price];
    let is_free = prices.iter().all(|price| price.is_some_and(|price| price.is_free()));
    let limit = daily.limit().filter(|_| daily.is_used_up() && !is_free)?;
    let message = format!(
        "is used up: {} of ${} were spent today (UTC); raise it in the account settings or wait for tomorrow",
        daily.spent_today_usd,
        limit.decimal(),
    );
    Some(Problem::new("daily_budget_usd", message))
}
