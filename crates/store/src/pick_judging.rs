//! Which re-evaluations do not begin now, because their judge's first call
//! would only wait. For a while only: somebody waits for the answer, and past
//! it the judging begins and ends as its call does.

use super::pick::Hold;
use super::rows::ModelRef;
use domain::{EvaluationId, Timestamp, UserId};
use std::time::Duration;

/// A re-evaluation that is not final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judging {
    /// Its id.
    pub id: EvaluationId,
    /// Whose.
    pub user_id: UserId,
    /// The model that judges; `None` if that cannot be read.
    pub judge: Option<ModelRef>,
    /// Whether it is at work.
    pub running: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// Those of the `unfinished` that wait for `holds` to end, at most `max_wait`
/// from when they were asked for. First come first served, where a hold lets
/// one of each user try.
#[must_use]
pub fn kept_back(
    mut unfinished: Vec<Judging>,
    holds: &[Hold],
    max_wait: Duration,
    now: Timestamp,
) -> Vec<EvaluationId> {
    unfinished.sort_by_key(|judging| (judging.created_at, judging.id));
    let (mut begun, waiting): (Vec<_>, Vec<_>) =
        unfinished.into_iter().partition(|judging| judging.running);
    let mut kept = Vec::new();
    for judging in waiting {
        let concerned = |other: &Judging, hold: &Hold| {
            other.user_id == judging.user_id && hold.holds(other.user_id, other.judge.as_ref())
        };
        let full = |hold: &&Hold| {
            let there = begun.iter().filter(|other| concerned(other, hold)).count();
            there >= hold.begun as usize
        };
        let patient = judging.created_at.plus(max_wait) > now;
        let held = holds.iter().filter(|hold| concerned(&judging, hold)).any(|hold| full(&hold));
        if patient && held {
            kept.push(judging.id);
        } else {
            begun.push(judging);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ConnectionId;
    use uuid::Uuid;

    const WAIT: Duration = Duration::from_mins(10);

    /// Judging `n` of user `who` by a judge on connection `at`, asked for `n`
    /// seconds after the first.
    fn judging(n: u64, who: u128, at: u128, running: bool) -> Judging {
        let connection_id = ConnectionId(Uuid::from_u128(at));
        Judging {
            id: Uuid::from_u128(n.into()).into(),
            user_id: UserId(Uuid::from_u128(who)),
            judge: Some(ModelRef { connection_id, model: "m".into() }),
            running,
            created_at: Timestamp(0).plus(Duration::from_secs(n)),
        }
    }

    /// The circuit of user 1 on connection 7, behind which `begun` may be.
    fn circuit(begun: u32) -> [Hold; 1] {
        let connection_id = ConnectionId(Uuid::from_u128(7));
        [Hold { user_id: Some(UserId(Uuid::from_u128(1))), connection_id, model: None, begun }]
    }

    fn kept(of: &[Judging], holds: &[Hold], now: u64) -> Vec<u128> {
        let now = Timestamp(0).plus(Duration::from_secs(now));
        let kept = kept_back(of.to_vec(), holds, WAIT, now);
        kept.into_iter().map(|id| id.0.as_u128()).collect()
    }

    #[test]
    fn behind_an_open_circuit_they_wait_and_others_begin() {
        let all = [
            judging(3, 1, 7, false),
            judging(2, 1, 7, false),
            judging(4, 1, 8, false),
            judging(5, 2, 7, false),
        ];
        assert_eq!(kept(&all, &[], 9), [0; 0]);
        assert_eq!(kept(&all, &circuit(0), 9), [2, 3], "only user 1 on connection 7");
        assert_eq!(kept(&all, &circuit(1), 9), [3], "the first one tries");
        let tries = [judging(1, 1, 7, true), judging(6, 2, 7, true), all[0].clone()];
        assert_eq!(kept(&tries, &circuit(1), 9), [3], "one tries already");
        assert_eq!(kept(&tries[1..], &circuit(1), 9), [0; 0], "another user's is no try");
    }

    #[test]
    fn nobody_waits_for_ever() {
        let all = [judging(0, 1, 7, false), judging(1, 1, 7, false)];
        assert_eq!(kept(&all, &circuit(0), 599), [0, 1]);
        assert_eq!(kept(&all, &circuit(0), 600), [1]);
        let damaged = Judging { judge: None, ..judging(0, 1, 7, false) };
        assert_eq!(kept(&[damaged], &circuit(0), 1), [0; 0], "it begins, and ends");
    }
}
