//! Latches: of a whole connection, and of one model beside the state.

use super::{Circuit, LATCH_PROBE, MOST_MODELS, Outcome, Role, Ticket};
use crate::classify::Effect;
use llm_types::{CallError, Decision};
use domain::{ErrorKind, Timestamp};

/// Stopped until somebody changes something.
#[derive(Clone, Debug)]
pub(super) struct Latch {
    pub(super) kind: ErrorKind,
    pub(super) why: String,
    pub(super) probe_at: Timestamp,
    pub(super) probing: bool,
}

impl Latch {
    pub(super) fn on(error: &CallError, now: Timestamp) -> Self {
        let (kind, why) = (error.kind(), error.message.clone());
        Self { kind, why, probe_at: now.plus(LATCH_PROBE), probing: false }
    }

    pub(super) fn refuses(&self, now: Timestamp) -> bool {
        self.probing || now < self.probe_at
    }

    pub(super) fn refusal(&self) -> CallError {
        let message = format!(
            "{} Since then nothing more is sent; \"Try now\" on the connection tries it again.",
            self.why
        );
        CallError::new(Decision::GiveUp(self.kind), message)
    }
}

impl Circuit {
    /// The latch of one model, which stands beside the state.
    pub(super) fn model_ended(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome<'_>,
        effect: Option<Effect>,
        now: Timestamp,
    ) {
        match (effect, outcome) {
            (Some(Effect::LatchModel), Outcome::Error(error)) => {
                self.latch_model(ticket, Latch::on(error, now));
            }
            (None, _) if ticket.role == Role::Person => {
                self.models.remove(&ticket.model);
                // What opened this one may have opened the others.
                self.models.values_mut().for_each(|latch| latch.probe_at = now);
            }
            (None, _) if ticket.probes_model => {
                self.models.remove(&ticket.model);
            }
            (Some(_), _) if ticket.probes_model => {
                if let Some(latch) = self.models.get_mut(&ticket.model) {
                    latch.probing = false;
                    if !matches!(outcome, Outcome::GivenBack) {
                        latch.probe_at = now.plus(LATCH_PROBE);
                    }
                }
            }
            _ => {}
        }
    }

    /// Latches the model of a call, or once more: a probe that is out stays the
    /// only one. A person's own try latches none that was open.
    fn latch_model(&mut self, ticket: &Ticket, latch: Latch) {
        if let Some(known) = self.models.get_mut(&ticket.model) {
            *known = Latch { probing: known.probing && !ticket.probes_model, ..latch };
        } else if ticket.role != Role::Person {
            let oldest = || self.models.iter().min_by_key(|(_, latch)| latch.probe_at);
            let full = self.models.len() >= MOST_MODELS;
            if let Some(oldest) = full.then(oldest).flatten().map(|(model, _)| model.clone()) {
                self.models.remove(&oldest);
            }
            self.models.insert(ticket.model.clone(), latch);
        }
    }
}
