//! One call on its way, from the first gate to its end.

use super::backoff::{MOST_FAILURES, after_failure, after_throttle};
use super::gate::{Admission, CallKey, Gate, Permit};
use super::limits::{WORTH_SAYING, worth_saying};
use super::size::Size;
use super::{CallLimits, CallTimes, CallWatcher, Outbound, Route, Scope};
use crate::llm::types::{CallError, Cause, ChatReply, ChatRequest, Decision};
use app::domain::{ErrorKind, Finish, Timestamp, Waiting, WaitingOn};
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// Waits shorter than this are told to nobody.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// How long a turn is kept for a caller that takes its own places again. Then
/// others have it: it may be the one probe, or the one call that a bucket bears.
const KEEPS_TURN: Duration = Duration::from_secs(1);

pub(super) struct Call<'a> {
    path: &'a Outbound,
    key: CallKey,
    route: &'a dyn Route,
    /// The protocol of the last attempt, for metrics.
    kind: &'static str,
    request: &'a ChatRequest,
    limits: &'a CallLimits,
    watcher: &'a dyn CallWatcher,
    /// The caller's sum.
    times: &'a mut CallTimes,
    /// This call's own part of it.
    used: CallTimes,
    attempts: u32,
    failures: u32,
    /// 429 and 529 in a row.
    throttled: u32,
    /// The provider's words with the last of them.
    throttle_words: String,
}

impl<'a> Call<'a> {
    #[allow(clippy::too_many_arguments)] // the arguments of Outbound::call, kept together
    pub(super) fn new(
        path: &'a Outbound,
        scope: &Scope,
        route: &'a dyn Route,
        request: &'a ChatRequest,
        limits: &'a CallLimits,
        watcher: &'a dyn CallWatcher,
        times: &'a mut CallTimes,
    ) -> Self {
        let key = CallKey {
            user_id: scope.user_id,
            connection_id: route.connection_id(),
            model: request.model.clone(),
            probe: scope.probe,
            size: Size::of(request),
        };
        let used = CallTimes::default();
        Self {
            path,
            key,
            route,
            kind: "",
            request,
            limits,
            watcher,
            times,
            used,
            attempts: 0,
            failures: 0,
            throttled: 0,
            throttle_words: String::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<ChatReply, CallError> {
        loop {
            let permits = self.enter().await?;
            match self.attempt(permits).await? {
                Ok(reply) => return Ok(reply),
                Err(error) => self.after(error).await?,
            }
        }
    }

    /// Past the limiter and the breaker. Whoever waits at the one holds no
    /// place at the other meanwhile.
    async fn enter(&mut self) -> Result<[Box<dyn Permit>; 2], CallError> {
        let (limiter, breaker) = (self.path.limiter_gate(), self.path.breaker_gate());
        let (mut limited, mut passed) = (None, None);
        loop {
            if limited.is_none() {
                match limiter.admit(&self.key, self.now()) {
                    Admission::Granted(permit) => limited = Some(permit),
                    Admission::Refused(error) => return Err(error),
                    Admission::Wait { what, until, turn } => {
                        drop(passed.take());
                        limited = self.park(what, until, turn, Some(limiter)).await?;
                    }
                }
            }
            if passed.is_none() {
                match breaker.admit(&self.key, self.now()) {
                    Admission::Granted(permit) => passed = Some(permit),
                    Admission::Refused(error) => return Err(error),
                    Admission::Wait { what, until, turn } => {
                        drop(limited.take());
                        passed = self.park(what, until, turn, Some(breaker)).await?;
                    }
                }
            }
            match (limited, passed) {
                (Some(limited), Some(passed)) => return Ok([limited, passed]),
                other => (limited, passed) = other,
            }
        }
    }

    /// Waits for `turn`, at most as long as the caller allows for `what`. `None`
    /// when the turn went by because the caller's own places were not free: they
    /// are now, and it asks for another.
    async fn park<T>(
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

    /// One attempt. The outer error ends the call at once.
    async fn attempt(
        &mut self,
        mut permits: [Box<dyn Permit>; 2],
    ) -> Result<Result<ChatReply, CallError>, CallError> {
        let left = self.limits.active_left.saturating_sub(self.used.active);
        if left.is_zero() {
            return Err(out_of_time(None));
        }
        // After both gates, which an edit wakes: with leave of after the edit a
        // call goes where the edit says.
        let endpoint = self.route.endpoint().await?;
        self.kind = endpoint.kind.as_str();
        self.attempts += 1;
        self.watcher.attempt_started(self.attempts).await;
        permits.iter_mut().for_each(|permit| permit.sent());
        let began = Instant::now();
        let answer = self.path.provider.complete(&endpoint, self.request);
        let answer = tokio::time::timeout(left.min(self.limits.call_timeout), answer).await;
        let took = began.elapsed();
        self.add_active(took);
        let outcome = answer.unwrap_or_else(|_| Err(no_answer(self.limits.call_timeout)));
        self.count(&outcome, took);
        // Cut off by the run's end, not for being slow: the permits go back by
        // being dropped.
        let cut = matches!(&outcome, Err(error) if error.cause == Cause::Timeout && took >= left);
        if cut && left <= self.limits.call_timeout && !self.key.probe {
            return Err(out_of_time(None));
        }
        for permit in permits {
            permit.finish(outcome.as_ref());
        }
        Ok(outcome.map(|mut reply| {
            self.path.budgets.deposit(self.key.user_id, self.key.connection_id);
            (reply.latency, reply.attempts) = (took, self.attempts);
            reply
        }))
    }

    /// What to do after an error: the one place that retries. Returns when it
    /// is time to try again.
    async fn after(&mut self, error: CallError) -> Result<(), CallError> {
        match error.decision {
            Decision::GiveUp(_) => Err(error),
            Decision::Wait { until, overloaded } => {
                self.throttle_words = format!("{} ", error.message);
                self.throttle(until, overloaded).await
            }
            // A person who tries hears of this one try.
            Decision::Retry if self.key.probe => Err(unavailable(&error, "")),
            Decision::Retry => self.back_off(error).await,
        }
    }

    /// After 429 and 529: the time that was told is a floor for everybody in
    /// the bucket, which the limiter has heard of with the outcome. Untold,
    /// this call alone backs off.
    async fn throttle(
        &mut self,
        until: Option<Timestamp>,
        overloaded: bool,
    ) -> Result<(), CallError> {
        self.throttled += 1;
        if until.is_some() {
            return Ok(());
        }
        let wait = after_throttle(self.throttled, overloaded, &mut self.path.rng.lock());
        let until = Some(self.now().plus(wait));
        let turn = Box::pin(async move {
            tokio::time::sleep(wait).await;
            Ok(())
        });
        self.park(WaitingOn::RateLimit, until, turn, None).await.map(|_| ())
    }

    async fn back_off(&mut self, error: CallError) -> Result<(), CallError> {
        self.failures += 1;
        self.throttled = 0;
        if self.failures >= MOST_FAILURES {
            return Err(unavailable(&error, &format!("Tried {} times.", self.attempts)));
        }
        let kind = self.kind;
        if !self.path.budgets.withdraw(self.key.user_id, self.key.connection_id) {
            metrics::counter!("rehearsal_retry_budget_exhausted_total", "kind" => kind)
                .increment(1);
            return Err(unavailable(
                &error,
                "Not tried again: too many calls on this connection fail.",
            ));
        }
        let wait = after_failure(self.failures, &mut self.path.rng.lock());
        if wait >= self.limits.active_left.saturating_sub(self.used.active) {
            return Err(out_of_time(Some(&error)));
        }
        metrics::counter!("rehearsal_retries_total", "kind" => kind).increment(1);
        let began = Instant::now();
        tokio::time::sleep(wait).await;
        let took = began.elapsed();
        self.add_active(took);
        Ok(())
    }

    fn add_active(&mut self, took: Duration) {
        self.times.active += took;
        self.used.active += took;
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

    /// What came back, for metrics.
    fn count(&self, outcome: &Result<ChatReply, CallError>, took: Duration) {
        let kind = self.kind;
        let class = match outcome {
            Ok(reply) => match reply.finish {
                Finish::Stop | Finish::ToolCalls => "ok",
                Finish::Length => "length",
                Finish::Refusal => "refusal",
                Finish::ContentFilter => "content_filter",
            },
            Err(error) if error.cause == Cause::Unsent => return,
            Err(error) => error.cause.as_str(),
        };
        metrics::counter!("rehearsal_provider_answers_total", "kind" => kind, "class" => class)
            .increment(1);
        metrics::histogram!("rehearsal_call_duration_seconds", "kind" => kind)
            .record(took.as_secs_f64());
    }

    fn now(&self) -> Timestamp {
        self.path.clock.now()
    }
}

fn no_answer(after: Duration) -> CallError {
    let message = format!("The provider did not answer within {} s.", after.as_secs_f32());
    CallError { cause: Cause::Timeout, ..CallError::new(Decision::Retry, message) }
}

fn out_of_time(last: Option<&CallError>) -> CallError {
    let last = last.map(|error| format!(" The last answer: {}", error.message)).unwrap_or_default();
    CallError::new(
        Decision::GiveUp(ErrorKind::Timeout),
        format!("The run's active time was used up during a model call.{last}"),
    )
}

fn unavailable(error: &CallError, why: &str) -> CallError {
    let message = format!("{} {why}", error.message).trim_end().to_owned();
    CallError {
        status: error.status,
        cause: error.cause,
        words: error.words.clone(),
        ..CallError::new(Decision::GiveUp(ErrorKind::ProviderUnavailable), message)
    }
}
