//! Which runs are claimed next, and which have to wait.

use super::{Bench, T0, at, claim, finish, id, memory, passed, space, sqlite, suite, user};
use crate::store::contract::told_to_both;
use crate::store::pick::Hold;
use crate::store::queue::Claim;
use crate::store::rows::{Frozen, ModelRef};
use crate::store::suites::NewSuite;
use crate::store::transition::{Change, Lease};
use app::domain::{ConnectionId, SuiteId, Waiting, WaitingOn};
use std::time::Duration;

told_to_both! {
    concurrency_holds_per_suite_and_per_user,
    users_take_turns,
    begun_runs_go_before_new_ones,
    parked_runs_keep_the_suite_place_and_free_the_users,
    a_place_that_is_wanted_back_is_kept,
    nothing_begins_where_its_first_call_would_wait,
    time_behind_circuits_adds_up,
}

async fn concurrency_holds_per_suite_and_per_user(b: Bench) {
    for n in 1..=4 {
        b.suites.create_suite(suite(n, 1, 5)).await.unwrap();
    }
    let claimed = b.queue.claim(claim(100, T0)).await.unwrap();
    assert_eq!(claimed.len(), 8, "8 a user");
    for n in 1..=4 {
        let of = claimed.iter().filter(|run| run.suite_id == SuiteId(id(n))).count();
        assert!(of <= 3, "3 a suite, not {of}");
    }
    assert!(b.queue.claim(claim(100, T0)).await.unwrap().is_empty());
    let first = &claimed[0];
    let lease = Lease { run_id: first.id, attempt: first.attempt };
    b.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert_eq!(b.queue.claim(claim(100, at(1))).await.unwrap().len(), 1, "one out, one in");
}

async fn users_take_turns(b: Bench) {
    b.suites.create_suite(NewSuite { concurrency: 64, ..suite(1, 1, 50) }).await.unwrap();
    let late = NewSuite { at: at(5), ..suite(2, 2, 1) };
    b.suites.create_suite(late).await.unwrap();
    let claimed = b.queue.claim(claim(2, at(6))).await.unwrap();
    let owners: Vec<_> = claimed.iter().map(|run| run.user_id).collect();
    assert!(owners.contains(&user(2)), "a single run of another is next, not 51st");
}

async fn begun_runs_go_before_new_ones(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let first = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: first.id, attempt: first.attempt };
    b.queue.hand_back(&lease, at(1)).await.unwrap();
    let again = b.queue.claim(claim(1, at(2))).await.unwrap().remove(0);
    assert_eq!(again.id, first.id);
    assert_eq!(again.deadline_at, first.deadline_at, "never moved");
}

async fn parked_runs_keep_the_suite_place_and_free_the_users(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |most, now| Claim { runs_per_user: 2, ..claim(most, now) };
    let held = b.queue.claim(few(9, T0)).await.unwrap();
    assert_eq!(held.len(), 2);
    let lease = Lease { run_id: held[0].id, attempt: held[0].attempt };
    let waiting = Waiting { what: WaitingOn::RateLimit, until: Some(at(60)) };
    let park = Change { parked: Some(true), waiting: Some(Some(waiting)), ..Change::default() };
    let row = b.queue.commit(&lease, park, at(1)).await.unwrap();
    assert_eq!(row.view().waiting_on, Some(waiting));
    assert_eq!(b.queue.claim(few(9, at(2))).await.unwrap().len(), 1, "the user's slot is free");
    assert!(
        b.queue.claim(few(9, at(2))).await.unwrap().is_empty(),
        "the suite's third place is taken"
    );
    assert!(!b.queue.unpark(&lease, 2, at(3)).await.unwrap(), "no slot yet");
    let other = Lease { run_id: held[1].id, attempt: held[1].attempt };
    b.queue.commit(&other, finish(passed()), at(4)).await.unwrap();
    assert!(b.queue.unpark(&lease, 2, at(5)).await.unwrap());
    let row = b.suites.run(space(1), held[0].id).await.unwrap().unwrap();
    assert_eq!((row.parked, row.waiting), (false, None));
}

async fn a_place_that_is_wanted_back_is_kept(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |now| Claim { runs_per_user: 1, ..claim(9, now) };
    let lease = |run: &crate::store::rows::RunRow| Lease { run_id: run.id, attempt: run.attempt };
    let first = lease(&b.queue.claim(few(T0)).await.unwrap()[0]);
    let parked = |what| Change {
        parked: Some(true),
        waiting: Some(Some(Waiting { what, until: None })),
        ..Change::default()
    };
    b.queue.commit(&first, parked(WaitingOn::RateLimit), at(1)).await.unwrap();
    let second = lease(&b.queue.claim(few(at(2))).await.unwrap()[0]);
    assert!(!b.queue.unpark(&first, 1, at(3)).await.unwrap(), "no slot yet");
    b.queue.commit(&first, parked(WaitingOn::Slot), at(3)).await.unwrap();
    b.queue.commit(&second, finish(passed()), at(4)).await.unwrap();
    assert!(b.queue.claim(few(at(5))).await.unwrap().is_empty(), "begun runs go before new ones");
    assert!(b.queue.unpark(&first, 1, at(5)).await.unwrap());
    b.queue.commit(&first, finish(passed()), at(6)).await.unwrap();
    assert_eq!(b.queue.claim(few(at(7))).await.unwrap().len(), 1);
}

async fn nothing_begins_where_its_first_call_would_wait(b: Bench) {
    let model = |connection, name: &str| ModelRef {
        connection_id: ConnectionId(id(connection)),
        model: name.into(),
    };
    let on = |n, owner, agent: ModelRef| {
        let frozen = Frozen { agent, ..suite(n, owner, 1).frozen };
        NewSuite { frozen, ..suite(n, owner, 5) }
    };
    b.suites.create_suite(on(1, 1, model(7, "m"))).await.unwrap();
    b.suites.create_suite(on(2, 2, model(7, "m"))).await.unwrap();
    b.suites.create_suite(on(3, 1, model(8, "m"))).await.unwrap();
    let hold = |user_id, model: Option<&str>, begun| Hold {
        user_id,
        connection_id: ConnectionId(id(7)),
        model: model.map(str::to_owned),
        begun,
    };
    let held = |holds, now| Claim { holds, ..claim(99, now) };
    // A circuit of user 1, and a limit of another model.
    let holds = vec![hold(Some(user(1)), None, 0), hold(None, Some("another"), 0)];
    let claimed = b.queue.claim(held(holds.clone(), T0)).await.unwrap();
    let mut suites: Vec<_> = claimed.iter().map(|run| run.suite_id).collect();
    suites.sort();
    suites.dedup();
    assert_eq!((claimed.len(), suites), (6, vec![SuiteId(id(2)), SuiteId(id(3))]));
    assert!(b.queue.claim(held(holds, at(1))).await.unwrap().is_empty());
    // Its time is over: one begins, and only one.
    let probe = vec![hold(Some(user(1)), None, 1)];
    let one = b.queue.claim(held(probe.clone(), at(2))).await.unwrap();
    assert_eq!((one.len(), one[0].suite_id), (1, SuiteId(id(1))));
    assert!(b.queue.claim(held(probe, at(3))).await.unwrap().is_empty());
    // What has begun is taken up all the same.
    let lease = Lease { run_id: one[0].id, attempt: one[0].attempt };
    b.queue.hand_back(&lease, at(4)).await.unwrap();
    let again = b.queue.claim(held(vec![hold(None, None, 0)], at(5))).await.unwrap();
    assert_eq!(again.iter().map(|run| run.id).collect::<Vec<_>>(), [one[0].id]);
    assert_eq!(b.queue.claim(claim(99, at(6))).await.unwrap().len(), 2, "closed: three at once");
}

async fn time_behind_circuits_adds_up(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let waited = Change {
        parked_time: Duration::from_secs(30),
        circuit_time: Duration::from_secs(20),
        ..Change::default()
    };
    b.queue.commit(&lease, waited.clone(), at(1)).await.unwrap();
    b.queue.commit(&lease, waited, at(2)).await.unwrap();
    b.queue.hand_back(&lease, at(3)).await.unwrap();
    let again = b.queue.claim(claim(1, at(4))).await.unwrap().remove(0);
    assert_eq!((again.parked_ms, again.circuit_ms), (60_000, 40_000));
}
