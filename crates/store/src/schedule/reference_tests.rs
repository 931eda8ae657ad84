//! The schedule decides as if it read all suites for each run.

use crate::rows::ModelRef;
use crate::schedule::limits::CapacityUse;
use crate::schedule::{AdmissionLimit, Capacity, NextRun, RunLoad, Schedule, SuiteLoad};
use domain::{ConnectionId, SuiteId, Timestamp, UserId};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The rules without groups: reads all suites for each run.
fn next_run(
    loads: &[SuiteLoad],
    runs_per_user: u32,
    limits: &[AdmissionLimit],
    capacity: &Capacity,
) -> Option<NextRun> {
    let mut used_slots: HashMap<UserId, u32> = HashMap::new();
    for load in loads {
        *used_slots.entry(load.user_id).or_default() += load.active + load.awaiting_user_slot;
    }
    let used = |load: &SuiteLoad| used_slots.get(&load.user_id).copied().unwrap_or(0);
    let has_slot = |load: &&SuiteLoad| used(load) < runs_per_user;
    let order = |load: &&SuiteLoad| (used(load), load.created_at, load.suite_id);
    let orphaned = loads.iter().filter(|load| load.orphaned > 0).filter(has_slot);
    if let Some(load) = orphaned.min_by_key(order) {
        return Some(NextRun::Orphaned(load.suite_id));
    }
    loads
        .iter()
        .filter(|load| load.pending > 0 && load.running < load.concurrency)
        .filter(has_slot)
        .filter(|load| !is_limited(loads, load, limits))
        .filter(|load| has_capacity(loads, load, capacity))
        .min_by_key(order)
        .map(|load| NextRun::Pending(load.suite_id))
}

/// Whether a limit keeps this suite's next run from starting.
fn is_limited(loads: &[SuiteLoad], load: &SuiteLoad, limits: &[AdmissionLimit]) -> bool {
    limits.iter().filter(|limit| applies(limit, load)).any(|limit| {
        let limited = |other: &&SuiteLoad| other.user_id == load.user_id && applies(limit, other);
        loads.iter().filter(limited).map(|other| other.running).sum::<u32>() >= limit.max_running
    })
}

/// Whether the call slots and the model can carry another run of this suite.
fn has_capacity(loads: &[SuiteLoad], load: &SuiteLoad, capacity: &Capacity) -> bool {
    let active = usage(loads, load.user_id, |_| true, |load| load.active);
    if !active.has_room(capacity.active_runs) {
        return false;
    }
    let of_model = |model| capacity.runs_by_model.get(model);
    load.agent.as_ref().and_then(of_model).is_none_or(|runs| {
        let same_model = |other: &SuiteLoad| other.agent == load.agent;
        usage(loads, load.user_id, same_model, |load| load.running).has_room(*runs)
    })
}

fn usage(
    loads: &[SuiteLoad],
    user: UserId,
    counts: impl Fn(&SuiteLoad) -> bool,
    used: impl Fn(&SuiteLoad) -> u32,
) -> CapacityUse {
    let mut usage = CapacityUse::default();
    let mut users = HashSet::new();
    for load in loads.iter().filter(|load| counts(load)) {
        users.insert(load.user_id);
        usage.total += used(load);
        usage.of_user += if load.user_id == user { used(load) } else { 0 };
    }
    usage.users = u32::try_from(users.len()).unwrap_or(u32::MAX);
    usage
}

fn applies(limit: &AdmissionLimit, load: &SuiteLoad) -> bool {
    limit.applies_to(load.user_id, load.agent.as_ref())
}

fn model(n: u128) -> ModelRef {
    let connection_id = ConnectionId(Uuid::from_u128(n % 2));
    ModelRef { connection_id, model: format!("m{}", n / 2) }
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

prop_compose! {
    fn load()(
        owner in 0..4_u128,
        agent in prop::option::weighted(0.9, 0..4_u128),
        created_at in 0..4_i64,
        concurrency in 1..4_u32,
        pending in 0..4_u32,
        orphaned in prop_oneof![4 => Just(0), 1 => 0..2_u32],
        active in 0..3_u32,
        awaiting_user_slot in 0..2_u32,
        parked in 0..2_u32,
    ) -> SuiteLoad {
        SuiteLoad {
            suite_id: SuiteId(Uuid::nil()),
            user_id: user(owner),
            agent: agent.map(model),
            created_at: Timestamp(created_at),
            concurrency,
            is_started: false,
            pending,
            running: orphaned + active + awaiting_user_slot + parked,
            orphaned,
            active,
            awaiting_user_slot,
        }
    }
}

prop_compose! {
    fn limit()(
        owner in prop::option::of(0..4_u128),
        target in 0..4_u128,
        any_model in any::<bool>(),
        max_running in 0..3_u32,
    ) -> AdmissionLimit {
        let ModelRef { connection_id, model } = model(target);
        let model = (!any_model).then_some(model);
        AdmissionLimit { user_id: owner.map(user), connection_id, model, max_running }
    }
}

prop_compose! {
    fn capacity()(
        active_runs in prop_oneof![Just(u32::MAX), 0..12_u32],
        runs_by_model in prop::collection::hash_map(0..4_u128, 0..8_u32, 0..3),
    ) -> Capacity {
        let runs_by_model = runs_by_model.into_iter().map(|(n, runs)| (model(n), runs)).collect();
        Capacity { active_runs, runs_by_model }
    }
}

proptest! {
    /// Claims until nothing may start. Every claim changes one suite.
    #[test]
    fn decides_as_if_all_suites_were_read(
        loads in prop::collection::vec(load(), 0..12),
        limits in prop::collection::vec(limit(), 0..4),
        capacity in capacity(),
        runs_per_user in 1..6_u32,
    ) {
        let mut loads: Vec<_> = (0..).zip(loads).map(|(n, load)| {
            SuiteLoad { suite_id: SuiteId(Uuid::from_u128(n)), ..load }
        }).collect();
        let mut schedule: Schedule = loads.iter().cloned().collect();
        loop {
            // A suite without unfinished runs is not read.
            loads.retain(|load| load.pending + load.running > 0);
            let next = schedule.next_run(runs_per_user, &limits, &capacity);
            prop_assert_eq!(next, next_run(&loads, runs_per_user, &limits, &capacity));
            let Some(next) = next else { break };
            let leased = RunLoad { running: true, active: true, ..RunLoad::default() };
            let (suite, before) = match next {
                NextRun::Orphaned(suite) => {
                    (suite, RunLoad { running: true, orphaned: true, ..RunLoad::default() })
                }
                NextRun::Pending(suite) => (suite, RunLoad { pending: true, ..RunLoad::default() }),
            };
            for load in loads.iter_mut().filter(|load| load.suite_id == suite) {
                load.pending -= u32::from(before.pending);
                load.orphaned -= u32::from(before.orphaned);
                load.running += u32::from(!before.running);
                load.active += 1;
            }
            prop_assert!(schedule.update(suite, before, leased));
            prop_assert_eq!(&schedule, &loads.iter().cloned().collect());
        }
    }
}

#[test]
fn impossible_change_is_reported() {
    let load = SuiteLoad {
        suite_id: SuiteId(Uuid::nil()),
        user_id: user(1),
        agent: None,
        created_at: Timestamp(0),
        concurrency: 1,
        is_started: false,
        pending: 1,
        running: 0,
        orphaned: 0,
        active: 0,
        awaiting_user_slot: 0,
    };
    let mut schedule = Schedule::from_iter([load]);
    let running = RunLoad { running: true, ..RunLoad::default() };
    assert!(!schedule.update(SuiteId(Uuid::nil()), running, RunLoad::default()), "none is running");
    let unknown = SuiteId(Uuid::from_u128(9));
    assert!(schedule.update(unknown, running, RunLoad::default()), "a cancelled suite");
}
