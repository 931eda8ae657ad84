//! Which runs are claimed next, and which have to wait.

use super::{QueueFixture, T0, at, claim, finish, id, passed, space, suite, user};
use crate::pick::Hold;
use crate::queue::Claim;
use crate::rows::{Frozen, ModelRef};
use crate::suites::NewSuite;
use crate::transition::{Change, Lease};
use domain::{ConnectionId, SuiteId, Waiting, WaitingOn};
use std::time::Duration;

pub async fn concurrency_holds_per_suite_and_per_user(f: QueueFixture) {
    for n in 1..=4 {
        f.suites.create_suite(suite(n, 1, 5)).await.unwrap();
    }
    let claimed = f.queue.claim(claim(100, T0)).await.unwrap();
    assert_eq!(claimed.len(), 8, "8 a user");
    for n in 1..=4 {
        let of = claimed.iter().filter(|run| run.suite_id == SuiteId(id(n))).count();
        assert!(of <= 3, "3 a suite, not {of}");
    }
    assert!(f.queue.claim(claim(100, T0)).await.unwrap().is_empty());
    let first = &claimed[0];
    let lease = Lease { run_id: first.id, attempt: first.attempt };
    f.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert_eq!(f.queue.claim(claim(100, at(1))).await.unwrap().len(), 1, "one out, one in");
}

pub async fn users_take_turns(f: QueueFixture) {
    f.suites.create_suite(NewSuite { concurrency: 64, ..suite(1, 1, 50) }).await.unwrap();
    let late = NewSuite { at: at(5), ..suite(2, 2, 1) };
    f.suites.create_suite(late).await.unwrap();
    let claimed = f.queue.claim(claim(2, at(6))).await.unwrap();
    let owners: Vec<_> = claimed.iter().map(|run| run.user_id).collect();
    assert!(owners.contains(&user(2)), "a single run of another is next, not 51st");
}

pub async fn begun_runs_go_before_new_ones(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let first = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: first.id, attempt: first.attempt };
    f.queue.hand_back(&lease, at(1)).await.unwrap();
    let again = f.queue.claim(claim(1, at(2))).await.unwrap().remove(0);
    assert_eq!(again.id, first.id);
    assert_eq!(again.deadline_at, first.deadline_at, "never moved");
}

pub async fn parked_runs_keep_the_suite_place_and_free_the_users(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |most, now| Claim { runs_per_user: 2, ..claim(most, now) };
    let held = f.queue.claim(few(9, T0)).await.unwrap();
    assert_eq!(held.len(), 2);
    let lease = Lease { run_id: held[0].id, attempt: held[0].attempt };
    let waiting = Waiting { what: WaitingOn::RateLimit, until: Some(at(60)) };
    let park = Change { parked: Some(true), waiting: Some(Some(waiting)), ..Change::default() };
    let row = f.queue.commit(&lease, park, at(1)).await.unwrap();
    assert_eq!(row.view().waiting_on, Some(waiting));
    assert_eq!(f.queue.claim(few(9, at(2))).await.unwrap().len(), 1, "the user's slot is free");
    assert!(
        f.queue.claim(few(9, at(2))).await.unwrap().is_empty(),
        "the suite's third place is taken"
    );
    assert!(!f.queue.unpark(&lease, 2, at(3)).await.unwrap(), "no slot yet");
    let other = Lease { run_id: held[1].id, attempt: held[1].attempt };
    f.queue.commit(&other, finish(passed()), at(4)).await.unwrap();
    assert!(f.queue.unpark(&lease, 2, at(5)).await.unwrap());
    let row = f.suites.run(space(1), held[0].id).await.unwrap().unwrap();
    assert_eq!((row.parked, row.waiting), (false, None));
}

pub async fn a_place_that_is_wanted_back_is_kept(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |now| Claim { runs_per_user: 1, ..claim(9, now) };
    let lease = |run: &crate::rows::RunRow| Lease { run_id: run.id, attempt: run.attempt };
    let first = lease(&f.queue.claim(few(T0)).await.unwrap()[0]);
    let parked = |what| Change {
        parked: Some(true),
        waiting: Some(Some(Waiting { what, until: None })),
        ..Change::default()
    };
    f.queue.commit(&first, parked(WaitingOn::RateLimit), at(1)).await.unwrap();
    let second = lease(&f.queue.claim(few(at(2))).await.unwrap()[0]);
    assert!(!f.queue.unpark(&first, 1, at(3)).await.unwrap(), "no slot yet");
    f.queue.commit(&first, parked(WaitingOn::Slot), at(3)).await.unwrap();
    f.queue.commit(&second, finish(passed()), at(4)).await.unwrap();
    assert!(f.queue.claim(few(at(5))).await.unwrap().is_empty(), "begun runs go before new ones");
    assert!(f.queue.unpark(&first, 1, at(5)).await.unwrap());
    f.queue.commit(&first, finish(passed()), at(6)).await.unwrap();
    assert_eq!(f.queue.claim(few(at(7))).await.unwrap().len(), 1);
}

pub async fn nothing_begins_where_its_first_call_would_wait(f: QueueFixture) {
    let model = |connection, name: &str| ModelRef {
        connection_id: ConnectionId(id(connection)),
        model: name.into(),
    };
    let on = |n, owner, agent: ModelRef| {
        let frozen = Frozen { agent, ..suite(n, owner, 1).frozen };
        NewSuite { frozen, ..suite(n, owner, 5) }
    };
    f.suites.create_suite(on(1, 1, model(7, "m"))).await.unwrap();
    f.suites.create_suite(on(2, 2, model(7, "m"))).await.unwrap();
    f.suites.create_suite(on(3, 1, model(8, "m"))).await.unwrap();
    let hold = |user_id, model: Option<&str>, begun| Hold {
        user_id,
        connection_id: ConnectionId(id(7)),
        model: model.map(str::to_owned),
        begun,
    };
    let held = |holds, now| Claim { holds, ..claim(99, now) };
    // A circuit of user 1, and a limit of another model.
    let holds = vec![hold(Some(user(1)), None, 0), hold(None, Some("another"), 0)];
    let claimed = f.queue.claim(held(holds.clone(), T0)).await.unwrap();
    let mut suites: Vec<_> = claimed.iter().map(|run| run.suite_id).collect();
    suites.sort();
    suites.dedup();
    assert_eq!((claimed.len(), suites), (6, vec![SuiteId(id(2)), SuiteId(id(3))]));
    assert!(f.queue.claim(held(holds, at(1))).await.unwrap().is_empty());
    // Its time is over: one begins, and only one.
    let probe = vec![hold(Some(user(1)), None, 1)];
    let one = f.queue.claim(held(probe.clone(), at(2))).await.unwrap();
    assert_eq!((one.len(), one[0].suite_id), (1, SuiteId(id(1))));
    assert!(f.queue.claim(held(probe, at(3))).await.unwrap().is_empty());
    // What has begun is taken up all the same.
    let lease = Lease { run_id: one[0].id, attempt: one[0].attempt };
    f.queue.hand_back(&lease, at(4)).await.unwrap();
    let again = f.queue.claim(held(vec![hold(None, None, 0)], at(5))).await.unwrap();
    assert_eq!(again.iter().map(|run| run.id).collect::<Vec<_>>(), [one[0].id]);
    assert_eq!(f.queue.claim(claim(99, at(6))).await.unwrap().len(), 2, "closed: three at once");
}

pub async fn time_behind_circuits_adds_up(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let waited = Change {
        parked_time: Duration::from_secs(30),
        circuit_time: Duration::from_secs(20),
        ..Change::default()
    };
    f.queue.commit(&lease, waited.clone(), at(1)).await.unwrap();
    f.queue.commit(&lease, waited, at(2)).await.unwrap();
    f.queue.hand_back(&lease, at(3)).await.unwrap();
    let again = f.queue.claim(claim(1, at(4))).await.unwrap().remove(0);
    assert_eq!((again.parked_ms, again.circuit_ms), (60_000, 40_000));
}
