//! Which runs a claim returns.

use super::{QueueFixture, T0, at, claim, finish, id, passed, space, suite, user};
use crate::queue::Claim;
use crate::rows::{ModelRef, ModelSnapshot};
use crate::schedule::AdmissionLimit;
use crate::suites::NewSuite;
use crate::transition::RunChange;
use domain::{ConnectionId, SuiteId, WaitReason, Waiting};
use std::time::Duration;

pub async fn concurrency_is_limited_per_suite_and_per_user(f: QueueFixture) {
    for n in 1..=4 {
        f.suites.create_suite(suite(n, 1, 5)).await.unwrap();
    }
    let claimed = f.queue.claim(claim(100, T0)).await.unwrap();
    assert_eq!(claimed.len(), 8, "8 per user");
    for n in 1..=4 {
        let of = claimed.iter().filter(|run| run.suite_id == SuiteId(id(n))).count();
        assert!(of <= 3, "3 per suite, not {of}");
    }
    assert!(f.queue.claim(claim(100, T0)).await.unwrap().is_empty());
    let first = &claimed[0];
    f.queue.commit(&first.lease(), finish(passed()), at(1)).await.unwrap();
    assert_eq!(f.queue.claim(claim(100, at(1))).await.unwrap().len(), 1, "one slot is free");
}

pub async fn users_take_turns(f: QueueFixture) {
    f.suites.create_suite(NewSuite { concurrency: 64, ..suite(1, 1, 50) }).await.unwrap();
    let later = NewSuite { at: at(5), ..suite(2, 2, 1) };
    f.suites.create_suite(later).await.unwrap();
    let claimed = f.queue.claim(claim(2, at(6))).await.unwrap();
    let owners: Vec<_> = claimed.iter().map(|run| run.user_id).collect();
    assert!(owners.contains(&user(2)), "user 2's only run does not wait for user 1's suite");
}

pub async fn orphaned_run_is_claimed_before_pending_runs(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let first = f.claim_run(T0).await;
    f.queue.release(&first.lease(), at(1)).await.unwrap();
    let reclaimed = f.claim_run(at(2)).await;
    assert_eq!(reclaimed.id, first.id);
    assert_eq!(reclaimed.deadline_at, first.deadline_at, "the deadline never changes");
}

pub async fn parked_run_frees_user_slot_but_not_suite_slot(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |most, now| Claim { runs_per_user: 2, ..claim(most, now) };
    let claimed = f.queue.claim(few(9, T0)).await.unwrap();
    assert_eq!(claimed.len(), 2);
    let lease = claimed[0].lease();
    let waiting = Waiting { what: WaitReason::RateLimit, until: Some(at(60)) };
    let park =
        RunChange { parked: Some(true), waiting: Some(Some(waiting)), ..RunChange::default() };
    let row = f.queue.commit(&lease, park, at(1)).await.unwrap();
    assert_eq!(row.view().waiting_on, Some(waiting));
    assert_eq!(
        f.queue.claim(few(9, at(2))).await.unwrap().len(),
        1,
        "the parked run frees its user slot"
    );
    assert!(
        f.queue.claim(few(9, at(2))).await.unwrap().is_empty(),
        "the parked run keeps its suite slot"
    );
    assert!(!f.queue.reacquire_user_slot(&lease, 2, at(3)).await.unwrap(), "no free slot");
    f.queue.commit(&claimed[1].lease(), finish(passed()), at(4)).await.unwrap();
    assert!(f.queue.reacquire_user_slot(&lease, 2, at(5)).await.unwrap());
    let row = f.suites.run(space(1), claimed[0].id).await.unwrap().unwrap();
    assert_eq!((row.parked, row.waiting), (false, None));
}

pub async fn slot_is_reserved_for_parked_run(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |now| Claim { runs_per_user: 1, ..claim(9, now) };
    let lease = |run: &crate::rows::RunRow| run.lease();
    let first = lease(&f.queue.claim(few(T0)).await.unwrap()[0]);
    let parked = |what| RunChange {
        parked: Some(true),
        waiting: Some(Some(Waiting { what, until: None })),
        ..RunChange::default()
    };
    f.queue.commit(&first, parked(WaitReason::RateLimit), at(1)).await.unwrap();
    let second = lease(&f.queue.claim(few(at(2))).await.unwrap()[0]);
    assert!(!f.queue.reacquire_user_slot(&first, 1, at(3)).await.unwrap(), "no free slot");
    f.queue.commit(&first, parked(WaitReason::Slot), at(3)).await.unwrap();
    f.queue.commit(&second, finish(passed()), at(4)).await.unwrap();
    assert!(f.queue.claim(few(at(5))).await.unwrap().is_empty(), "the free slot is reserved");
    assert!(f.queue.reacquire_user_slot(&first, 1, at(5)).await.unwrap());
    f.queue.commit(&first, finish(passed()), at(6)).await.unwrap();
    assert_eq!(f.queue.claim(few(at(7))).await.unwrap().len(), 1);
}

pub async fn admission_limit_stops_new_runs(f: QueueFixture) {
    let model = |connection, name: &str| ModelRef {
        connection_id: ConnectionId(id(connection)),
        model: name.into(),
    };
    let suite_on = |n, owner, agent: ModelRef| {
        let model_snapshot = ModelSnapshot { agent, ..suite(n, owner, 1).model_snapshot };
        NewSuite { model_snapshot, ..suite(n, owner, 5) }
    };
    f.suites.create_suite(suite_on(1, 1, model(7, "m"))).await.unwrap();
    f.suites.create_suite(suite_on(2, 2, model(7, "m"))).await.unwrap();
    f.suites.create_suite(suite_on(3, 1, model(8, "m"))).await.unwrap();
    let limit = |user_id, model: Option<&str>, max_running| AdmissionLimit {
        user_id,
        connection_id: ConnectionId(id(7)),
        model: model.map(str::to_owned),
        max_running,
    };
    let limited = |admission_limits, now| Claim { admission_limits, ..claim(99, now) };
    // An open circuit of user 1, and a limit of another model.
    let limits = vec![limit(Some(user(1)), None, 0), limit(None, Some("another"), 0)];
    let claimed = f.queue.claim(limited(limits.clone(), T0)).await.unwrap();
    let mut suites: Vec<_> = claimed.iter().map(|run| run.suite_id).collect();
    suites.sort();
    suites.dedup();
    assert_eq!((claimed.len(), suites), (6, vec![SuiteId(id(2)), SuiteId(id(3))]));
    assert!(f.queue.claim(limited(limits, at(1))).await.unwrap().is_empty());
    // Half-open: one run starts, and only one.
    let probe = vec![limit(Some(user(1)), None, 1)];
    let one = f.queue.claim(limited(probe.clone(), at(2))).await.unwrap();
    assert_eq!((one.len(), one[0].suite_id), (1, SuiteId(id(1))));
    assert!(f.queue.claim(limited(probe, at(3))).await.unwrap().is_empty());
    // Limits do not apply to orphaned runs.
    f.queue.release(&one[0].lease(), at(4)).await.unwrap();
    let reclaimed = f.queue.claim(limited(vec![limit(None, None, 0)], at(5))).await.unwrap();
    assert_eq!(reclaimed.iter().map(|run| run.id).collect::<Vec<_>>(), [one[0].id]);
    assert_eq!(f.queue.claim(claim(99, at(6))).await.unwrap().len(), 2, "closed: all three slots");
}

pub async fn circuit_time_accumulates(f: QueueFixture) {
    let run = f.leased_run().await;
    let lease = run.lease();
    let waited = RunChange {
        waited: Duration::from_secs(30),
        waited_for_circuit: Duration::from_secs(20),
        ..RunChange::default()
    };
    f.queue.commit(&lease, waited.clone(), at(1)).await.unwrap();
    f.queue.commit(&lease, waited, at(2)).await.unwrap();
    f.queue.release(&lease, at(3)).await.unwrap();
    let reclaimed = f.claim_run(at(4)).await;
    assert_eq!((reclaimed.waited_ms, reclaimed.circuit_ms), (60_000, 40_000));
}
