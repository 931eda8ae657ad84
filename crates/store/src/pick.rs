//! Which suite the next free place goes to: begun runs first, then the user
//! with the fewest runs at work, then first come first served. Nothing begins
//! where its first call would only wait.

use super::rows::ModelRef;
use domain::{ConnectionId, SuiteId, Timestamp, UserId};
use std::collections::HashMap;

/// A place at which calls have to wait now: few or no runs begin there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose runs; `None` = everybody's.
    pub user_id: Option<UserId>,
    /// Those of agents on this connection.
    pub connection_id: ConnectionId,
    /// And with this model; `None` = with any.
    pub model: Option<String>,
    /// A run begins while fewer than so many of its user's have begun there:
    /// 0 while nobody gets through; 1 so that somebody is there to probe, or to
    /// have the user's turn, and nothing stands still.
    pub begun: u32,
}

impl Hold {
    fn concerns(&self, load: &SuiteLoad) -> bool {
        self.holds(load.user_id, load.agent.as_ref())
    }

    /// Whether it holds calls of this user to this model.
    pub(super) fn holds(&self, user: UserId, model: Option<&ModelRef>) -> bool {
        self.user_id.is_none_or(|of| of == user)
            && model.is_some_and(|to| {
                to.connection_id == self.connection_id
                    && self.model.as_ref().is_none_or(|model| *model == to.model)
            })
    }
}

/// An unfinished suite and what it has at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteLoad {
    /// The suite.
    pub suite_id: SuiteId,
    /// Whose.
    pub user_id: UserId,
    /// The model under test; `None` if that cannot be read.
    pub agent: Option<ModelRef>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The most runs at once.
    pub concurrency: u32,
    /// Runs not begun.
    pub pending: u32,
    /// Runs begun and not final, whoever holds them.
    pub begun: u32,
    /// Of these, without a holder.
    pub orphaned: u32,
    /// Of these, held and not parked.
    pub active: u32,
    /// Of these, held and parked for a place alone: the next free ones are theirs.
    pub wanting: u32,
}

/// What to take from the picked suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// A run that was begun and has no holder.
    Orphan(SuiteId),
    /// The next pending run.
    Pending(SuiteId),
}

/// Picks, or `None` when nothing may begin now.
#[must_use]
pub fn pick(loads: &[SuiteLoad], runs_per_user: u32, holds: &[Hold]) -> Option<Take> {
    let mut at_work: HashMap<UserId, u32> = HashMap::new();
    for load in loads {
        *at_work.entry(load.user_id).or_default() += load.active + load.wanting;
    }
    let free = |load: &&SuiteLoad| at_work.get(&load.user_id).copied().unwrap_or(0) < runs_per_user;
    let order = |load: &&SuiteLoad| {
        (at_work.get(&load.user_id).copied().unwrap_or(0), load.created_at, load.suite_id)
    };
    let orphan = loads.iter().filter(|load| load.orphaned > 0).filter(free).min_by_key(order);
    if let Some(load) = orphan {
        return Some(Take::Orphan(load.suite_id));
    }
    loads
        .iter()
        .filter(|load| load.pending > 0 && load.begun < load.concurrency)
        .filter(free)
        .filter(|load| !held(loads, load, holds))
        .min_by_key(order)
        .map(|load| Take::Pending(load.suite_id))
}

/// Whether a hold keeps this suite's next run from beginning.
fn held(loads: &[SuiteLoad], load: &SuiteLoad, holds: &[Hold]) -> bool {
    holds.iter().filter(|hold| hold.concerns(load)).any(|hold| {
        let same = |other: &&SuiteLoad| other.user_id == load.user_id && hold.concerns(other);
        loads.iter().filter(same).map(|other| other.begun).sum::<u32>() >= hold.begun
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn connection(n: u128) -> ConnectionId {
        ConnectionId(Uuid::from_u128(n))
    }

    /// Suite `n` of user `who` on connection `at`, `begun` of three at work.
    fn load(n: u128, who: u128, at: u128, begun: u32) -> SuiteLoad {
        SuiteLoad {
            suite_id: SuiteId(Uuid::from_u128(n)),
            user_id: user(who),
            agent: Some(ModelRef { connection_id: connection(at), model: "m".into() }),
            created_at: Timestamp(0),
            concurrency: 3,
            pending: 9,
            begun,
            orphaned: 0,
            active: begun,
            wanting: 0,
        }
    }

    fn hold(who: Option<u128>, at: u128, model: Option<&str>, begun: u32) -> Hold {
        let (user_id, model) = (who.map(user), model.map(str::to_owned));
        Hold { user_id, connection_id: connection(at), model, begun }
    }

    /// Which suites are picked, one after the other, until none is.
    fn picks(mut loads: Vec<SuiteLoad>, holds: &[Hold]) -> Vec<u128> {
        let mut picked = Vec::new();
        while let Some(Take::Pending(suite)) = pick(&loads, 8, holds) {
            for load in loads.iter_mut().filter(|load| load.suite_id == suite) {
                (load.pending, load.begun, load.active) =
                    (load.pending - 1, load.begun + 1, load.active + 1);
            }
            picked.push(suite.0.as_u128());
        }
        picked
    }

    #[test]
    fn nothing_begins_behind_an_open_circuit_and_others_go_on() {
        let loads = || vec![load(1, 1, 7, 0), load(2, 1, 8, 0), load(3, 2, 7, 0)];
        assert_eq!(picks(loads(), &[]).len(), 9);
        let circuit = [hold(Some(1), 7, None, 0)];
        assert_eq!(picks(loads(), &circuit), [2, 3, 2, 3, 2, 3], "only user 1 on connection 7");
        assert_eq!(picks(loads(), &[hold(None, 7, Some("m"), 0)]), [2, 2, 2]);
        assert_eq!(picks(loads(), &[hold(None, 7, Some("another"), 0)]).len(), 9);
    }

    #[test]
    fn one_of_each_user_may_be_on_the_way() {
        let dry = [hold(None, 7, Some("m"), 1)];
        assert_eq!(picks(vec![load(1, 1, 7, 0), load(2, 2, 7, 0)], &dry), [1, 2]);
        assert_eq!(picks(vec![load(1, 1, 7, 2), load(2, 2, 7, 0)], &dry), [2], "user 1 is there");
        let elsewhere = vec![load(1, 1, 7, 1), load(2, 1, 7, 0)];
        assert!(picks(elsewhere, &dry).is_empty(), "in another suite of theirs");
    }

    #[test]
    fn a_place_that_is_wanted_back_goes_to_nobody_else() {
        let wanting = SuiteLoad { active: 0, wanting: 1, ..load(1, 1, 7, 1) };
        let full = |active| [wanting.clone(), SuiteLoad { active, ..load(2, 1, 8, 0) }];
        assert_eq!(pick(&full(7), 8, &[]), None, "the last free place is wanted");
        assert!(pick(&full(6), 8, &[]).is_some());
    }

    #[test]
    fn what_has_begun_is_taken_up_all_the_same() {
        let orphan = SuiteLoad { orphaned: 1, begun: 1, active: 0, ..load(1, 1, 7, 0) };
        let take = pick(&[orphan], 8, &[hold(None, 7, None, 0)]);
        assert_eq!(take, Some(Take::Orphan(SuiteId(Uuid::from_u128(1)))));
    }

    #[test]
    fn a_suite_that_cannot_be_read_is_held_by_nothing() {
        let damaged = SuiteLoad { agent: None, ..load(1, 1, 7, 0) };
        assert_eq!(picks(vec![damaged], &[hold(None, 7, None, 0)]).len(), 3);
    }
}
