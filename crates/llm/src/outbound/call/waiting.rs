//! Parking a call: its maximum wait, the reports to the watcher, and the error of a
//! wait that is too long.

use super::CallDriver;
use crate::outbound::EndpointResolver;
use crate::outbound::gate::Gate;
use crate::outbound::timer::{MIN_REPORTED_WAIT, reported};
use domain::{ErrorKind, Timestamp, WaitReason, Waiting};
use futures::future::BoxFuture;
use llm_types::{CallError, Decision};
use std::time::Duration;
use tokio::time::Instant;

/// The watcher is not notified of shorter waits.
const MIN_WATCHED_WAIT: Duration = Duration::from_secs(1);
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

/// The end of a wait.
struct Waited<T> {
    /// `None` if it took too long.
    result: Option<Result<T, CallError>>,
    /// Whether the watcher was notified.
    watched: bool,
}

impl<R: EndpointResolver> CallDriver<'_, R> {
    /// Waits at most as long as the caller allows for the reason. Returns `None` if the
    /// permit was released because the caller had to wait for its own slots; the
    /// caller holds them now, and has to acquire the permit again.
    pub(super) async fn park<T>(&mut self, wait: Wait<'_, T>) -> Result<Option<T>, CallError> {
        let (reason, until) = (wait.reason, wait.until);
        let began = Instant::now();
        let left = self.wait_left(reason);
        // A rate limit ends at its known time, so a wait that cannot succeed fails at
        // once. A circuit may close earlier, by a manual probe.
        let hopeless = until.is_some_and(|until| until.since(self.now()) > left);
        if left.is_zero() || (reason == WaitReason::RateLimit && hopeless) {
            return Err(self.waited_too_long(reason, until, left));
        }
        let waited = self.wait(wait, left).await;
        self.add_parked(reason, began.elapsed());
        match waited.result {
            None => Err(self.waited_too_long(reason, until, left)),
            Some(Err(error)) => Err(error),
            Some(Ok(permit)) if waited.watched => self.resume(permit).await,
            Some(Ok(permit)) => Ok(Some(permit)),
        }
    }

    /// Lets the caller acquire its own slots again. The permit is kept for a short time.
    async fn resume<T>(&mut self, permit: T) -> Result<Option<T>, CallError> {
        let (began, left) = (Instant::now(), self.wait_left(WaitReason::Slot));
        let mut resumed = self.call.watcher.resumed();
        if tokio::time::timeout(KEEP_PERMIT, &mut resumed).await.is_ok() {
            self.add_parked(WaitReason::Slot, began.elapsed());
            return Ok(Some(permit));
        }
        drop(permit);
        let in_time = tokio::time::timeout_at(began + left, resumed).await.is_ok();
        self.add_parked(WaitReason::Slot, began.elapsed());
        if in_time { Ok(None) } else { Err(self.waited_too_long(WaitReason::Slot, None, left)) }
    }

    /// Waits for at most `left`. Notifies the watcher of a wait that is long or becomes
    /// long, and again if it takes longer than announced.
    async fn wait<T>(&self, wait: Wait<'_, T>, left: Duration) -> Waited<T> {
        let Wait { reason, until, mut ready, gate } = wait;
        let end = Instant::now() + left;
        let known = until.map(|until| until.since(self.now()));
        if known.is_none_or(|wait| wait < MIN_WATCHED_WAIT) {
            let quiet = MIN_WATCHED_WAIT.min(left);
            if let Ok(result) = tokio::time::timeout(quiet, &mut ready).await {
                return Waited { result: Some(result), watched: false };
            }
        }
        if Instant::now() >= end {
            return Waited { result: None, watched: false };
        }
        let mut waiting = Waiting { what: reason, until };
        loop {
            self.call.watcher.waiting(waiting).await;
            let expected = waiting.until.map(|until| until.since(self.now()) + MIN_REPORTED_WAIT);
            let report_at = expected.map_or(end, |wait| end.min(Instant::now() + wait));
            match tokio::time::timeout_at(report_at, &mut ready).await {
                Ok(result) => return Waited { result: Some(result), watched: true },
                Err(_) if Instant::now() >= end => return Waited { result: None, watched: true },
                Err(_) => {
                    let until = gate.and_then(|gate| gate.until(&self.key, self.now()));
                    waiting.until = reported(until, self.now());
                }
            }
        }
    }

    fn wait_left(&self, reason: WaitReason) -> Duration {
        let limits = self.call.limits;
        let left = limits.max_wait.saturating_sub(self.times.parked);
        match reason {
            WaitReason::Circuit => left.min(limits.circuit_wait.saturating_sub(self.times.circuit)),
            WaitReason::RateLimit | WaitReason::Slot => left,
        }
    }

    fn add_parked(&mut self, reason: WaitReason, took: Duration) {
        self.times.parked += took;
        if reason == WaitReason::Circuit {
            self.times.circuit += took;
        }
    }

    /// The error of a call that could wait for another `left` only.
    fn waited_too_long(
        &self,
        reason: WaitReason,
        until: Option<Timestamp>,
        left: Duration,
    ) -> CallError {
        let (kind, target) = match reason {
            WaitReason::Circuit => (
                ErrorKind::CircuitOpen,
                "this connection, which is paused because its calls kept failing",
            ),
            WaitReason::RateLimit => (ErrorKind::RateLimited, "the provider's rate limit"),
            WaitReason::Slot => (ErrorKind::RateLimited, "a free slot"),
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
        let message = format!("{throttled}Gave up waiting for {target}{until}{limit}.");
        CallError::new(Decision::GiveUp(kind), message)
    }
}
