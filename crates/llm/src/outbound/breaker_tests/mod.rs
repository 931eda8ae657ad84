//! Tests of the circuit breaker's state machine.

mod manual_probe;
mod opening;
mod properties;
mod suspensions;

use crate::outbound::breaker::{Acquire, Circuit, Outcome, Ticket};
use domain::{BreakerState, ErrorKind, Timestamp};
use llm_types::{CallError, Decision};
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
    fn next_ticket(&mut self, now: Timestamp) -> Ticket {
        self.ticket_for("m", false, now)
    }

    fn ticket_for(&mut self, model: &str, manual: bool, now: Timestamp) -> Ticket {
        match self.acquire(model, manual, now) {
            Acquire::Granted(ticket) => ticket,
            other => panic!("expected a ticket, not {other:?}"),
        }
    }

    fn fails(&mut self, now: Timestamp) {
        let ticket = self.next_ticket(now);
        self.record(&ticket, Outcome::Error(&failure()), now);
    }

    fn succeeds(&mut self, now: Timestamp) {
        let ticket = self.next_ticket(now);
        self.record(&ticket, Outcome::Success, now);
    }

    fn refusal(&mut self, model: &str, now: Timestamp) -> Option<(ErrorKind, String)> {
        match self.acquire(model, false, now) {
            Acquire::Rejected(error) => Some((error.kind(), error.message)),
            _ => None,
        }
    }

    fn state(&self, now: Timestamp) -> BreakerState {
        self.view(now).state
    }
}

/// A circuit that is open from `T0` for 15 s.
fn open() -> Circuit {
    let mut circuit = Circuit::default();
    (0..5).for_each(|_| circuit.fails(T0));
    circuit
}
