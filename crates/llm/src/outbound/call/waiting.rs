//! Parking a call: its maximum wait, the calls of the hooks, and the error of a
//! wait that is too long.
//!
//! Only a wait without any progress of the provider is too long. A reply to another call
//! shows that the provider works, so the time before it does not count.

use super::CallDriver;
use crate::outbound::EndpointResolver;
use crate::outbound::gate::Gate;
use crate::outbound::timer::{MIN_SHOWN_WAIT, shown};
use domain::{ErrorKind, Timestamp, WaitReason, Waiting};
use futures::future::BoxFuture;
use llm_types::{CallError, Decision};
use std::time::Duration;
use tokio::time::Instant;

/// The hooks are not called for shorter waits: a Retry-After of 1 s is common, and to
/// release and acquire the caller's slots takes about as long.
const MIN_REPORTED_WAIT: Duration = Duration::from_secs(2);
/// The interval at which a waiting call checks whether it still can succeed.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// After this number of consecutive refusals of a call, successes of other calls no
/// longer count as progress: the call may be refused for what it is.
const MAX_REFUSALS: u32 = 5;
/// The time for which a permit is kept while the caller acquires its own slots again.
/// The permit may be the only probe, or the only call that a bucket allows, so a
/// longer delay would block other calls.
const KEEP_PERMIT: Duration = Duration::from_secs(1);

/// A wait for a permit or for the end of a backoff.
pub(super) struct Wait<'a, T> {
    pub(super) reason: WaitReason,
    /// The end of the wait, if it is known.
    pub(super) until: Option<Timestamp>,
    pub(super) ready: BoxFuture<'static, Result<T, CallError>>,
    /// Gives a later end if the wait takes longer than `until`.
    pub(super) gate: Option<&'a dyn Gate>,
}

/// How a wait ended.
enum WaitEnd<T> {
    Ready {
        permit: T,
        /// Whether the hook was called.
        reported: bool,
    },
    Rejected(CallError),
    TooLong {
        /// When it would have ended, if that is known.
        until: Option<Timestamp>,
    },
}

impl<R: EndpointResolver> CallDriver<'_, R> {
    /// Waits at most as long as the caller allows for the reason. Returns `None` if the
    /// permit was released because the caller had to wait for its own slots; the
    /// caller holds them now, and has to acquire the permit again.
    pub(super) async fn wait_for<T>(&mut self, wait: Wait<'_, T>) -> Result<Option<T>, CallError> {
        let (reason, until, gate) = (wait.reason, wait.until, wait.gate);
        let left = self.wait_left(reason, gate, Duration::ZERO);
        if left.is_zero() || self.is_hopeless(reason, until, left) {
            return Err(self.waited_too_long(reason, until, left));
        }
        let began = Instant::now();
        let end = self.wait(wait).await;
        self.add_wait(reason, gate, began.elapsed());
        match end {
            WaitEnd::Ready { permit, reported: true } => Ok(self.resume(permit).await),
            WaitEnd::Ready { permit, reported: false } => Ok(Some(permit)),
            WaitEnd::Rejected(error) => Err(error),
            WaitEnd::TooLong { until } => Err(self.waited_too_long(reason, until, left)),
        }
    }

    /// Lets the caller acquire its own slots again, however long that takes. The permit is
    /// kept for a short time.
    async fn resume<T>(&self, permit: T) -> Option<T> {
        let mut resumed = self.call.hooks.resumed();
        if tokio::time::timeout(KEEP_PERMIT, &mut resumed).await.is_ok() {
            return Some(permit);
        }
        drop(permit);
        resumed.await;
        None
    }

    /// Waits until the permit is ready, the wait is too long, or it is known to become too
    /// long. Calls the hook for a wait that is long or becomes long, and again if it
    /// takes longer than reported.
    async fn wait<T>(&self, wait: Wait<'_, T>) -> WaitEnd<T> {
        let Wait { reason, until, mut ready, gate } = wait;
        let began = Instant::now();
        let is_long = until.is_some_and(|until| until.since(self.now()) >= MIN_REPORTED_WAIT);
        let mut report_at = Some(if is_long { began } else { began + MIN_REPORTED_WAIT });
        let mut waiting = Waiting { what: reason, until };
        let mut reported = false;
        loop {
            if report_at.is_some_and(|at| Instant::now() >= at) {
                if reported {
                    let until = gate.and_then(|gate| gate.until(&self.key, self.now()));
                    waiting.until = shown(until, self.now());
                }
                self.call.hooks.waiting(waiting).await;
                reported = true;
                let expected = waiting.until.map(|until| until.since(self.now()));
                report_at = expected.map(|wait| Instant::now() + wait + MIN_SHOWN_WAIT);
            }
            let left = self.wait_left(reason, gate, began.elapsed()).min(CHECK_INTERVAL);
            let check_at = Instant::now() + left;
            let wake_at = report_at.map_or(check_at, |at| at.min(check_at));
            if let Ok(result) = tokio::time::timeout_at(wake_at, &mut ready).await {
                return match result {
                    Ok(permit) => WaitEnd::Ready { permit, reported },
                    Err(error) => WaitEnd::Rejected(error),
                };
            }
            let left = self.wait_left(reason, gate, began.elapsed());
            let until = gate.and_then(|gate| gate.until(&self.key, self.now()));
            if left.is_zero() || self.is_hopeless(reason, until, left) {
                return WaitEnd::TooLong { until };
            }
        }
    }

    /// Whether a wait cannot succeed: a rate limit ends at its known time. A circuit may
    /// close earlier, by a manual probe.
    fn is_hopeless(&self, reason: WaitReason, until: Option<Timestamp>, left: Duration) -> bool {
        reason == WaitReason::RateLimit && until.is_some_and(|until| until.since(self.now()) > left)
    }

    /// How long the call may continue to wait, after a wait that took `took` so far.
    fn wait_left(&self, reason: WaitReason, gate: Option<&dyn Gate>, took: Duration) -> Duration {
        let limits = self.call.limits;
        match reason {
            WaitReason::Circuit => limits.circuit_wait.saturating_sub(self.times.circuit + took),
            WaitReason::RateLimit | WaitReason::Slot => {
                limits.max_wait.saturating_sub(self.stalled_after(gate, took))
            }
        }
    }

    /// How long the rate limit lets no call through, after a wait that took `took`.
    fn stalled_after(&self, gate: Option<&dyn Gate>, took: Duration) -> Duration {
        let last_success = gate.and_then(|gate| gate.last_success(&self.key));
        match last_success.map(|at| self.now().since(at)) {
            Some(since) if since < took && self.throttling.count < MAX_REFUSALS => since,
            _ => self.stalled + took,
        }
    }

    fn add_wait(&mut self, reason: WaitReason, gate: Option<&dyn Gate>, took: Duration) {
        self.times.waited += took;
        match reason {
            WaitReason::Circuit => self.times.circuit += took,
            WaitReason::RateLimit | WaitReason::Slot => {
                self.stalled = self.stalled_after(gate, took);
            }
        }
    }

    /// Why the circuit is open, with the status and the message of the provider.
    fn last_failures(&self) -> String {
        let (user, connection) = (self.key.user_id, self.key.connection_id);
        let reason = self.outbound.breakers.view(user, connection, self.now()).reason;
        reason.map(|reason| format!(" {}.", reason.trim_end_matches('.'))).unwrap_or_default()
    }

    /// The error of a call that could wait for another `left` only.
    fn waited_too_long(
        &self,
        reason: WaitReason,
        until: Option<Timestamp>,
        left: Duration,
    ) -> CallError {
        let (kind, target) = match reason {
            WaitReason::Circuit => (ErrorKind::CircuitOpen, "the provider to recover"),
            WaitReason::RateLimit | WaitReason::Slot => {
                (ErrorKind::RateLimited, "the provider's rate limit")
            }
        };
        let throttled = match reason {
            WaitReason::RateLimit => self.throttling.message.as_str(),
            WaitReason::Circuit | WaitReason::Slot => "",
        };
        let until =
            until.map(|until| format!(" (until {})", until.format_utc())).unwrap_or_default();
        let limit = match left.as_secs() {
            0 => String::new(),
            left => format!(": the wait exceeds the remaining {left} s"),
        };
        let cause = match reason {
            WaitReason::Circuit => self.last_failures(),
            WaitReason::RateLimit | WaitReason::Slot => String::new(),
        };
        let message = format!("{throttled}Gave up waiting for {target}{until}{limit}.{cause}");
        CallError::new(Decision::GiveUp(kind), message)
    }
}
