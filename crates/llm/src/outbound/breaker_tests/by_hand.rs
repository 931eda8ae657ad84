//! What a person's own try does, and what it leaves alone.

use super::{T0, at, failure, forbidden, open, throttled, unauthorized};
use crate::outbound::breaker::{Circuit, Heard, Outcome};
use llm_types::CallError;
use domain::BreakerState;

#[test]
fn a_person_who_may_not_use_a_model_latches_nothing() {
    let mut circuit = Circuit::default();
    for n in 0..1000 {
        let own = circuit.go_to(&format!("guess-{n}"), true, T0);
        circuit.ended(&own, Outcome::Error(&forbidden()), T0);
    }
    assert!(circuit.is_plain());
    assert_eq!(circuit.view(T0), domain::Breaker::default());
    assert_eq!(circuit.refusal("guess-1", T0), None);
}

#[test]
fn a_person_who_shows_a_models_latch_again_lets_no_second_probe_go() {
    let mut circuit = Circuit::default();
    let ticket = circuit.go_to("dear", false, T0);
    circuit.ended(&ticket, Outcome::Error(&forbidden()), T0);
    let _probe = circuit.go_to("dear", false, at(300));
    let own = circuit.go_to("dear", true, at(301));
    circuit.ended(&own, Outcome::Error(&forbidden()), at(302));
    assert!(circuit.refusal("dear", at(700)).is_some(), "one is out still");
}

#[test]
fn a_persons_success_ends_latches_and_closes_and_their_failure_changes_nothing() {
    let latched = |error: CallError| {
        let mut circuit = Circuit::default();
        let ticket = circuit.go(T0);
        circuit.ended(&ticket, Outcome::Error(&error), T0);
        circuit
    };
    for mut circuit in [open(), latched(unauthorized()), latched(forbidden())] {
        let before = circuit.view(at(1));
        for error in [failure(), throttled(true), throttled(false)] {
            let own = circuit.go_to("m", true, at(1));
            circuit.ended(&own, Outcome::Error(&error), at(1));
            assert_eq!(circuit.view(at(1)), before, "{error:?}");
        }
        let own = circuit.go_to("m", true, at(1));
        circuit.ended(&own, Outcome::Success, at(2));
        assert_eq!(circuit.state(at(2)), BreakerState::Closed);
        circuit.go(at(2));
    }
    let mut closed = Circuit::default();
    for _ in 0..20 {
        let own = closed.go_to("m", true, T0);
        closed.ended(&own, Outcome::Error(&failure()), T0);
    }
    assert_eq!(closed.state(T0), BreakerState::Closed);
    let own = closed.go_to("m", true, T0);
    closed.ended(&own, Outcome::Error(&unauthorized()), T0);
    assert_eq!(closed.state(T0), BreakerState::Latched, "that is what its answer says");
}

#[test]
fn a_persons_success_with_one_model_lets_the_others_try() {
    let mut circuit = Circuit::default();
    let ticket = circuit.go_to("dear", false, T0);
    circuit.ended(&ticket, Outcome::Error(&forbidden()), T0);
    let own = circuit.go_to("m", true, at(1));
    circuit.ended(&own, Outcome::Success, at(1));
    let probe = circuit.go_to("dear", false, at(1));
    circuit.ended(&probe, Outcome::Success, at(2));
    assert_eq!(circuit.state(at(2)), BreakerState::Closed);
}

#[test]
fn a_person_who_fails_beside_a_probe_lets_no_second_one_go() {
    let mut circuit = Circuit::default();
    let ticket = circuit.go(T0);
    circuit.ended(&ticket, Outcome::Error(&unauthorized()), T0);
    let probe = circuit.go(at(300));
    let own = circuit.go_to("m", true, at(301));
    circuit.ended(&own, Outcome::Error(&unauthorized()), at(302));
    assert!(matches!(circuit.ask("m", false, at(700)), Heard::No(_)), "one is out still");
    circuit.ended(&probe, Outcome::Success, at(701));
    assert_eq!(circuit.state(at(701)), BreakerState::Closed);
}
