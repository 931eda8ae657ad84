//! Budgets: what a suite, or a user on one day, may spend.

use super::money::{NanoUsd, usd, usd_option};
use super::string_enum::string_enum;
use super::{Draft, Problems, Timestamp, limits};
use serde::{Deserialize, Serialize};

string_enum! {
    /// What happens to the calls in flight when the budget of a suite is used up.
    BudgetAction {
        /// Their replies are stored; then their runs end.
        FinishCalls = "finish_calls" / "Wait for the calls in flight",
        /// They are dropped, although the provider may charge for them.
        StopCalls = "stop_calls" / "Stop the calls in flight",
    }
}

#[allow(clippy::derivable_impls)] // The macro defines the enum.
impl Default for BudgetAction {
    fn default() -> Self {
        Self::FinishCalls
    }
}

impl BudgetAction {
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a user may spend per day (UTC), and what was spent today.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct DailyBudget {
    /// What the user chose; null for the default of the server.
    #[serde(with = "usd_option")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub daily_budget_usd: Option<NanoUsd>,
    /// The default of the server; null for no limit.
    #[serde(with = "usd_option")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub default_daily_budget_usd: Option<NanoUsd>,
    /// The known cost of the calls of runs and rejudges of today.
    #[serde(with = "usd")]
    #[cfg_attr(feature = "server", schema(value_type = f64))]
    pub spent_today_usd: NanoUsd,
    /// The number of today's calls whose cost is unknown. They do not count in the budget.
    pub unpriced_calls_today: u32,
    /// The day in UTC, like `2026-01-31`.
    pub day: String,
}

impl DailyBudget {
    /// The budget that applies; `None` for no limit.
    #[must_use]
    pub fn limit(&self) -> Option<NanoUsd> {
        self.daily_budget_usd.or(self.default_daily_budget_usd)
    }

    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.limit().is_some_and(|limit| self.spent_today_usd >= limit)
    }

    /// Validates `{daily_budget_usd}`; absent or blank selects the default of the server.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse(draft: &Draft) -> Result<Option<NanoUsd>, Problems> {
        draft.parse(|mut reader| {
            let budget = NanoUsd::read(&mut reader, "daily_budget_usd", limits::BUDGET_USD);
            reader.deny_unknown_fields(&["idempotency_key"]);
            Some(budget)
        })
    }
}

/// What the calls of all kept suites of an agent cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AgentCost {
    /// The sum of the known costs in US dollars; null if it is unknown, or if there is no
    /// suite.
    #[serde(with = "usd_option")]
    #[cfg_attr(feature = "server", schema(value_type = Option<f64>))]
    pub cost_usd: Option<NanoUsd>,
    /// The number of answered calls whose cost is unknown.
    pub unpriced_calls: u32,
}

/// The number of the day (UTC) since 1970, by which spending is counted.
#[must_use]
pub fn day_number(at: Timestamp) -> i64 {
    at.0.div_euclid(24 * 3600 * 1000)
}

/// The date of a time in UTC, like `2026-01-31`.
#[must_use]
pub fn date(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}
