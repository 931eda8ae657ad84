//! The circuit as pages, the API and metrics show it.

use super::suspension::Suspension;
use super::{Circuit, State};
use domain::{Breaker, BreakerState, Timestamp};

/// Why calls fail.
pub(in crate::outbound) struct Failure {
    /// `None` for all models of the connection.
    pub(in crate::outbound) model: Option<String>,
    pub(in crate::outbound) reason: String,
    pub(in crate::outbound) last_success: Option<Timestamp>,
}

impl Circuit {
    /// The circuit for a user. A suspended model shows as a suspension if the circuit
    /// is closed.
    pub(in crate::outbound) fn view(&self, now: Timestamp) -> Breaker {
        let breaker =
            |state, reason: &str, until| Breaker { state, reason: Some(reason.to_owned()), until };
        match &self.state {
            State::Open { until, reason, .. } if now < *until => {
                breaker(BreakerState::Open, reason, Some(*until))
            }
            State::Open { reason, .. } | State::HalfOpen { reason, .. } => {
                breaker(BreakerState::HalfOpen, reason, None)
            }
            State::Suspended(suspension) => suspended(suspension, suspension.reason.clone()),
            State::Closed(_) => {
                let models = self.suspended_models.values();
                match models.min_by_key(|suspension| suspension.probe_at) {
                    Some(first) => {
                        suspended(first, format!("Only for one model: {}", first.reason))
                    }
                    None => Breaker::default(),
                }
            }
        }
    }

    /// The circuit for a call to `model`. The model's own suspension takes precedence
    /// over the state, as in [`Self::acquire`]; suspensions of other models are ignored.
    pub(in crate::outbound) fn view_for_model(&self, model: &str, now: Timestamp) -> Breaker {
        match (self.suspended_models.get(model), &self.state) {
            (Some(suspension), _) => suspended(suspension, suspension.reason.clone()),
            (None, State::Closed(_)) => Breaker::default(),
            (None, State::Open { .. } | State::HalfOpen { .. } | State::Suspended(_)) => {
                self.view(now)
            }
        }
    }

    /// Why calls fail: of the whole connection unless the circuit is closed, and of each
    /// suspended model.
    pub(in crate::outbound) fn failures(&self) -> Vec<Failure> {
        let reason = match &self.state {
            State::Closed(_) => None,
            State::Open { reason, .. } | State::HalfOpen { reason, .. } => Some(reason),
            State::Suspended(suspension) => Some(&suspension.reason),
        };
        let of_connection = reason.map(|reason| Failure {
            model: None,
            reason: reason.clone(),
            last_success: self.last_success,
        });
        // A success ends the suspension of a model, so there was none since.
        let of_models = self.suspended_models.iter().map(|(model, suspension)| Failure {
            model: Some(model.clone()),
            reason: suspension.reason.clone(),
            last_success: None,
        });
        of_connection.into_iter().chain(of_models).collect()
    }

    /// The suspension that applies to calls of `model`: until when they are rejected, and
    /// whether they are rejected now.
    pub(in crate::outbound) fn suspension(
        &self,
        model: &str,
        now: Timestamp,
    ) -> Option<(Timestamp, bool)> {
        let suspensions = self.suspensions(now).into_iter();
        let applies = suspensions.filter(|(suspended, ..)| {
            suspended.as_deref().is_none_or(|suspended| suspended == model)
        });
        applies.map(|(_, until, rejects)| (until, rejects)).max_by_key(|(until, _)| *until)
    }

    /// The suspensions of the connection (`None`) and of single models: until when calls
    /// are rejected, and whether they are rejected now.
    pub(in crate::outbound) fn suspensions(
        &self,
        now: Timestamp,
    ) -> Vec<(Option<String>, Timestamp, bool)> {
        let of_connection = match &self.state {
            State::Suspended(suspension) => Some((None, suspension)),
            State::Closed(_) | State::Open { .. } | State::HalfOpen { .. } => None,
        };
        let of_models = self.suspended_models.iter();
        let of_models = of_models.map(|(model, suspension)| (Some(model.clone()), suspension));
        let all = of_connection.into_iter().chain(of_models);
        all.map(|(model, one)| (model, one.probe_at, one.rejects(now))).collect()
    }

    /// The state in metrics and logs, consistent with [`Self::view`]. The word for
    /// suspended is `latched`, because alert rules depend on it.
    pub(in crate::outbound) fn metric_state(&self) -> &'static str {
        match self.state {
            State::Closed(_) if self.suspended_models.is_empty() => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
            State::Closed(_) | State::Suspended(_) => "latched",
        }
    }

    #[cfg(test)]
    pub(in crate::outbound) fn state_name(&self) -> &'static str {
        match self.state {
            State::Closed(_) => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
            State::Suspended(_) => "suspended",
        }
    }

    /// Whether the circuit holds no information, so that it may be evicted.
    pub(in crate::outbound) fn is_initial(&self) -> bool {
        self.suspended_models.is_empty()
            && matches!(&self.state, State::Closed(history) if history.has_no_failures())
    }
}

fn suspended(suspension: &Suspension, reason: String) -> Breaker {
    Breaker {
        state: BreakerState::Suspended,
        reason: Some(reason),
        until: Some(suspension.probe_at),
    }
}
