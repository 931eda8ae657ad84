//! Waiting for a turn: how long, who is told, and what is said when it was too
//! long.

use super::Call;
use crate::outbound::gate::Gate;
use crate::outbound::limits::{WORTH_SAYING, worth_saying};
use llm_types::{CallError, Decision};
use domain::{ErrorKind, Timestamp, Waiting, WaitingOn};
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// Waits shorter than this are told to nobody.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// How long a turn is kept for a caller that takes its own places again. Then
/// others have it: it may be the one probe, or the one call that a bucket bears.
const KEEPS_TURN: Duration = Duration::from_secs(1);

impl Call<'_> {
    /// Waits for `turn`, at most as long as the caller allows for `what`. `None`
    /// when the turn went by because the caller's own places were not free: they
    /// are now, and it asks for another.
    pub(super) async fn park<T>(
        &mut self,
        what: WaitingOn,
        until: Option<Timestamp>,
        turn: BoxFuture<'static, Result<T, CallError>>,
        gate: Option<&dyn Gate>,
    ) -> Result<Option<T>, CallError> {
        let began = Instant::now();
        let mut left = self.limits.max_wait.saturating_sub(self.used.parked);
        if what == WaitingOn::Circuit {
            left = left.min(self.limits.circuit_wait.saturating_sub(self.used.circuit));
        }
        // A rate limit that outlasts what is left is waited for by nobody. A
        // circuit may be closed earlier, by a person who tries.
        let hopeless = until.is_some_and(|until| until.since(self.now()) > left);
        if left.is_zero() || (what == WaitingOn::RateLimit && hopeless) {
            return Err(self.parked_too_long(what, until, left));
        }
        let (done, told) = self.wait(Waiting { what, until }, turn, gate, left).await;
        self.add_parked(what, began.elapsed());
        let turn = done.unwrap_or_else(|| Err(self.parked_too_long(what, until, left)))?;
        if told { self.resume(turn).await } else { Ok(Some(turn)) }
    }

    /// Lets the caller take its places again, with its turn in hand for a moment
    /// only, and within what it allows for waits.
    async fn resume<T>(&mut self, turn: T) -> Result<Option<T>, CallError> {
        let (began, left) = (Instant::now(), self.limits.max_wait.saturating_sub(self.used.parked));
        let mut places = self.watcher.resumed();
        if tokio::time::timeout(KEEPS_TURN, &mut places).await.is_ok() {
            self.add_parked(WaitingOn::Slot, began.elapsed());
            return Ok(Some(turn));
        }
        drop(turn);
        let in_time = tokio::time::timeout_at(began + left, places).await.is_ok();
        self.add_parked(WaitingOn::Slot, began.elapsed());
        if in_time { Ok(None) } else { Err(self.parked_too_long(WaitingOn::Slot, None, left)) }
    }

    /// What came of waiting, if it came in time, and whether the watcher was told.
    /// It hears of it when the wait will be, or has become, long, and again when it
    /// lasts longer than was told.
    async fn wait<T>(
        &self,
        mut waiting: Waiting,
        mut turn: BoxFuture<'static, Result<T, CallError>>,
        gate: Option<&dyn Gate>,
        left: Duration,
    ) -> (Option<Result<T, CallError>>, bool) {
        let end = Instant::now() + left;
        let known = waiting.until.map(|until| until.since(self.now()));
        if known.is_none_or(|wait| wait < WORTH_TELLING) {
            let quiet = WORTH_TELLING.min(left);
            if let Ok(done) = tokio::time::timeout(quiet, &mut turn).await {
                return (Some(done), false);
            }
        }
        if Instant::now() >= end {
            return (None, false);
        }
        loop {
            self.watcher.waiting(waiting).await;
            let told = waiting.until.map(|until| until.since(self.now()) + WORTH_SAYING);
            let again = told.map_or(end, |told| end.min(Instant::now() + told));
            match tokio::time::timeout_at(again, &mut turn).await {
                Ok(done) => return (Some(done), true),
                Err(_) if Instant::now() >= end => return (None, true),
                Err(_) => {
                    let until = gate.and_then(|gate| gate.until(&self.key, self.now()));
                    waiting.until = worth_saying(until, self.now());
                }
            }
        }
    }

    fn add_parked(&mut self, what: WaitingOn, took: Duration) {
        for times in [&mut *self.times, &mut self.used] {
            times.parked += took;
            times.circuit += if what == WaitingOn::Circuit { took } else { Duration::ZERO };
        }
    }

    /// The end of a call that had `left` to wait.
    fn parked_too_long(
        &self,
        what: WaitingOn,
        until: Option<Timestamp>,
        left: Duration,
    ) -> CallError {
        let (kind, held) = match what {
            WaitingOn::Circuit => (
                ErrorKind::CircuitOpen,
                "the circuit of this connection, which is open because its calls kept failing",
            ),
            WaitingOn::RateLimit => (ErrorKind::RateLimited, "the provider's rate limit"),
            WaitingOn::Slot => {
                (ErrorKind::RateLimited, "other runs, which left no place free to go on")
            }
        };
        let said = if what == WaitingOn::RateLimit { self.throttle_words.as_str() } else { "" };
        let until = until.map(|until| format!(" (until {})", until.in_words())).unwrap_or_default();
        let longer = match left.as_secs() {
            0 => String::new(),
            left => format!(", for longer than the {left} s that were left to wait"),
        };
        let message = format!("{said}Held back by {held}{until}{longer}.");
        CallError::new(Decision::GiveUp(kind), message)
    }
}
