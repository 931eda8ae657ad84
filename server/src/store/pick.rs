//! Which suite the next free place goes to: begun runs first, then the user
//! with the fewest runs at work, then first come first served.

use app::domain::{SuiteId, Timestamp, UserId};
use std::collections::HashMap;

/// An unfinished suite and what it has at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteLoad {
    /// The suite.
    pub suite_id: SuiteId,
    /// Whose.
    pub user_id: UserId,
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
pub fn pick(loads: &[SuiteLoad], runs_per_user: u32) -> Option<Take> {
    let mut at_work: HashMap<UserId, u32> = HashMap::new();
    for load in loads {
        *at_work.entry(load.user_id).or_default() += load.active;
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
        .min_by_key(order)
        .map(|load| Take::Pending(load.suite_id))
}
