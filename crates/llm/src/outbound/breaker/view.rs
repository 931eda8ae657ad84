//! The circuit as pages, the API and metrics show it.

use super::suspension::Suspension;
use super::{Circuit, State};
use domain::{Breaker, BreakerState, Timestamp};

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

    /// Why the calls of the connection fail, unless the circuit is closed. A suspension of
    /// single models is not a failure of the connection.
    pub(in crate::outbound) fn failure(&self) -> Option<(&str, Option<Timestamp>)> {
        let reason = match &self.state {
            State::Closed(_) => return None,
            State::Open { reason, .. } | State::HalfOpen { reason, .. } => reason,
            State::Suspended(suspension) => &suspension.reason,
        };
        Some((reason, self.succeeded_at))
    }

    /// The suspension of the connection: until when its calls are rejected, and whether
    /// they are rejected now.
    pub(in crate::outbound) fn suspension(&self, now: Timestamp) -> Option<(Timestamp, bool)> {
        match &self.state {
            State::Suspended(suspension) => Some((suspension.probe_at, suspension.rejects(now))),
            State::Closed(_) | State::Open { .. } | State::HalfOpen { .. } => None,
        }
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
