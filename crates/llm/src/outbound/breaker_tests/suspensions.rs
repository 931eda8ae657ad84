//! Suspensions of connections and of single models.

use super::{T0, at, error, failure, forbidden, open, unauthorized};
use crate::outbound::breaker::{Acquire, Circuit, Outcome};
use domain::{BreakerState, ErrorKind};
use llm_types::{CallError, Decision};
use rstest::rstest;

#[rstest]
#[case(unauthorized(), ErrorKind::CredentialInvalid)]
#[case(error(Decision::GiveUp(ErrorKind::QuotaExhausted), Some(402)), ErrorKind::QuotaExhausted)]
fn suspension_rejects_until_probe_every_five_minutes(
    #[case] error: CallError,
    #[case] kind: ErrorKind,
) {
    let mut circuit = Circuit::default();
    let ticket = circuit.next_ticket(T0);
    circuit.record(&ticket, Outcome::Error(&error), T0);
    let view = circuit.view(T0);
    assert_eq!((view.state, view.until), (BreakerState::Suspended, Some(at(300))));
    let (refused, sentence) = circuit.refusal("another", at(299)).unwrap();
    assert_eq!(refused, kind);
    assert!(sentence.starts_with("The provider failed (503). Since then,"), "{sentence}");
    // While the probe is in flight, other calls are rejected.
    let probe = circuit.next_ticket(at(300));
    assert_eq!(circuit.refusal("m", at(301)).map(|(kind, _)| kind), Some(kind));
    circuit.record(&probe, Outcome::Cancelled, at(302));
    let probe = circuit.next_ticket(at(302));
    circuit.record(&probe, Outcome::Error(&failure()), at(303));
    assert_eq!(circuit.view(at(303)).until, Some(at(603)), "another five minutes");
    circuit.succeeds(at(603));
    assert_eq!(circuit.state(at(603)), BreakerState::Closed);
}

#[test]
fn forbidden_model_is_suspended_alone() {
    let mut circuit = Circuit::default();
    let ticket = circuit.ticket_for("dear", false, T0);
    circuit.record(&ticket, Outcome::Error(&forbidden()), T0);
    assert_eq!(
        circuit.refusal("dear", at(1)).map(|(kind, _)| kind),
        Some(ErrorKind::ProviderRejected)
    );
    circuit.succeeds(at(1));
    let view = circuit.view(at(1));
    assert_eq!((view.state, view.until), (BreakerState::Suspended, Some(at(300))));
    assert!(view.reason.unwrap().starts_with("Only for one model: "));
    let probe = circuit.ticket_for("dear", false, at(300));
    assert!(circuit.refusal("dear", at(300)).is_some(), "one probe at a time");
    circuit.record(&probe, Outcome::Error(&forbidden()), at(301));
    assert!(circuit.refusal("dear", at(600)).is_some());
    let probe = circuit.ticket_for("dear", false, at(601));
    circuit.record(&probe, Outcome::Success, at(602));
    assert_eq!(circuit.state(at(602)), BreakerState::Closed);
}

#[test]
fn model_suspensions_are_bounded() {
    let mut circuit = Circuit::default();
    for n in 0..200 {
        let ticket = circuit.ticket_for(&format!("m-{n}"), false, at(n));
        circuit.record(&ticket, Outcome::Error(&forbidden()), at(n));
    }
    let mut suspended = |n: u64| circuit.refusal(&format!("m-{n}"), at(200)).is_some();
    assert_eq!((0..200).filter(|n| suspended(*n)).collect::<Vec<_>>(), Vec::from_iter(136..200));
}

#[test]
fn saving_ends_suspensions_but_not_outages() {
    let mut circuit = Circuit::default();
    let ticket = circuit.next_ticket(T0);
    circuit.record(&ticket, Outcome::Error(&unauthorized()), T0);
    let dear = circuit.ticket_for("dear", true, at(1));
    let late = circuit.next_ticket(at(300));
    circuit.record(&dear, Outcome::Error(&unauthorized()), at(300));
    circuit.clear_suspensions();
    assert_eq!(circuit.state(at(301)), BreakerState::Closed);
    circuit.record(&late, Outcome::Error(&unauthorized()), at(302));
    assert_eq!(circuit.state(at(302)), BreakerState::Closed, "an outcome of the earlier state");
    let ticket = circuit.ticket_for("dear", false, at(303));
    circuit.record(&ticket, Outcome::Error(&forbidden()), at(303));
    assert!(circuit.refusal("dear", at(304)).is_some());
    circuit.clear_suspensions();
    assert_eq!(circuit.refusal("dear", at(304)), None, "model suspensions end too");

    let mut circuit = open();
    circuit.clear_suspensions();
    assert_eq!(circuit.state(at(14)), BreakerState::Open);
    let probe = circuit.next_ticket(at(15));
    circuit.clear_suspensions();
    assert_eq!(circuit.acquire("m", false, at(16)), Acquire::Wait(None), "one probe is in flight");
    circuit.record(&probe, Outcome::Success, at(17));
    assert_eq!(circuit.state(at(17)), BreakerState::HalfOpen);
}
