//! The unfinished suites, kept in memory and changed with every run, so that a claim does
//! not read all unfinished runs.
//!
//! [`Schedule::next_run`] selects the run that starts next: orphaned runs first, then the
//! user with the fewest active runs, then the oldest suite. No run starts where its first
//! provider call would only wait ([`AdmissionLimit`]), or beyond the calls that are possible
//! at the same time ([`Capacity`]): a running run should finish instead of sharing
//! the throughput with more runs.
//!
//! Suites of one user with one model are a group: the same limits apply to all of them, so
//! only the oldest one of a group is a candidate.

mod limits;
mod load;
#[cfg(test)]
mod reference_tests;
pub mod rejudges;
#[cfg(test)]
mod tests;

pub use limits::{AdmissionLimit, Capacity};
pub use load::{RunLoad, SuiteLoad};

use super::rows::ModelRef;
use domain::{SuiteId, Timestamp, UserId};
use limits::CapacityUse;
use std::collections::{BTreeSet, HashMap};

/// The run to claim next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRun {
    /// The suite's first orphaned run.
    Orphaned(SuiteId),
    /// The suite's first pending run.
    Pending(SuiteId),
}

/// The suites of one user with one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    suites: u32,
    running: u32,
    active: u32,
    awaiting_user_slot: u32,
    /// Suites with an orphaned run, oldest first.
    orphaned: BTreeSet<(Timestamp, SuiteId)>,
    /// Suites that may start a pending run, oldest first.
    startable: BTreeSet<(Timestamp, SuiteId)>,
}

impl Group {
    fn add(&mut self, load: &SuiteLoad) {
        let place = (load.created_at, load.suite_id);
        self.suites += 1;
        self.running += load.running;
        self.active += load.active;
        self.awaiting_user_slot += load.awaiting_user_slot;
        if load.orphaned > 0 {
            self.orphaned.insert(place);
        }
        if load.pending > 0 && load.running < load.concurrency {
            self.startable.insert(place);
        }
    }

    /// Undoes [`Group::add`] of the same load.
    fn remove(&mut self, load: &SuiteLoad) {
        let place = (load.created_at, load.suite_id);
        self.suites -= 1;
        self.running -= load.running;
        self.active -= load.active;
        self.awaiting_user_slot -= load.awaiting_user_slot;
        self.orphaned.remove(&place);
        self.startable.remove(&place);
    }
}

/// The groups of one user by model; `None` where the model cannot be read.
type Groups = HashMap<Option<ModelRef>, Group>;

/// The unfinished suites without a cancel request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    suites: HashMap<SuiteId, SuiteLoad>,
    users: HashMap<UserId, Groups>,
}

impl FromIterator<SuiteLoad> for Schedule {
    fn from_iter<T: IntoIterator<Item = SuiteLoad>>(loads: T) -> Self {
        let mut schedule = Self::default();
        loads.into_iter().for_each(|load| schedule.insert(load));
        schedule
    }
}

impl Schedule {
    /// Adds a suite that is not there yet. One without unfinished runs is left out.
    pub fn insert(&mut self, load: SuiteLoad) {
        if load.pending + load.running > 0 {
            let groups = self.users.entry(load.user_id).or_default();
            groups.entry(load.agent.clone()).or_default().add(&load);
            self.suites.insert(load.suite_id, load);
        }
    }

    /// Removes a suite, because it is canceled. Returns it if it was there.
    pub fn remove(&mut self, suite: SuiteId) -> Option<SuiteLoad> {
        let load = self.suites.remove(&suite)?;
        if let Some(groups) = self.users.get_mut(&load.user_id) {
            if let Some(group) = groups.get_mut(&load.agent) {
                group.remove(&load);
            }
            groups.retain(|_, group| group.suites > 0);
            if groups.is_empty() {
                self.users.remove(&load.user_id);
            }
        }
        Some(load)
    }

    /// Records that a run changed. A suite that is not there has a cancel request, so its
    /// runs do not count. Returns `false` if the schedule does not match the runs and has
    /// to be read again.
    #[must_use]
    pub fn update(&mut self, suite: SuiteId, before: RunLoad, after: RunLoad) -> bool {
        if before == after {
            return true;
        }
        let Some(mut load) = self.remove(suite) else { return true };
        let mut is_consistent = true;
        let mut change = |count: &mut u32, was: bool, is: bool| match (*count + u32::from(is))
            .checked_sub(u32::from(was))
        {
            Some(changed) => *count = changed,
            None => is_consistent = false,
        };
        change(&mut load.pending, before.pending, after.pending);
        change(&mut load.running, before.running, after.running);
        change(&mut load.orphaned, before.orphaned, after.orphaned);
        change(&mut load.active, before.active, after.active);
        change(&mut load.awaiting_user_slot, before.awaiting_user_slot, after.awaiting_user_slot);
        self.insert(load);
        is_consistent
    }

    /// Records that the suite started.
    pub fn set_started(&mut self, suite: SuiteId) {
        if let Some(load) = self.suites.get_mut(&suite) {
            load.is_started = true;
        }
    }

    #[must_use]
    pub fn get(&self, suite: SuiteId) -> Option<&SuiteLoad> {
        self.suites.get(&suite)
    }

    /// The number of active runs of a user.
    #[must_use]
    pub fn active_runs(&self, user: UserId) -> u32 {
        self.users.get(&user).into_iter().flatten().map(|(_, group)| group.active).sum()
    }

    /// The run to claim next; `None` when no run may start now.
    #[must_use]
    pub fn next_run(
        &self,
        runs_per_user: u32,
        limits: &[AdmissionLimit],
        capacity: &Capacity,
    ) -> Option<NextRun> {
        let used_slots = |groups: &Groups| -> u32 {
            groups.values().map(|group| group.active + group.awaiting_user_slot).sum()
        };
        let with_slot = || {
            let users = self.users.iter().map(|(user, groups)| (*user, groups, used_slots(groups)));
            users.filter(|(.., used)| *used < runs_per_user)
        };
        let orphaned = with_slot().flat_map(|(_, groups, used)| {
            let oldest = groups.values().filter_map(|group| group.orphaned.first());
            oldest.map(move |place| (used, *place))
        });
        if let Some((_, (_, suite))) = orphaned.min() {
            return Some(NextRun::Orphaned(suite));
        }
        let totals = Totals::of(&self.users);
        let pending = with_slot().flat_map(|(user, groups, used)| {
            let startable = groups.iter().filter_map(|(model, group)| {
                Some((model.as_ref(), group, group.startable.first()?))
            });
            startable
                .filter(move |(model, ..)| !is_limited(user, *model, groups, limits))
                .filter(|(model, group, _)| totals.has_room(groups, *model, group, capacity))
                .map(move |(.., place)| (used, *place))
        });
        pending.min().map(|(_, (_, suite))| NextRun::Pending(suite))
    }
}

/// Whether a limit keeps the next run of a user's model from starting.
fn is_limited(
    user: UserId,
    model: Option<&ModelRef>,
    groups: &Groups,
    limits: &[AdmissionLimit],
) -> bool {
    limits.iter().filter(|limit| limit.applies_to(user, model)).any(|limit| {
        let limited = groups.iter().filter(|(other, _)| limit.applies_to(user, other.as_ref()));
        limited.map(|(_, group)| group.running).sum::<u32>() >= limit.max_running
    })
}

/// The use of the capacity by all users.
struct Totals<'a> {
    active: CapacityUse,
    running_by_model: HashMap<&'a ModelRef, CapacityUse>,
}

impl<'a> Totals<'a> {
    fn of(users: &'a HashMap<UserId, Groups>) -> Self {
        let mut totals = Self { active: CapacityUse::default(), running_by_model: HashMap::new() };
        for groups in users.values() {
            totals.active.users += 1;
            for (model, group) in groups {
                totals.active.total += group.active;
                if let Some(model) = model {
                    let used = totals.running_by_model.entry(model).or_default();
                    used.users += 1;
                    used.total += group.running;
                }
            }
        }
        totals
    }

    /// Whether the call slots and the model can carry another run of this group.
    fn has_room(
        &self,
        groups: &Groups,
        model: Option<&ModelRef>,
        group: &Group,
        capacity: &Capacity,
    ) -> bool {
        let of_user = groups.values().map(|group| group.active).sum();
        if !(CapacityUse { of_user, ..self.active }).has_room(capacity.active_runs) {
            return false;
        }
        let Some(model) = model else { return true };
        capacity.runs_by_model.get(model).is_none_or(|runs| {
            let used = self.running_by_model.get(model).copied().unwrap_or_default();
            CapacityUse { of_user: group.running, ..used }.has_room(*runs)
        })
    }
}
