//! Latches of a whole connection and of one model.

use super::{T0, at, error, failure, forbidden, open, unauthorized};
use crate::outbound::breaker::{Circuit, Heard, Outcome};
use llm_types::{CallError, Decision};
use domain::{BreakerState, ErrorKind};
use rstest::rstest;

#[rstest]
#[case(unauthorized(), ErrorKind::CredentialInvalid)]
#[case(error(Decision::GiveUp(ErrorKind::QuotaExhausted), Some(402)), ErrorKind::QuotaExhausted)]
fn a_latch_refuses_at_once_until_a_probe_every_five_minutes(
    #[case] error: CallError,
    #[case] kind: ErrorKind,
) {
    let mut circuit = Circuit::default();
    let ticket = circuit.go(T0);
    circuit.ended(&ticket, Outcome::Error(&error), T0);
    let view = circuit.view(T0);
    assert_eq!((view.state, view.until), (BreakerState::Latched, Some(at(300))));
    let (refused, sentence) = circuit.refusal("another", at(299)).unwrap();
    assert_eq!(refused, kind);
    assert!(sentence.starts_with("The provider failed (503). Since then"), "{sentence}");
    // One probe; until it is back, the others are refused as before.
    let probe = circuit.go(at(300));
    assert_eq!(circuit.refusal("m", at(301)).map(|(kind, _)| kind), Some(kind));
    circuit.ended(&probe, Outcome::GivenBack, at(302));
    let probe = circuit.go(at(302));
    circuit.ended(&probe, Outcome::Error(&failure()), at(303));
    assert_eq!(circuit.view(at(303)).until, Some(at(603)), "five minutes more");
    circuit.succeeds(at(603));
    assert_eq!(circuit.state(at(603)), BreakerState::Closed);
}

#[test]
fn a_forbidden_model_is_latched_alone() {
    let mut circuit = Circuit::default();
    let ticket = circuit.go_to("dear", false, T0);
    circuit.ended(&ticket, Outcome::Error(&forbidden()), T0);
    assert_eq!(
        circuit.refusal("dear", at(1)).map(|(kind, _)| kind),
        Some(ErrorKind::ProviderRejected)
    );
    circuit.succeeds(at(1));
    let view = circuit.view(at(1));
    assert_eq!((view.state, view.until), (BreakerState::Latched, Some(at(300))));
    assert!(view.reason.unwrap().starts_with("Only for one model: "));
    let probe = circuit.go_to("dear", false, at(300));
    assert!(circuit.refusal("dear", at(300)).is_some(), "one at a time");
    circuit.ended(&probe, Outcome::Error(&forbidden()), at(301));
    assert!(circuit.refusal("dear", at(600)).is_some());
    let probe = circuit.go_to("dear", false, at(601));
    circuit.ended(&probe, Outcome::Success, at(602));
    assert_eq!(circuit.state(at(602)), BreakerState::Closed);
}

#[test]
fn latches_of_models_are_bounded_and_the_oldest_goes() {
    let mut circuit = Circuit::default();
    for n in 0..200 {
        let ticket = circuit.go_to(&format!("m-{n}"), false, at(n));
        circuit.ended(&ticket, Outcome::Error(&forbidden()), at(n));
    }
    let mut latched = |n: u64| circuit.refusal(&format!("m-{n}"), at(200)).is_some();
    assert_eq!((0..200).filter(|n| latched(*n)).collect::<Vec<_>>(), Vec::from_iter(136..200));
}

#[test]
fn saving_ends_every_latch_and_no_outage() {
    let mut circuit = Circuit::default();
    let ticket = circuit.go(T0);
    circuit.ended(&ticket, Outcome::Error(&unauthorized()), T0);
    let dear = circuit.go_to("dear", true, at(1));
    let late = circuit.go(at(300));
    circuit.ended(&dear, Outcome::Error(&unauthorized()), at(300));
    circuit.saved();
    assert_eq!(circuit.state(at(301)), BreakerState::Closed);
    circuit.ended(&late, Outcome::Error(&unauthorized()), at(302));
    assert_eq!(circuit.state(at(302)), BreakerState::Closed, "that was before");
    let ticket = circuit.go_to("dear", false, at(303));
    circuit.ended(&ticket, Outcome::Error(&forbidden()), at(303));
    assert!(circuit.refusal("dear", at(304)).is_some());
    circuit.saved();
    assert_eq!(circuit.refusal("dear", at(304)), None, "also that of one model");

    let mut circuit = open();
    circuit.saved();
    assert_eq!(circuit.state(at(14)), BreakerState::Open);
    let probe = circuit.go(at(15));
    circuit.saved();
    assert_eq!(circuit.ask("m", false, at(16)), Heard::Wait(None), "one is out still");
    circuit.ended(&probe, Outcome::Success, at(17));
    assert_eq!(circuit.state(at(17)), BreakerState::HalfOpen);
}
