//! Suspensions: of the whole connection as a state, and of single models.

use super::{CallKind, Circuit, MAX_MODELS, Signal, Ticket};
use domain::{ErrorKind, Timestamp};
use llm_types::{CallError, Decision};
use std::time::Duration;

/// The interval of the probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(300);

/// Rejects calls until a probe succeeds or a user changes the connection.
#[derive(Clone, Debug)]
pub(super) struct Suspension {
    kind: ErrorKind,
    pub(super) reason: String,
    pub(super) probe_at: Timestamp,
    pub(super) probing: bool,
}

impl Suspension {
    pub(super) fn new(error: &CallError, now: Timestamp) -> Self {
        let (kind, reason) = (error.kind(), error.message.clone());
        Self { kind, reason, probe_at: now.plus(PROBE_INTERVAL), probing: false }
    }

    /// Suspends again with a new reason. A probe in progress stays the only one, unless
    /// this is its own outcome.
    pub(super) fn renew(&mut self, error: &CallError, own_probe: bool, now: Timestamp) {
        let probing = self.probing && !own_probe;
        *self = Self { probing, ..Self::new(error, now) };
    }

    /// Ends a probe that did not succeed. After a canceled probe the next call probes
    /// at once.
    pub(super) fn end_probe(&mut self, cancelled: bool, now: Timestamp) {
        self.probing = false;
        if !cancelled {
            self.probe_at = now.plus(PROBE_INTERVAL);
        }
    }

    pub(super) fn rejects(&self, now: Timestamp) -> bool {
        self.probing || now < self.probe_at
    }

    pub(super) fn rejection(&self) -> CallError {
        let message = format!(
            "{} Since then, no calls are sent. \"Retry now\" on the connection page tries again.",
            self.reason
        );
        CallError::new(Decision::GiveUp(self.kind), message)
    }
}

impl Circuit {
    /// Updates the suspension of the ticket's model.
    pub(super) fn record_model(&mut self, ticket: &Ticket, signal: Signal<'_>, now: Timestamp) {
        match signal {
            Signal::SuspendModel(error) => self.suspend_model(ticket, error, now),
            Signal::Success if ticket.kind == CallKind::ManualProbe => {
                self.suspended_models.remove(&ticket.model);
                // The cause may be fixed for the other models too.
                for suspension in self.suspended_models.values_mut() {
                    suspension.probe_at = now;
                }
            }
            Signal::Success if ticket.probes_model => {
                self.suspended_models.remove(&ticket.model);
            }
            Signal::Success => {}
            _ if ticket.probes_model => {
                if let Some(suspension) = self.suspended_models.get_mut(&ticket.model) {
                    suspension.end_probe(matches!(signal, Signal::Cancelled), now);
                }
            }
            _ => {}
        }
    }

    fn suspend_model(&mut self, ticket: &Ticket, error: &CallError, now: Timestamp) {
        let models = &mut self.suspended_models;
        if let Some(suspension) = models.get_mut(&ticket.model) {
            suspension.renew(error, ticket.probes_model, now);
        } else if ticket.kind != CallKind::ManualProbe {
            if models.len() >= MAX_MODELS {
                let oldest = models.iter().min_by_key(|(_, suspension)| suspension.probe_at);
                if let Some(oldest) = oldest.map(|(model, _)| model.clone()) {
                    models.remove(&oldest);
                }
            }
            models.insert(ticket.model.clone(), Suspension::new(error, now));
        }
    }
}
