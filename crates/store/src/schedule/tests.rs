//! The rules by which the next run is selected.

use super::*;
use domain::ConnectionId;
use uuid::Uuid;

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

fn connection(n: u128) -> ConnectionId {
    ConnectionId(Uuid::from_u128(n))
}

/// Suite `n` of user `owner` on connection `at` with `running` of three
/// possible runs.
fn load(n: u128, owner: u128, at: u128, running: u32) -> SuiteLoad {
    SuiteLoad {
        suite_id: SuiteId(Uuid::from_u128(n)),
        user_id: user(owner),
        agent: Some(ModelRef { connection_id: connection(at), model: "m".into() }),
        created_at: Timestamp(0),
        concurrency: 3,
        is_started: false,
        pending: 9,
        running,
        orphaned: 0,
        active: running,
        awaiting_user_slot: 0,
    }
}

fn limit(owner: Option<u128>, at: u128, model: Option<&str>, max_running: u32) -> AdmissionLimit {
    let (user_id, model) = (owner.map(user), model.map(str::to_owned));
    AdmissionLimit { user_id, connection_id: connection(at), model, max_running }
}

fn next_run(
    loads: &[SuiteLoad],
    limits: &[AdmissionLimit],
    capacity: &Capacity,
) -> Option<NextRun> {
    Schedule::from_iter(loads.iter().cloned()).next_run(8, limits, capacity)
}

/// The suites in the order in which their pending runs start, until none may.
fn started(loads: Vec<SuiteLoad>, limits: &[AdmissionLimit]) -> Vec<u128> {
    started_within(loads, limits, &Capacity::unlimited())
}

fn started_within(
    mut loads: Vec<SuiteLoad>,
    limits: &[AdmissionLimit],
    capacity: &Capacity,
) -> Vec<u128> {
    let mut started = Vec::new();
    let next = |loads: &[SuiteLoad]| next_run(loads, limits, capacity);
    while let Some(NextRun::Pending(suite)) = next(&loads) {
        for load in loads.iter_mut().filter(|load| load.suite_id == suite) {
            (load.pending, load.running, load.active) =
                (load.pending - 1, load.running + 1, load.active + 1);
        }
        started.push(suite.0.as_u128());
    }
    started
}

#[test]
fn open_circuit_stops_new_runs_of_its_connection_only() {
    let loads = || vec![load(1, 1, 7, 0), load(2, 1, 8, 0), load(3, 2, 7, 0)];
    assert_eq!(started(loads(), &[]).len(), 9);
    let circuit = [limit(Some(1), 7, None, 0)];
    assert_eq!(started(loads(), &circuit), [2, 3, 2, 3, 2, 3], "only user 1 on connection 7");
    assert_eq!(started(loads(), &[limit(None, 7, Some("m"), 0)]), [2, 2, 2]);
    assert_eq!(started(loads(), &[limit(None, 7, Some("another"), 0)]).len(), 9);
}

#[test]
fn limit_of_one_admits_one_run_per_user() {
    let probe = [limit(None, 7, Some("m"), 1)];
    assert_eq!(started(vec![load(1, 1, 7, 0), load(2, 2, 7, 0)], &probe), [1, 2]);
    assert_eq!(started(vec![load(1, 1, 7, 2), load(2, 2, 7, 0)], &probe), [2], "user 1 probes");
    let other_suite = vec![load(1, 1, 7, 1), load(2, 1, 7, 0)];
    assert!(started(other_suite, &probe).is_empty(), "counts all suites of the user");
}

#[test]
fn no_more_runs_start_than_the_call_slots_serve() {
    let capacity = |active_runs| Capacity { active_runs, ..Capacity::unlimited() };
    let loads = |first| vec![load(1, 1, 7, first), load(2, 2, 8, 0)];
    assert_eq!(started_within(vec![load(1, 1, 7, 0)], &[], &capacity(2)), [1, 1]);
    assert_eq!(started_within(loads(0), &[], &capacity(4)), [1, 2, 1, 2]);
    let late = started_within(loads(3), &[], &capacity(3));
    assert_eq!(late, [2], "another user gets an equal part at once");
    let parked = SuiteLoad { active: 0, ..load(1, 1, 7, 2) };
    assert_eq!(started_within(vec![parked], &[], &capacity(1)), [1], "parked runs make no call");
}

#[test]
fn no_more_runs_start_than_their_model_serves() {
    let model = ModelRef { connection_id: connection(7), model: "m".into() };
    let runs_by_model = [(model, 2)].into();
    let capacity = Capacity { runs_by_model, ..Capacity::unlimited() };
    let loads = vec![load(1, 1, 7, 0), load(2, 1, 8, 0), load(3, 2, 7, 0)];
    assert_eq!(started_within(loads, &[], &capacity), [1, 3, 2, 2, 2]);
    let late = vec![load(1, 1, 7, 2), load(3, 2, 7, 0)];
    assert_eq!(started_within(late, &[], &capacity), [3], "each user may start one");
    let unreadable = SuiteLoad { agent: None, ..load(1, 1, 7, 0) };
    assert_eq!(started_within(vec![unreadable], &[], &capacity).len(), 3);
}

#[test]
fn free_slot_is_reserved_for_a_parked_run_that_waits_for_it() {
    let parked = SuiteLoad { active: 0, awaiting_user_slot: 1, ..load(1, 1, 7, 1) };
    let loads = |active| [parked.clone(), SuiteLoad { active, ..load(2, 1, 8, 0) }];
    assert_eq!(
        next_run(&loads(7), &[], &Capacity::unlimited()),
        None,
        "the last free slot is reserved"
    );
    assert!(next_run(&loads(6), &[], &Capacity::unlimited()).is_some());
}

#[test]
fn orphaned_run_is_claimed_despite_limits() {
    let orphaned = SuiteLoad { orphaned: 1, running: 1, active: 0, ..load(1, 1, 7, 0) };
    let next = next_run(&[orphaned], &[limit(None, 7, None, 0)], &Capacity::unlimited());
    assert_eq!(next, Some(NextRun::Orphaned(SuiteId(Uuid::from_u128(1)))));
}

#[test]
fn limits_do_not_apply_to_a_suite_with_an_unreadable_model() {
    let unreadable = SuiteLoad { agent: None, ..load(1, 1, 7, 0) };
    assert_eq!(started(vec![unreadable], &[limit(None, 7, None, 0)]).len(), 3);
}
