//! Rows of evaluations.

use super::RoleModel;
use crate::transition::ReadOnly;
use domain::{Evaluation, EvaluationId, RunId, SpaceId, SuiteId, Timestamp, UserId};
use std::ops::Deref;

/// An evaluation. The lease of a run's first evaluation is unused.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationRow {
    pub run_id: RunId,
    pub suite_id: SuiteId,
    pub space_id: SpaceId,
    pub user_id: UserId,
    pub judge: RoleModel,
    pub evaluation: Evaluation,
    pub lease: ReadOnly<RejudgeLease>,
}

/// The lease of a rejudge. The fields mean what they mean in [`RunState`](super::RunState).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RejudgeLease {
    pub lease_epoch: u32,
    pub recoveries: u32,
    pub recoveries_without_progress: u32,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
    pub deadline_paused_at: Option<Timestamp>,
}

impl Deref for EvaluationRow {
    type Target = RejudgeLease;

    fn deref(&self) -> &RejudgeLease {
        &self.lease
    }
}

impl EvaluationRow {
    #[must_use]
    pub fn id(&self) -> EvaluationId {
        self.evaluation.id
    }
}
