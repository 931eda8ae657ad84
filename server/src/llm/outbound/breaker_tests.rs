//! The circuit, by tables and by properties.

use super::breaker::{Circuit, Heard, Outcome, Ticket};
use crate::llm::types::{CallError, Decision};
use app::domain::{BreakerState, ErrorKind, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use std::time::Duration;

const T0: Timestamp = Timestamp(1_000_000);

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

fn error(decision: Decision, status: Option<u16>) -> CallError {
    CallError { status, ..CallError::new(decision, "The provider failed (503).") }
}

fn failure() -> CallError {
    error(Decision::Retry, Some(503))
}

fn unauthorized() -> CallError {
    error(Decision::GiveUp(ErrorKind::CredentialInvalid), Some(401))
}

fn forbidden() -> CallError {
    error(Decision::GiveUp(ErrorKind::ProviderRejected), Some(403))
}

fn throttled(overloaded: bool) -> CallError {
    error(Decision::Wait { until: None, overloaded }, None)
}

impl Circuit {
    fn go(&mut self, now: Timestamp) -> Ticket {
        self.go_to("m", false, now)
    }

    fn go_to(&mut self, model: &str, person: bool, now: Timestamp) -> Ticket {
        match self.ask(model, person, now) {
            Heard::Go(ticket) => ticket,
            other => panic!("it was to go, not {other:?}"),
        }
    }

    fn fails(&mut self, now: Timestamp) {
        let ticket = self.go(now);
        self.ended(&ticket, Outcome::Error(&failure()), now);
    }

    fn succeeds(&mut self, now: Timestamp) {
        let ticket = self.go(now);
        self.ended(&ticket, Outcome::Success, now);
    }

    fn refusal(&mut self, model: &str, now: Timestamp) -> Option<(ErrorKind, String)> {
        match self.ask(model, false, now) {
            Heard::No(error) => Some((error.kind(), error.message)),
            _ => None,
        }
    }

    fn state(&self, now: Timestamp) -> BreakerState {
        self.view(now).state
    }
}

/// A circuit that five failures opened at `T0`: until 15 s later.
fn open() -> Circuit {
    let mut circuit = Circuit::default();
    (0..5).for_each(|_| circuit.fails(T0));
    circuit
}

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
    assert_eq!(circuit.view(at(17)), app::domain::Breaker::default());
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
fn a_person_who_may_not_use_a_model_latches_nothing() {
    let mut circuit = Circuit::default();
    for n in 0..1000 {
        let own = circuit.go_to(&format!("guess-{n}"), true, T0);
        circuit.ended(&own, Outcome::Error(&forbidden()), T0);
    }
    assert!(circuit.is_plain());
    assert_eq!(circuit.view(T0), app::domain::Breaker::default());
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

#[test]
fn an_edit_forgets_everything_also_calls_that_are_out() {
    let late = |who: fn(&mut Circuit) -> Ticket, error: CallError| {
        let mut circuit = open();
        let ticket = who(&mut circuit);
        circuit.edited();
        assert_eq!(circuit.state(at(15)), BreakerState::Closed);
        circuit.ended(&ticket, Outcome::Error(&error), at(16));
        assert_eq!(circuit.view(at(16)), app::domain::Breaker::default(), "that was the old key");
    };
    let probe = |circuit: &mut Circuit| circuit.go(at(15));
    let own = |circuit: &mut Circuit| circuit.go_to("m", true, at(15));
    for error in [failure(), unauthorized(), forbidden()] {
        late(probe, error.clone());
        late(own, error);
    }
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

#[derive(Clone, Debug)]
enum Act {
    Ask { person: bool, dear: bool },
    End(usize, u8),
    Pass(u64),
    Edit,
    Save,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (proptest::bool::weighted(0.1), proptest::bool::weighted(0.3))
            .prop_map(|(person, dear)| Act::Ask { person, dear }),
        8 => (0..99_usize, 0..8_u8).prop_map(|(n, how)| Act::End(n, how)),
        2 => (1..400_u64).prop_map(Act::Pass),
        1 => Just(Act::Edit),
        1 => Just(Act::Save),
    ]
}

proptest! {
    /// While it is not closed, at most one call of its own is out that was let
    /// go in that state; and when all have come back, sooner or later one may
    /// go: no permit is ever lost.
    #[test]
    fn never_more_than_one_probe_and_permits_come_back(acts in proptest::collection::vec(act(), 1..300)) {
        let (mut circuit, mut now) = (Circuit::default(), T0);
        // Tickets that are out, and whether they were let go while shut.
        let mut out: Vec<(Ticket, bool)> = Vec::new();
        for act in acts {
            match act {
                Act::Ask { person, dear } => {
                    let model = if dear { "dear" } else { "m" };
                    let shut = circuit.word() != "closed";
                    if let Heard::Go(ticket) = circuit.ask(model, person, now) {
                        out.push((ticket, shut && !person));
                    }
                }
                Act::End(n, how) if !out.is_empty() => {
                    let (ticket, _) = out.remove(n % out.len());
                    let error = match how {
                        0 | 1 => failure(),
                        2 => unauthorized(),
                        3 => forbidden(),
                        4 => throttled(true),
                        _ => throttled(false),
                    };
                    let outcome = match how {
                        6 => Outcome::GivenBack,
                        7 => Outcome::Success,
                        _ => Outcome::Error(&error),
                    };
                    let before = circuit.word();
                    circuit.ended(&ticket, outcome, now);
                    if circuit.word() != before {
                        // In another state earlier probes are stragglers.
                        out.iter_mut().for_each(|(_, probes)| *probes = false);
                    }
                }
                Act::End(..) => {}
                Act::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Act::Edit => {
                    circuit.edited();
                    out.iter_mut().for_each(|(_, probes)| *probes = false);
                }
                Act::Save => {
                    let before = circuit.word();
                    circuit.saved();
                    if circuit.word() != before {
                        out.iter_mut().for_each(|(_, probes)| *probes = false);
                    }
                }
            }
            let probes = out.iter().filter(|(_, probes)| *probes).count();
            prop_assert!(probes <= 1, "{probes} probes at once: {circuit:?}");
        }
        for (ticket, _) in out {
            circuit.ended(&ticket, Outcome::GivenBack, now);
        }
        let later = now.plus(Duration::from_secs(301));
        prop_assert!(matches!(circuit.ask("m", false, later), Heard::Go(_)), "{circuit:?}");
    }
}
