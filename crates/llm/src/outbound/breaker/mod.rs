//! The circuit of one user on one connection. Pure: time is passed in, and a
//! call is a ticket that comes back with its outcome.
//!
//! | state | what happens | becomes |
//! |---|---|---|
//! | closed | 5 failures in a row, or at least half of at least 8 calls within 60 s | open, 15 s |
//! | open | its time is over and a call asks | half-open: that call probes |
//! | half-open | the probe fails | open, twice as long, 120 s at most |
//! | half-open | two probes succeed, one after the other | closed |
//! | half-open | the probe is dropped, or says nothing | half-open: the next one probes |
//! | any | the key is not accepted, or there is nothing left to spend | latched |
//! | latched | 5 min later a call asks | latched: that call probes |
//! | latched | the probe succeeds | closed |
//! | any | a person's own try succeeds | closed |
//! | any | the connection is edited | closed, all forgotten |
//! | latched | the connection is saved as it was | closed |
//!
//! An outcome counts only in the state in which its call was let go; only a
//! person's own try counts always, and never for the worse, unless it shows a
//! latch. A 403 latches one model alone, beside the state; not one that a
//! person's own try was refused, for people try whatever they like.

mod latch;
mod view;

use crate::classify::{Effect, effect};
use crate::outbound::recent::Recent;
use llm_types::CallError;
use domain::Timestamp;
use latch::Latch;
use std::collections::HashMap;
use std::time::Duration;

/// First time open; doubles with each probe that fails.
const OPEN: Duration = Duration::from_secs(15);
/// Longest time open.
const OPEN_AT_MOST: Duration = Duration::from_secs(120);
/// Probes in a row that close.
const CLOSE_AFTER: u32 = 2;
/// Between two probes of a latch.
const LATCH_PROBE: Duration = Duration::from_secs(300);
/// A 529 counts when nothing has succeeded for so long.
const QUIET: Duration = Duration::from_secs(60);
/// Most models that are latched at once: their names are anybody's choice.
const MOST_MODELS: usize = 64;

/// Where the circuit stands.
#[derive(Clone, Debug)]
enum State {
    Closed(Recent),
    Open { until: Timestamp, trips: u32, why: String },
    HalfOpen { trips: u32, passed: u32, probing: bool, why: String },
    Latched(Latch),
}

/// For whom a call was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ordinary,
    /// The one call that probes.
    Probe,
    /// A person's own try.
    Person,
}

/// Leave to make one call; comes back with [`Circuit::ended`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    role: Role,
    model: String,
    /// Probes this model's own latch.
    probes_model: bool,
    epoch: u64,
    edition: u64,
}

/// What a call hears that asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Go(Ticket),
    /// Until then, or until the probe that is out comes back.
    Wait(Option<Timestamp>),
    No(CallError),
}

/// How a call ended, as far as it concerns a circuit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome<'a> {
    Success,
    Error(&'a CallError),
    /// It was dropped.
    GivenBack,
}

/// One user's circuit on one connection.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    state: State,
    /// Changes with the state.
    epoch: u64,
    /// Changes with the connection.
    edition: u64,
    /// The last success, or else the first call.
    quiet_since: Option<Timestamp>,
    models: HashMap<String, Latch>,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            state: State::Closed(Recent::default()),
            epoch: 0,
            edition: 0,
            quiet_since: None,
            models: HashMap::new(),
        }
    }
}

impl Circuit {
    /// A call to `model` asks for leave; `person` when somebody tries by hand.
    pub(super) fn ask(&mut self, model: &str, person: bool, now: Timestamp) -> Heard {
        self.quiet_since.get_or_insert(now);
        if person {
            return Heard::Go(self.ticket(Role::Person, model, false));
        }
        let latched = self.models.get(model);
        if let Some(latch) = latched.filter(|latch| latch.refuses(now)) {
            return Heard::No(latch.refusal());
        }
        let probes_model = latched.is_some();
        let role = match &mut self.state {
            State::Closed(_) => Role::Ordinary,
            State::Open { until, .. } if now < *until => return Heard::Wait(Some(*until)),
            State::Open { trips, why, .. } => {
                let (trips, why) = (*trips, std::mem::take(why));
                self.become_(State::HalfOpen { trips, passed: 0, probing: true, why });
                Role::Probe
            }
            State::HalfOpen { probing: true, .. } => return Heard::Wait(None),
            State::HalfOpen { probing, .. } => {
                *probing = true;
                Role::Probe
            }
            State::Latched(latch) if latch.refuses(now) => return Heard::No(latch.refusal()),
            State::Latched(latch) => {
                latch.probing = true;
                Role::Probe
            }
        };
        if let Some(latch) = self.models.get_mut(model) {
            latch.probing = true;
        }
        Heard::Go(self.ticket(role, model, probes_model))
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, ticket: &Ticket, outcome: Outcome<'_>, now: Timestamp) {
        if ticket.edition != self.edition {
            return;
        }
        let (effect, why) = match outcome {
            Outcome::Success => {
                self.quiet_since = Some(now);
                (None, "")
            }
            Outcome::Error(error) => (Some(self.weigh(effect(error), now)), error.message.as_str()),
            Outcome::GivenBack => (Some(Effect::Ignored), ""),
        };
        self.model_ended(ticket, outcome, effect, now);
        let person = ticket.role == Role::Person;
        if ticket.epoch != self.epoch && !person {
            return;
        }
        let probe = ticket.role == Role::Probe;
        match (&mut self.state, effect, outcome) {
            // Latched again, by the probe or by a person: a probe that is out
            // stays the only one.
            (
                State::Latched(latch),
                Some(Effect::LatchCredential | Effect::LatchQuota),
                Outcome::Error(error),
            ) => {
                let probing = latch.probing && !probe;
                *latch = Latch { probing, ..Latch::on(error, now) };
            }
            (_, Some(Effect::LatchCredential | Effect::LatchQuota), Outcome::Error(error)) => {
                self.become_(State::Latched(Latch::on(error, now)));
            }
            (State::Closed(recent), None, _) => recent.succeeded(now),
            (_, None, _) if person => self.become_(State::Closed(Recent::default())),
            (_, _, _) if person => {}
            (State::Closed(recent), Some(Effect::Failure), _) => {
                if let Some(tripped) = recent.failed(now) {
                    self.open(1, format!("{tripped}: {why}"), now);
                }
            }
            (State::HalfOpen { passed, probing, .. }, None, _) if probe => {
                (*passed, *probing) = (*passed + 1, false);
                if *passed >= CLOSE_AFTER {
                    self.become_(State::Closed(Recent::default()));
                }
            }
            (State::HalfOpen { trips, .. }, Some(Effect::Failure), _) if probe => {
                let trips = *trips + 1;
                self.open(trips, format!("The call that tried again failed too: {why}"), now);
            }
            (State::HalfOpen { probing, .. }, Some(_), _) if probe => *probing = false,
            (State::Latched(_), None, _) if probe => {
                self.become_(State::Closed(Recent::default()));
            }
            (State::Latched(latch), Some(_), Outcome::GivenBack) if probe => latch.probing = false,
            (State::Latched(latch), Some(_), _) if probe => {
                (latch.probing, latch.probe_at) = (false, now.plus(LATCH_PROBE));
            }
            // Closed and nothing said, or a straggler of another state.
            (
                State::Closed(_) | State::Open { .. } | State::HalfOpen { .. } | State::Latched(_),
                ..,
            ) => {}
        }
    }

    /// The connection was edited: all is forgotten, and calls that are out say
    /// nothing about it any more.
    pub(super) fn edited(&mut self) {
        let (epoch, edition) = (self.epoch + 1, self.edition + 1);
        *self = Self { epoch, edition, ..Self::default() };
    }

    /// The connection was saved and leads where it led: latches end, for what
    /// stood behind them may have been mended elsewhere. An open circuit stays.
    pub(in crate::outbound) fn saved(&mut self) {
        self.models.clear();
        if let State::Latched(_) = self.state {
            self.become_(State::Closed(Recent::default()));
        }
    }

    /// 529 says that they are overloaded: a failure when nothing else is heard.
    fn weigh(&self, effect: Effect, now: Timestamp) -> Effect {
        let quiet = self.quiet_since.is_some_and(|since| now.since(since) >= QUIET);
        match effect {
            Effect::Overloaded if quiet => Effect::Failure,
            Effect::Overloaded => Effect::Ignored,
            effect => effect,
        }
    }

    fn open(&mut self, trips: u32, why: String, now: Timestamp) {
        let doubled = 1_u32.checked_shl(trips.saturating_sub(1)).unwrap_or(u32::MAX);
        let until = now.plus(OPEN.saturating_mul(doubled).min(OPEN_AT_MOST));
        self.become_(State::Open { until, trips, why });
    }

    /// The only place where the state changes to another.
    fn become_(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }

    fn ticket(&self, role: Role, model: &str, probes_model: bool) -> Ticket {
        let (epoch, edition, model) = (self.epoch, self.edition, model.to_owned());
        Ticket { role, model, probes_model, epoch, edition }
    }
}
