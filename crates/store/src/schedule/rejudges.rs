//! Selects the rejudges that do not start yet because their first judge
//! call would only wait. They wait at most `max_wait`, because a user waits for
//! the result; then they start even if their call will fail.

use super::AdmissionLimit;
use crate::rows::ModelRef;
use domain::{EvaluationId, Timestamp, UserId};
use std::time::Duration;

/// A pending or running rejudge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedRejudge {
    pub id: EvaluationId,
    pub user_id: UserId,
    /// The judge model; `None` if it cannot be read.
    pub judge: Option<ModelRef>,
    pub running: bool,
    pub created_at: Timestamp,
}

impl UnfinishedRejudge {
    fn is_limited_by(&self, limit: &AdmissionLimit) -> bool {
        limit.applies_to(self.user_id, self.judge.as_ref())
    }
}

/// The rejudges that wait for `limits` to end, at most `max_wait` after their
/// creation. Where a limit admits one per user, the oldest one starts.
#[must_use]
pub fn deferred_rejudges(
    mut unfinished: Vec<UnfinishedRejudge>,
    limits: &[AdmissionLimit],
    max_wait: Duration,
    now: Timestamp,
) -> Vec<EvaluationId> {
    unfinished.sort_by_key(|evaluation| (evaluation.created_at, evaluation.id));
    let (mut started, pending): (Vec<_>, Vec<_>) =
        unfinished.into_iter().partition(|evaluation| evaluation.running);
    let mut deferred = Vec::new();
    for evaluation in pending {
        let is_full = |limit: &AdmissionLimit| {
            let running = started
                .iter()
                .filter(|other| other.user_id == evaluation.user_id && other.is_limited_by(limit));
            running.count() >= limit.max_running as usize
        };
        let may_wait = evaluation.created_at.plus(max_wait) > now;
        if may_wait && limits.iter().any(|limit| evaluation.is_limited_by(limit) && is_full(limit))
        {
            deferred.push(evaluation.id);
        } else {
            started.push(evaluation);
        }
    }
    deferred
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ConnectionId;
    use uuid::Uuid;

    const MAX_WAIT: Duration = Duration::from_mins(10);

    /// Evaluation `n` of user `owner` with a judge on connection `at`, created
    /// `n` seconds after the start.
    fn evaluation(n: u64, owner: u128, at: u128, running: bool) -> UnfinishedRejudge {
        let connection_id = ConnectionId(Uuid::from_u128(at));
        UnfinishedRejudge {
            id: Uuid::from_u128(n.into()).into(),
            user_id: UserId(Uuid::from_u128(owner)),
            judge: Some(ModelRef { connection_id, model: "m".into() }),
            running,
            created_at: Timestamp(0).plus(Duration::from_secs(n)),
        }
    }

    /// A limit on user 1 and connection 7.
    fn limit(max_running: u32) -> [AdmissionLimit; 1] {
        let connection_id = ConnectionId(Uuid::from_u128(7));
        let user_id = Some(UserId(Uuid::from_u128(1)));
        [AdmissionLimit { user_id, connection_id, model: None, max_running }]
    }

    fn deferred(
        unfinished: &[UnfinishedRejudge],
        limits: &[AdmissionLimit],
        now: u64,
    ) -> Vec<u128> {
        let now = Timestamp(0).plus(Duration::from_secs(now));
        let deferred = deferred_rejudges(unfinished.to_vec(), limits, MAX_WAIT, now);
        deferred.into_iter().map(|id| id.0.as_u128()).collect()
    }

    #[test]
    fn open_circuit_defers_rejudges_of_its_connection_only() {
        let all = [
            evaluation(3, 1, 7, false),
            evaluation(2, 1, 7, false),
            evaluation(4, 1, 8, false),
            evaluation(5, 2, 7, false),
        ];
        assert_eq!(deferred(&all, &[], 9), [0; 0]);
        assert_eq!(deferred(&all, &limit(0), 9), [2, 3], "only user 1 on connection 7");
        assert_eq!(deferred(&all, &limit(1), 9), [3], "the oldest one probes");
        let probed = [evaluation(1, 1, 7, true), evaluation(6, 2, 7, true), all[0].clone()];
        assert_eq!(deferred(&probed, &limit(1), 9), [3], "one probes already");
        assert_eq!(deferred(&probed[1..], &limit(1), 9), [0; 0], "other users do not count");
    }

    #[test]
    fn deferral_ends_after_max_wait() {
        let all = [evaluation(0, 1, 7, false), evaluation(1, 1, 7, false)];
        assert_eq!(deferred(&all, &limit(0), 599), [0, 1]);
        assert_eq!(deferred(&all, &limit(0), 600), [1]);
        let unreadable = UnfinishedRejudge { judge: None, ..evaluation(0, 1, 7, false) };
        assert_eq!(deferred(&[unreadable], &limit(0), 1), [0; 0], "starts, and ends as damaged");
    }
}
