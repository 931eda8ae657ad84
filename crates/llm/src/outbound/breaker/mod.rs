//! The circuit breaker of one user on one connection. Pure: time is passed in. A call
//! acquires a ticket and records its outcome with it.
//!
//! | state | event | next state |
//! |---|---|---|
//! | closed | 5 consecutive failures, or 50 % of at least 8 calls within 60 s fail | open for 15 s |
//! | open | a call acquires after the open time | half-open; that call is the probe |
//! | half-open | the probe fails | open for twice as long, at most 120 s |
//! | half-open | the second consecutive probe succeeds | closed |
//! | half-open | the probe is canceled, or its error is neutral | half-open; the next call is the probe |
//! | any | the key is rejected, or the quota is exhausted | suspended |
//! | suspended | a call acquires 5 min later | suspended; that call is the probe |
//! | suspended | the probe succeeds | closed |
//! | any | a manual probe succeeds | closed |
//! | any | the connection is edited | closed, with an empty history |
//! | suspended | the connection is saved with the same endpoint and secrets | closed |
//!
//! A call that gets no answer until its timeout or until the active time of its run ends
//! is a failure.
//!
//! An outcome counts only in the state in which its ticket was issued. The outcome of
//! a manual probe counts in every state; it never opens the circuit, but it may suspend
//! it. A 403 suspends one model only, independently of the state. A manual probe does
//! not suspend a model, because users may probe any model name.

mod suspension;
mod view;

use crate::classify::{Effect, effect};
use crate::outbound::call_history::CallHistory;
use domain::Timestamp;
use llm_types::CallError;
use std::collections::HashMap;
use std::time::Duration;
use suspension::Suspension;

/// The first open time. Each failed probe doubles it.
const OPEN_TIME: Duration = Duration::from_secs(15);
const MAX_OPEN_TIME: Duration = Duration::from_secs(120);
/// The number of consecutive successful probes that close the circuit.
const SUCCESSES_TO_CLOSE: u32 = 2;
/// A 529 counts as a failure if no call succeeded for this time.
const OVERLOADED_GRACE: Duration = Duration::from_secs(60);
/// The maximum number of suspended models. Model names are user-supplied and
/// therefore unbounded.
const MAX_MODELS: usize = 64;

#[derive(Clone, Debug)]
enum State {
    Closed(CallHistory),
    /// `openings` counts the consecutive times the circuit opened.
    Open {
        until: Timestamp,
        openings: u32,
        reason: String,
    },
    HalfOpen {
        openings: u32,
        successes: u32,
        probing: bool,
        reason: String,
    },
    Suspended(Suspension),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallKind {
    Normal,
    /// The only call that may pass a circuit that is not closed.
    Probe,
    ManualProbe,
}

/// The permission to make one call. Its outcome is passed to [`Circuit::record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    kind: CallKind,
    model: String,
    /// The call is the probe of its suspended model.
    probes_model: bool,
    epoch: u64,
    connection_edits: u64,
}

/// The response to a call that acquires.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Acquire {
    Granted(Ticket),
    /// The call waits until this time, or until the probe in progress ends.
    Wait(Option<Timestamp>),
    Rejected(CallError),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    Success,
    Error(&'a CallError),
    Cancelled,
}

/// The effect of an outcome on the circuit.
#[derive(Clone, Copy)]
enum Signal<'a> {
    Success,
    Failure(&'a CallError),
    SuspendConnection(&'a CallError),
    SuspendModel(&'a CallError),
    /// An error that says nothing about the health of the connection.
    Neutral,
    Cancelled,
}

#[derive(Clone, Debug)]
pub(super) struct Circuit {
    state: State,
    /// Incremented with each transition.
    epoch: u64,
    /// Incremented with each edit of the connection.
    connection_edits: u64,
    /// The time of the last success, or of the first call: the beginning of
    /// [`OVERLOADED_GRACE`].
    grace_since: Option<Timestamp>,
    /// The time of the last success.
    last_success: Option<Timestamp>,
    suspended_models: HashMap<String, Suspension>,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            state: State::Closed(CallHistory::default()),
            epoch: 0,
            connection_edits: 0,
            grace_since: None,
            last_success: None,
            suspended_models: HashMap::new(),
        }
    }
}

impl Circuit {
    /// Requests a ticket for a call to `model`.
    pub(super) fn acquire(&mut self, model: &str, manual: bool, now: Timestamp) -> Acquire {
        self.grace_since.get_or_insert(now);
        if manual {
            return Acquire::Granted(self.ticket(CallKind::ManualProbe, model, false));
        }
        let suspension = self.suspended_models.get(model);
        if let Some(suspension) = suspension.filter(|suspension| suspension.rejects(now)) {
            return Acquire::Rejected(suspension.rejection());
        }
        let probes_model = suspension.is_some();
        let kind = match &mut self.state {
            State::Closed(_) => CallKind::Normal,
            State::Open { until, .. } if now < *until => return Acquire::Wait(Some(*until)),
            State::Open { openings, reason, .. } => {
                let (openings, reason) = (*openings, std::mem::take(reason));
                self.transition_to(State::HalfOpen {
                    openings,
                    successes: 0,
                    probing: true,
                    reason,
                });
                CallKind::Probe
            }
            State::HalfOpen { probing: true, .. } => return Acquire::Wait(None),
            State::HalfOpen { probing, .. } => {
                *probing = true;
                CallKind::Probe
            }
            State::Suspended(suspension) if suspension.rejects(now) => {
                return Acquire::Rejected(suspension.rejection());
            }
            State::Suspended(suspension) => {
                suspension.probing = true;
                CallKind::Probe
            }
        };
        if let Some(suspension) = self.suspended_models.get_mut(model) {
            suspension.probing = true;
        }
        Acquire::Granted(self.ticket(kind, model, probes_model))
    }

    /// Records the outcome of a call.
    pub(super) fn record(&mut self, ticket: &Ticket, outcome: Outcome<'_>, now: Timestamp) {
        if ticket.connection_edits != self.connection_edits {
            return;
        }
        let signal = self.signal(outcome, now);
        self.record_model(ticket, signal, now);
        if ticket.epoch != self.epoch && ticket.kind != CallKind::ManualProbe {
            return;
        }
        match (&mut self.state, signal, ticket.kind) {
            (State::Suspended(suspension), Signal::SuspendConnection(error), kind) => {
                suspension.renew(error, kind == CallKind::Probe, now);
            }
            (_, Signal::SuspendConnection(error), _) => {
                self.transition_to(State::Suspended(Suspension::new(error, now)));
            }
            (State::Closed(history), Signal::Success, _) => history.succeeded(now),
            (_, Signal::Success, CallKind::ManualProbe) => self.close(),
            (_, _, CallKind::ManualProbe) => {}
            (State::Closed(history), Signal::Failure(error), _) => {
                if let Some(reason) = history.failed(now) {
                    self.open(1, format!("{reason}: {}", error.message), now);
                }
            }
            (State::HalfOpen { .. }, signal, CallKind::Probe) => self.record_probe(signal, now),
            (State::Suspended(_), Signal::Success, CallKind::Probe) => self.close(),
            (State::Suspended(suspension), signal, CallKind::Probe) => {
                suspension.end_probe(matches!(signal, Signal::Cancelled), now);
            }
            // A neutral outcome of a closed circuit.
            (
                State::Closed(_)
                | State::Open { .. }
                | State::HalfOpen { .. }
                | State::Suspended(_),
                ..,
            ) => {}
        }
    }

    /// Records the outcome of the probe of a half-open circuit.
    fn record_probe(&mut self, signal: Signal<'_>, now: Timestamp) {
        let State::HalfOpen { openings, successes, probing, .. } = &mut self.state else { return };
        *probing = false;
        match signal {
            Signal::Success => {
                *successes += 1;
                if *successes >= SUCCESSES_TO_CLOSE {
                    self.close();
                }
            }
            Signal::Failure(error) => {
                let openings = *openings + 1;
                self.open(openings, format!("The probe failed too: {}", error.message), now);
            }
            _ => {}
        }
    }

    /// Resets the circuit of an edited connection. Outcomes of calls in progress are
    /// ignored.
    pub(super) fn reset(&mut self) {
        let (epoch, connection_edits) = (self.epoch + 1, self.connection_edits + 1);
        *self = Self { epoch, connection_edits, ..Self::default() };
    }

    /// Ends the suspensions of a connection that was saved with the same endpoint and secrets: their cause may
    /// be fixed elsewhere. An open circuit stays open.
    pub(in crate::outbound) fn clear_suspensions(&mut self) {
        self.suspended_models.clear();
        if let State::Suspended(_) = self.state {
            self.close();
        }
    }

    fn signal<'a>(&mut self, outcome: Outcome<'a>, now: Timestamp) -> Signal<'a> {
        let error = match outcome {
            Outcome::Success => {
                self.grace_since = Some(now);
                self.last_success = Some(now);
                return Signal::Success;
            }
            Outcome::Cancelled => return Signal::Cancelled,
            Outcome::Error(error) => error,
        };
        let no_success = self.grace_since.is_some_and(|at| now.since(at) >= OVERLOADED_GRACE);
        match effect(error) {
            Effect::Failure => Signal::Failure(error),
            Effect::Overloaded if no_success => Signal::Failure(error),
            Effect::Overloaded | Effect::Ignored => Signal::Neutral,
            Effect::SuspendCredential | Effect::SuspendQuota => Signal::SuspendConnection(error),
            Effect::SuspendModel => Signal::SuspendModel(error),
        }
    }

    fn open(&mut self, openings: u32, reason: String, now: Timestamp) {
        let factor = 1_u32.checked_shl(openings.saturating_sub(1)).unwrap_or(u32::MAX);
        let until = now.plus(OPEN_TIME.saturating_mul(factor).min(MAX_OPEN_TIME));
        self.transition_to(State::Open { until, openings, reason });
    }

    fn close(&mut self) {
        self.transition_to(State::Closed(CallHistory::default()));
    }

    fn transition_to(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }

    fn ticket(&self, kind: CallKind, model: &str, probes_model: bool) -> Ticket {
        let (epoch, connection_edits, model) =
            (self.epoch, self.connection_edits, model.to_owned());
        Ticket { kind, model, probes_model, epoch, connection_edits }
    }
}
