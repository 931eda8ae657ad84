//! The circuit, by tables and by properties. Here: errors of each kind, and a
//! circuit's short words.

mod any_order;
mod by_hand;
mod latches;
mod opening;

use crate::outbound::breaker::{Circuit, Heard, Outcome, Ticket};
use llm_types::{CallError, Decision};
use domain::{BreakerState, ErrorKind, Timestamp};
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
