//! Rows of suites.

use crate::spending::{Spent, SuiteBudget};
use crate::transition::SuiteState;
use domain::{
    AgentRef, Counts, NanoUsd, ProfileRef, Run, SpaceId, Suite, SuiteId, SuiteProgress, Timestamp,
    Usage, UserId, judged_pass_rate, pass_rate,
};

#[derive(Clone, Debug, PartialEq)]
pub struct SuiteRow {
    pub id: SuiteId,
    pub space_id: SpaceId,
    pub user_id: UserId,
    pub agent: AgentRef,
    pub profile: Option<ProfileRef>,
    pub variables_at: Option<Timestamp>,
    pub state: SuiteState,
    pub total: u32,
    pub concurrency: u32,
    pub repeats: u32,
    pub parent_id: Option<SuiteId>,
    pub part_of: Option<u32>,
    pub note: String,
    pub budget: SuiteBudget,
    /// The cost of its calls; `None` if it was created before costs were known.
    pub spent: Option<Spent>,
    /// The number of the newest event.
    pub seq: i64,
    pub created_at: Timestamp,
}

impl SuiteRow {
    /// The known cost of its calls; `None` if that of every call is unknown.
    fn known_cost(&self) -> Option<NanoUsd> {
        let spent = self.spent?;
        (spent.cost > NanoUsd::ZERO || spent.unpriced_calls == 0).then_some(spent.cost)
    }

    /// The suite of pages and API.
    #[must_use]
    pub fn view(&self, counts: Counts, eta_seconds: Option<u32>, runs: Option<Vec<Run>>) -> Suite {
        Suite {
            id: self.id,
            agent: self.agent.clone(),
            status: self.state.status(),
            total: self.total,
            counts,
            pass_rate: pass_rate(&counts, self.state.cancel_requested_at().is_some()),
            judged: counts.judged(),
            judged_pass_rate: judged_pass_rate(&counts),
            progress: SuiteProgress { done: counts.done(), total: self.total, eta_seconds },
            concurrency: self.concurrency,
            repeats: self.repeats,
            parent_id: self.parent_id,
            part_of: self.part_of,
            profile: self.profile.clone(),
            variables_at: self.variables_at,
            note: self.note.clone(),
            created_at: self.created_at,
            started_at: self.state.started_at(),
            finished_at: self.state.finished_at(),
            cancel_requested_at: self.state.cancel_requested_at(),
            cost_usd: self.known_cost(),
            unpriced_calls: self.spent.map_or(0, |spent| spent.unpriced_calls),
            budget_usd: self.budget.limit,
            budget_action: self.budget.action,
            usage: runs.as_ref().map(|runs| {
                let mut usage = Usage::default();
                runs.iter().for_each(|run| usage.merge(&run.usage));
                usage
            }),
            runs,
        }
    }
}
