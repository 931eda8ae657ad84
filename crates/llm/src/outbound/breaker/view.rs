//! How a circuit looks from outside.

use super::{Circuit, State};
use domain::{Breaker, BreakerState, Timestamp};

impl Circuit {
    /// As people see it.
    pub(in crate::outbound) fn view(&self, now: Timestamp) -> Breaker {
        let seen = |state, why: &str, until| Breaker { state, reason: Some(why.to_owned()), until };
        match &self.state {
            State::Open { until, why, .. } if now < *until => {
                seen(BreakerState::Open, why, Some(*until))
            }
            State::Open { why, .. } | State::HalfOpen { why, .. } => {
                seen(BreakerState::HalfOpen, why, None)
            }
            State::Latched(latch) => seen(BreakerState::Latched, &latch.why, Some(latch.probe_at)),
            State::Closed(_) => match self.models.values().min_by_key(|latch| latch.probe_at) {
                Some(latch) => {
                    let why = format!("Only for one model: {}", latch.why);
                    seen(BreakerState::Latched, &why, Some(latch.probe_at))
                }
                None => Breaker::default(),
            },
        }
    }

    /// As a call to `model` finds it: the latch of another model is nothing to it,
    /// its own comes before all else, as in [`Self::ask`].
    pub(in crate::outbound) fn view_of(&self, model: &str, now: Timestamp) -> Breaker {
        match (self.models.get(model), &self.state) {
            (Some(latch), _) => Breaker {
                state: BreakerState::Latched,
                reason: Some(latch.why.clone()),
                until: Some(latch.probe_at),
            },
            (None, State::Closed(_)) => Breaker::default(),
            (None, State::Open { .. } | State::HalfOpen { .. } | State::Latched(_)) => {
                self.view(now)
            }
        }
    }

    /// The word for metrics, as people see it: a latch of one model counts too
    /// where the state says nothing worse.
    pub(in crate::outbound) fn seen(&self) -> &'static str {
        match self.word() {
            "closed" if !self.models.is_empty() => "latched",
            word => word,
        }
    }

    /// The word of the state.
    pub(in crate::outbound) fn word(&self) -> &'static str {
        match self.state {
            State::Closed(_) => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
            State::Latched(_) => "latched",
        }
    }

    /// Whether nothing is known that would have to be remembered.
    pub(in crate::outbound) fn is_plain(&self) -> bool {
        self.models.is_empty() && matches!(&self.state, State::Closed(recent) if recent.is_empty())
    }
}
