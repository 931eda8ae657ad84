//! The effects of manual probes.

use super::{T0, at, failure, forbidden, open, throttled, unauthorized};
use crate::outbound::breaker::{Acquire, Circuit, Outcome};
use domain::BreakerState;
use llm_types::CallError;

#[test]
fn manual_probe_does_not_suspend_model() {
    let mut circuit = Circuit::default();
    for n in 0..1000 {
        let own = circuit.ticket_for(&format!("guess-{n}"), true, T0);
        circuit.record(&own, Outcome::Error(&forbidden()), T0);
    }
    assert!(circuit.is_initial());
    assert_eq!(circuit.view(T0), domain::Breaker::default());
    assert_eq!(circuit.refusal("guess-1", T0), None);
}

#[test]
fn manual_probe_renewing_model_suspension_allows_no_second_probe() {
    let mut circuit = Circuit::default();
    let ticket = circuit.ticket_for("dear", false, T0);
    circuit.record(&ticket, Outcome::Error(&forbidden()), T0);
    let _probe = circuit.ticket_for("dear", false, at(300));
    let own = circuit.ticket_for("dear", true, at(301));
    circuit.record(&own, Outcome::Error(&forbidden()), at(302));
    assert!(circuit.refusal("dear", at(700)).is_some(), "one probe is in flight");
}

#[test]
fn manual_probe_success_closes_circuit_and_failure_changes_nothing() {
    let suspended = |error: CallError| {
        let mut circuit = Circuit::default();
        let ticket = circuit.next_ticket(T0);
        circuit.record(&ticket, Outcome::Error(&error), T0);
        circuit
    };
    for mut circuit in [open(), suspended(unauthorized()), suspended(forbidden())] {
        let before = circuit.view(at(1));
        for error in [failure(), throttled(true), throttled(false)] {
            let own = circuit.ticket_for("m", true, at(1));
            circuit.record(&own, Outcome::Error(&error), at(1));
            assert_eq!(circuit.view(at(1)), before, "{error:?}");
        }
        let own = circuit.ticket_for("m", true, at(1));
        circuit.record(&own, Outcome::Success, at(2));
        assert_eq!(circuit.state(at(2)), BreakerState::Closed);
        circuit.next_ticket(at(2));
    }
    let mut closed = Circuit::default();
    for _ in 0..20 {
        let own = closed.ticket_for("m", true, T0);
        closed.record(&own, Outcome::Error(&failure()), T0);
    }
    assert_eq!(closed.state(T0), BreakerState::Closed);
    let own = closed.ticket_for("m", true, T0);
    closed.record(&own, Outcome::Error(&unauthorized()), T0);
    assert_eq!(closed.state(T0), BreakerState::Suspended, "the response says so");
}

#[test]
fn manual_probe_success_makes_other_models_probe() {
    let mut circuit = Circuit::default();
    let ticket = circuit.ticket_for("dear", false, T0);
    circuit.record(&ticket, Outcome::Error(&forbidden()), T0);
    let own = circuit.ticket_for("m", true, at(1));
    circuit.record(&own, Outcome::Success, at(1));
    let probe = circuit.ticket_for("dear", false, at(1));
    circuit.record(&probe, Outcome::Success, at(2));
    assert_eq!(circuit.state(at(2)), BreakerState::Closed);
}

#[test]
fn failed_manual_probe_allows_no_second_probe() {
    let mut circuit = Circuit::default();
    let ticket = circuit.next_ticket(T0);
    circuit.record(&ticket, Outcome::Error(&unauthorized()), T0);
    let probe = circuit.next_ticket(at(300));
    let own = circuit.ticket_for("m", true, at(301));
    circuit.record(&own, Outcome::Error(&unauthorized()), at(302));
    assert!(
        matches!(circuit.acquire("m", false, at(700)), Acquire::Rejected(_)),
        "one probe is in flight"
    );
    circuit.record(&probe, Outcome::Success, at(701));
    assert_eq!(circuit.state(at(701)), BreakerState::Closed);
}
