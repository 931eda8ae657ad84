//! The stop of a bucket whose limit is reached, and the trial call that ends it. Pure.
//!
//! | state | event | next state |
//! |---|---|---|
//! | none | evidence of a limit | paused for 250 ms |
//! | paused | a call is reserved after the pause | trial; that call is the trial |
//! | trial | the trial is accepted, or not refused within 2 s | none |
//! | trial | the trial is refused | paused, until its Retry-After and for at least twice as long |
//! | trial | the trial ends otherwise | paused; the next call is the trial |

use super::window::Ready;
use domain::Timestamp;
use std::time::Duration;

/// The first pause. Each refused trial doubles it.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause without a Retry-After.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// The longest pause that is not shortened to a Retry-After, so that a server that says
/// "now" again and again is not called in a tight loop.
const MAX_PAUSE_BEYOND_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Refusals are fast: a trial that is not refused within this time is accepted.
const ACCEPTED_AFTER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BucketStop {
    /// Calls may be sent.
    #[default]
    None,
    /// `refused` counts the refused trials.
    Paused {
        until: Timestamp,
        refused: u32,
    },
    Trial {
        call: u64,
        since: Timestamp,
        refused: u32,
    },
}

impl BucketStop {
    pub(super) fn ready(&self, now: Timestamp) -> Ready {
        match *self {
            Self::None => Ready::Now,
            Self::Paused { until, .. } => at(until, now),
            Self::Trial { since, .. } => at(since.plus(ACCEPTED_AFTER), now),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// Stops the bucket. Without any accepted call so far, `retry_after` needs no
    /// confirmation.
    pub(super) fn begin(&mut self, retry_after: Option<Timestamp>, now: Timestamp) {
        let until = now.plus(PAUSE);
        let until = retry_after.map_or(until, |at| at.max(until));
        *self = Self::Paused { until, refused: 0 };
    }

    /// Records that `call` was reserved, after [`Self::ready`] allowed it. Returns whether
    /// the stop ends, because a trial was not refused for a while.
    pub(super) fn reserved(&mut self, call: u64, now: Timestamp) -> bool {
        match *self {
            Self::None => false,
            Self::Paused { refused, .. } => {
                *self = Self::Trial { call, since: now, refused };
                false
            }
            Self::Trial { since, .. } => {
                let accepted = now >= since.plus(ACCEPTED_AFTER);
                if accepted {
                    *self = Self::None;
                }
                accepted
            }
        }
    }

    /// Records that `call` was accepted. Returns whether the stop ends.
    pub(super) fn accepted(&mut self, call: u64) -> bool {
        let ends = self.is_trial(call);
        if ends {
            *self = Self::None;
        }
        ends
    }

    /// Records that `call` was refused. Returns whether it was the trial.
    pub(super) fn refused(
        &mut self,
        call: u64,
        retry_after: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let Self::Trial { refused, .. } = *self else { return false };
        if !self.is_trial(call) {
            return false;
        }
        let refused = refused + 1;
        let pause = PAUSE.saturating_mul(1_u32.checked_shl(refused).unwrap_or(u32::MAX));
        let until = match retry_after {
            Some(at) => at.max(now.plus(pause.min(MAX_PAUSE_BEYOND_RETRY_AFTER))),
            None => now.plus(pause.min(MAX_PAUSE)),
        };
        *self = Self::Paused { until, refused };
        true
    }

    /// Records that `call` ended without telling whether it was accepted.
    pub(super) fn ended_undecided(&mut self, call: u64, now: Timestamp) {
        if let Self::Trial { refused, .. } = *self
            && self.is_trial(call)
        {
            *self = Self::Paused { until: now, refused };
        }
    }

    fn is_trial(&self, number: u64) -> bool {
        matches!(*self, Self::Trial { call, .. } if call == number)
    }
}

fn at(until: Timestamp, now: Timestamp) -> Ready {
    if now < until { Ready::At(until) } else { Ready::Now }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    fn after(millis: u64) -> Timestamp {
        T0.plus(Duration::from_millis(millis))
    }

    /// A stop at `T0` whose trial is call 1, sent 250 ms later.
    fn trial() -> BucketStop {
        let mut stop = BucketStop::default();
        stop.begin(None, T0);
        assert_eq!(stop.ready(after(249)), Ready::At(after(250)));
        assert_eq!(stop.ready(after(250)), Ready::Now);
        assert!(!stop.reserved(1, after(250)));
        assert_eq!(stop.ready(after(251)), Ready::At(after(2250)), "one trial at a time");
        stop
    }

    #[test]
    fn accepted_trial_ends_stop() {
        let mut stop = trial();
        assert!(!stop.accepted(7), "a call that was sent before the stop");
        assert!(stop.accepted(1));
        assert_eq!(stop.ready(after(300)), Ready::Now);
    }

    #[test]
    fn slow_trial_counts_as_accepted() {
        let mut stop = trial();
        assert_eq!(stop.ready(after(2250)), Ready::Now);
        assert!(stop.reserved(2, after(2250)));
        assert!(stop.is_none());
    }

    #[test]
    fn refused_trial_waits_for_its_retry_after() {
        let mut stop = trial();
        assert!(stop.refused(1, Some(after(30_000)), after(300)));
        assert_eq!(stop.ready(after(29_999)), Ready::At(after(30_000)));
        stop.reserved(2, after(30_000));
        assert!(stop.accepted(2));
    }

    #[test]
    fn pauses_double_without_retry_after_and_with_zero() {
        for (retry_after, most) in [(false, 15_000), (true, 5_000)] {
            let (mut stop, mut now) = (BucketStop::default(), T0);
            stop.begin(None, now);
            let pauses: Vec<u64> = (1..=9)
                .map(|call| {
                    let Ready::At(until) = stop.ready(now) else { panic!("a pause") };
                    let pause = until.since(now);
                    now = until;
                    stop.reserved(call, now);
                    stop.refused(call, retry_after.then_some(now), now);
                    u64::try_from(pause.as_millis()).unwrap()
                })
                .collect();
            assert_eq!(pauses[..4], [250, 500, 1_000, 2_000]);
            assert_eq!(pauses[7..], [most, most]);
        }
    }

    #[test]
    fn next_call_is_trial_if_trial_ends_undecided() {
        let mut stop = trial();
        stop.ended_undecided(1, after(400));
        assert_eq!(stop.ready(after(400)), Ready::Now);
        stop.reserved(2, after(400));
        assert!(!stop.refused(1, None, after(500)));
        assert!(stop.refused(2, None, after(500)));
    }

    #[test]
    fn unknown_provider_is_believed_at_once() {
        let mut stop = BucketStop::default();
        stop.begin(Some(after(20_000)), T0);
        assert_eq!(stop.ready(T0), Ready::At(after(20_000)));
    }
}
