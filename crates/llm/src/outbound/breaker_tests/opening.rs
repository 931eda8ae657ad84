//! Opening, probing and closing a circuit.

use super::{T0, at, error, failure, forbidden, open, throttled, unauthorized};
use crate::outbound::breaker::{Acquire, Circuit, Outcome, Ticket};
use domain::{BreakerState, ErrorKind};
use llm_types::{CallError, Decision};
use std::time::Duration;

#[test]
fn five_consecutive_failures_open_circuit_with_reason() {
    let mut circuit = open();
    let view = circuit.view(T0);
    assert_eq!((view.state, view.until), (BreakerState::Open, Some(at(15))));
    let why = "5 calls in a row failed: The provider failed (503).";
    assert_eq!(view.reason.as_deref(), Some(why));
    assert_eq!(circuit.acquire("m", false, at(14)), Acquire::Wait(Some(at(15))));
    assert_eq!(circuit.state(at(15)), BreakerState::HalfOpen, "the next call may probe");
}

#[test]
fn failure_rate_of_half_opens_circuit() {
    let mut circuit = Circuit::default();
    for n in 0..4 {
        circuit.fails(at(n * 2));
        assert_eq!(circuit.state(at(n * 2)), BreakerState::Closed);
        circuit.succeeds(at(n * 2 + 1));
    }
    circuit.fails(at(8));
    let why = circuit.view(at(8)).reason.unwrap();
    assert!(why.starts_with("5 of 9 calls within a minute failed: "), "{why}");
}

#[test]
fn two_successful_probes_close_circuit() {
    let mut circuit = open();
    let probe = circuit.next_ticket(at(15));
    assert_eq!(circuit.acquire("m", false, at(15)), Acquire::Wait(None), "one probe at a time");
    circuit.record(&probe, Outcome::Success, at(16));
    assert_eq!(circuit.state(at(16)), BreakerState::HalfOpen);
    let second = circuit.next_ticket(at(16));
    assert_eq!(circuit.acquire("m", false, at(16)), Acquire::Wait(None));
    circuit.record(&second, Outcome::Success, at(17));
    assert_eq!(circuit.view(at(17)), domain::Breaker::default());
    let both = (circuit.next_ticket(at(17)), circuit.next_ticket(at(17)));
    assert_eq!(both.0, both.1);
}

#[test]
fn failed_probe_doubles_open_time_up_to_two_minutes() {
    let (mut circuit, mut now) = (open(), T0);
    for seconds in [15, 30, 60, 120, 120, 120] {
        let until = now.plus(Duration::from_secs(seconds));
        assert_eq!(circuit.view(now).until, Some(until), "{seconds}");
        now = until;
        circuit.fails(now);
    }
    now = circuit.view(now).until.unwrap();
    circuit.succeeds(now);
    circuit.succeeds(now);
    (0..5).for_each(|_| circuit.fails(now));
    assert_eq!(
        circuit.view(now).until,
        Some(now.plus(Duration::from_secs(15))),
        "the open time starts over"
    );
}

#[test]
fn cancelled_or_neutral_probe_allows_next_probe() {
    let rejected = error(Decision::GiveUp(ErrorKind::ProviderRejected), Some(400));
    let limited = throttled(false);
    for outcome in [Outcome::Cancelled, Outcome::Error(&rejected), Outcome::Error(&limited)] {
        let mut circuit = open();
        let probe = circuit.next_ticket(at(15));
        circuit.record(&probe, outcome, at(16));
        assert_eq!(circuit.state(at(16)), BreakerState::HalfOpen);
        circuit.next_ticket(at(16));
        assert_eq!(circuit.acquire("m", false, at(16)), Acquire::Wait(None));
    }
}

#[test]
fn outcomes_of_earlier_states_are_ignored() {
    let mut circuit = Circuit::default();
    let late: Vec<Ticket> = (0..3).map(|_| circuit.next_ticket(T0)).collect();
    (0..5).for_each(|_| circuit.fails(T0));
    circuit.record(&late[0], Outcome::Success, at(1));
    assert_eq!(circuit.state(at(1)), BreakerState::Open, "an earlier success does not close");
    let probe = circuit.next_ticket(at(15));
    circuit.record(&late[1], Outcome::Error(&failure()), at(16));
    assert_eq!(circuit.state(at(16)), BreakerState::HalfOpen, "only the probe's failure counts");
    circuit.record(&late[2], Outcome::Cancelled, at(16));
    assert_eq!(
        circuit.acquire("m", false, at(16)),
        Acquire::Wait(None),
        "the probe stays in flight"
    );
    circuit.record(&probe, Outcome::Error(&failure()), at(17));
    assert_eq!(circuit.state(at(17)), BreakerState::Open);
}

#[test]
fn rate_limits_never_open_circuit_and_overload_only_without_successes() {
    let mut circuit = Circuit::default();
    for n in 0..50 {
        let ticket = circuit.next_ticket(at(n));
        circuit.record(&ticket, Outcome::Error(&throttled(false)), at(n));
    }
    let overloaded = |circuit: &mut Circuit, now| {
        let ticket = circuit.next_ticket(now);
        circuit.record(&ticket, Outcome::Error(&throttled(true)), now);
    };
    circuit.succeeds(at(50));
    (51..110).for_each(|n| overloaded(&mut circuit, at(n)));
    assert_eq!(circuit.state(at(110)), BreakerState::Closed);
    (110..115).for_each(|n| overloaded(&mut circuit, at(n)));
    assert_eq!(circuit.state(at(115)), BreakerState::Open, "no success for 60 s");
    let mut fresh = Circuit::default();
    (0..59).for_each(|n| overloaded(&mut fresh, at(n)));
    assert_eq!(fresh.state(at(59)), BreakerState::Closed, "the first call was 59 s ago");
}

#[test]
fn edit_resets_circuit_and_ignores_calls_in_flight() {
    let late = |who: fn(&mut Circuit) -> Ticket, error: CallError| {
        let mut circuit = open();
        let ticket = who(&mut circuit);
        circuit.reset();
        assert_eq!(circuit.state(at(15)), BreakerState::Closed);
        circuit.record(&ticket, Outcome::Error(&error), at(16));
        assert_eq!(
            circuit.view(at(16)),
            domain::Breaker::default(),
            "the outcome of the old key is ignored"
        );
    };
    let probe = |circuit: &mut Circuit| circuit.next_ticket(at(15));
    let own = |circuit: &mut Circuit| circuit.ticket_for("m", true, at(15));
    for error in [failure(), unauthorized(), forbidden()] {
        late(probe, error.clone());
        late(own, error);
    }
}
