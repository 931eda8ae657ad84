//! When a circuit opens, how it is tried again, and when it closes.

use super::{T0, at, error, failure, forbidden, open, throttled, unauthorized};
use crate::outbound::breaker::{Circuit, Heard, Outcome, Ticket};
use llm_types::{CallError, Decision};
use domain::{BreakerState, ErrorKind};
use std::time::Duration;

#[test]
fn five_failures_in_a_row_open_it_and_it_says_why() {
    let mut circuit = open();
    let view = circuit.view(T0);
    assert_eq!((view.state, view.until), (BreakerState::Open, Some(at(15))));
    let why = "5 calls in a row failed: The provider failed (503).";
    assert_eq!(view.reason.as_deref(), Some(why));
    assert_eq!(circuit.ask("m", false, at(14)), Heard::Wait(Some(at(15))));
    assert_eq!(circuit.state(at(15)), BreakerState::HalfOpen, "somebody may try");
}

#[test]
fn half_of_eight_within_a_minute_open_it() {
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
fn one_call_probes_and_two_successes_close() {
    let mut circuit = open();
    let probe = circuit.go(at(15));
    assert_eq!(circuit.ask("m", false, at(15)), Heard::Wait(None), "one at a time");
    circuit.ended(&probe, Outcome::Success, at(16));
    assert_eq!(circuit.state(at(16)), BreakerState::HalfOpen);
    let second = circuit.go(at(16));
    assert_eq!(circuit.ask("m", false, at(16)), Heard::Wait(None));
    circuit.ended(&second, Outcome::Success, at(17));
    assert_eq!(circuit.view(at(17)), domain::Breaker::default());
    let both = (circuit.go(at(17)), circuit.go(at(17)));
    assert_eq!(both.0, both.1);
}

#[test]
fn each_probe_that_fails_doubles_the_time_up_to_two_minutes() {
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
    assert_eq!(circuit.view(now).until, Some(now.plus(Duration::from_secs(15))), "from the start");
}

#[test]
fn a_probe_that_is_dropped_or_says_nothing_lets_the_next_one_probe() {
    let rejected = error(Decision::GiveUp(ErrorKind::ProviderRejected), Some(400));
    let limited = throttled(false);
    for outcome in [Outcome::GivenBack, Outcome::Error(&rejected), Outcome::Error(&limited)] {
        let mut circuit = open();
        let probe = circuit.go(at(15));
        circuit.ended(&probe, outcome, at(16));
        assert_eq!(circuit.state(at(16)), BreakerState::HalfOpen);
        circuit.go(at(16));
        assert_eq!(circuit.ask("m", false, at(16)), Heard::Wait(None));
    }
}

#[test]
fn stragglers_of_another_state_say_nothing() {
    let mut circuit = Circuit::default();
    let late: Vec<Ticket> = (0..3).map(|_| circuit.go(T0)).collect();
    (0..5).for_each(|_| circuit.fails(T0));
    circuit.ended(&late[0], Outcome::Success, at(1));
    assert_eq!(circuit.state(at(1)), BreakerState::Open, "a success from before closes nothing");
    let probe = circuit.go(at(15));
    circuit.ended(&late[1], Outcome::Error(&failure()), at(16));
    assert_eq!(circuit.state(at(16)), BreakerState::HalfOpen, "only the probe's failure counts");
    circuit.ended(&late[2], Outcome::GivenBack, at(16));
    assert_eq!(circuit.ask("m", false, at(16)), Heard::Wait(None), "nor is its place given away");
    circuit.ended(&probe, Outcome::Error(&failure()), at(17));
    assert_eq!(circuit.state(at(17)), BreakerState::Open);
}

#[test]
fn rate_limits_never_open_it_and_overload_only_when_nothing_else_is_heard() {
    let mut circuit = Circuit::default();
    for n in 0..50 {
        let ticket = circuit.go(at(n));
        circuit.ended(&ticket, Outcome::Error(&throttled(false)), at(n));
    }
    let overloaded = |circuit: &mut Circuit, now| {
        let ticket = circuit.go(now);
        circuit.ended(&ticket, Outcome::Error(&throttled(true)), now);
    };
    circuit.succeeds(at(50));
    (51..110).for_each(|n| overloaded(&mut circuit, at(n)));
    assert_eq!(circuit.state(at(110)), BreakerState::Closed);
    (110..115).for_each(|n| overloaded(&mut circuit, at(n)));
    assert_eq!(circuit.state(at(115)), BreakerState::Open, "for 60 s nothing has succeeded");
    let mut fresh = Circuit::default();
    (0..59).for_each(|n| overloaded(&mut fresh, at(n)));
    assert_eq!(fresh.state(at(59)), BreakerState::Closed, "the first call was 59 s ago");
}

#[test]
fn an_edit_forgets_everything_also_calls_that_are_out() {
    let late = |who: fn(&mut Circuit) -> Ticket, error: CallError| {
        let mut circuit = open();
        let ticket = who(&mut circuit);
        circuit.edited();
        assert_eq!(circuit.state(at(15)), BreakerState::Closed);
        circuit.ended(&ticket, Outcome::Error(&error), at(16));
        assert_eq!(circuit.view(at(16)), domain::Breaker::default(), "that was the old key");
    };
    let probe = |circuit: &mut Circuit| circuit.go(at(15));
    let own = |circuit: &mut Circuit| circuit.go_to("m", true, at(15));
    for error in [failure(), unauthorized(), forbidden()] {
        late(probe, error.clone());
        late(own, error);
    }
}
