//! The expected cost of a start, from past runs. Pure.

use domain::{NanoUsd, RoleUsage, ScenarioId};
use std::collections::HashMap;

/// What a start is expected to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CostEstimate {
    /// `None` without past runs of known cost.
    pub(crate) cost: Option<NanoUsd>,
    /// The number of past runs that it is derived from.
    pub(crate) runs: u32,
    /// The number of scenarios that are not included, because no past run of theirs has a
    /// known cost.
    pub(crate) scenarios_without_cost: u32,
}

/// The mean cost of the past runs of each scenario, for so many runs of each.
pub(crate) fn estimate(
    past: &[(ScenarioId, RoleUsage)],
    scenarios: &[ScenarioId],
    repeats: u32,
) -> CostEstimate {
    let mut by_scenario: HashMap<ScenarioId, (u128, u32)> = HashMap::new();
    for (scenario, usage) in past {
        if usage.unpriced_calls() == 0 {
            let (sum, runs) = by_scenario.entry(*scenario).or_default();
            *sum += u128::from(usage.cost_nano_usd.0);
            *runs += 1;
        }
    }
    let mut estimate = CostEstimate::default();
    for scenario in scenarios {
        match by_scenario.get(scenario) {
            Some((sum, runs)) => {
                let mean = (sum * u128::from(repeats)).div_ceil(u128::from(*runs));
                let cost = NanoUsd(u64::try_from(mean).unwrap_or(u64::MAX));
                estimate.cost = Some(estimate.cost.unwrap_or_default().plus(cost));
                estimate.runs += runs;
            }
            None => estimate.scenarios_without_cost += 1,
        }
    }
    estimate
}

#[cfg(test)]
mod tests {
    use super::{CostEstimate, estimate};
    use domain::{NanoUsd, RoleUsage, ScenarioId};
    use uuid::Uuid;

    fn scenario(n: u128) -> ScenarioId {
        ScenarioId(Uuid::from_u128(n))
    }

    fn run(n: u128, cost: Option<u64>) -> (ScenarioId, RoleUsage) {
        let mut usage = RoleUsage::default();
        usage.add(10, 1);
        usage.add_cost(cost.map(NanoUsd));
        (scenario(n), usage)
    }

    #[test]
    fn estimate_is_the_mean_of_past_runs_per_scenario() {
        let past = [run(1, Some(10)), run(1, Some(21)), run(2, Some(100)), run(3, None)];
        let all = [1, 2, 3, 4].map(scenario);
        assert_eq!(
            estimate(&past, &all, 2),
            CostEstimate { cost: Some(NanoUsd(31 + 200)), runs: 3, scenarios_without_cost: 2 }
        );
        assert_eq!(
            estimate(&past, &all[2..], 2),
            CostEstimate { cost: None, runs: 0, scenarios_without_cost: 2 },
            "unknown, not free"
        );
    }
}
