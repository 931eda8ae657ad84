//! One call on its way, from the first gate to its end.

use super::backoff::{MOST_FAILURES, after_failure, after_throttle, spread};
use super::{Admission, CallKey, CallLimits, CallTimes, CallWatcher, Outbound, Permit, Scope};
use crate::llm::types::{CallError, ChatReply, ChatRequest, Decision, Endpoint};
use app::domain::{ErrorKind, Timestamp, Waiting, WaitingOn};
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// Waits shorter than this are told to nobody.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// Least wait after a 429 or 529, whatever it says: these are not counted, so
/// a server that says "now" would be asked without end.
const LEAST_WAIT: Duration = Duration::from_millis(250);

pub(super) struct Call<'a> {
    path: &'a Outbound,
    key: CallKey,
    endpoint: &'a Endpoint,
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
        endpoint: &'a Endpoint,
        request: &'a ChatRequest,
        limits: &'a CallLimits,
        watcher: &'a dyn CallWatcher,
        times: &'a mut CallTimes,
    ) -> Self {
        let key = CallKey {
            user_id: scope.user_id,
            connection_id: endpoint.connection_id,
            model: request.model.clone(),
            probe: scope.probe,
        };
        let used = CallTimes::default();
        Self {
            path,
            key,
            endpoint,
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

    /// Past the bucket's floor, the limiter and the breaker. Whoever waits
    /// holds no permit meanwhile.
    async fn enter(&mut self) -> Result<[Box<dyn Permit>; 2], CallError> {
        loop {
            let now = self.now();
            if let Some(floor) =
                self.path.floors.ahead(self.key.connection_id, &self.key.model, now)
            {
                let wait = floor.since(now);
                let wait = wait + spread(wait, &mut self.path.rng.lock());
                let ready = Box::pin(tokio::time::sleep(wait));
                self.park(WaitingOn::RateLimit, Some(floor), ready).await?;
                continue;
            }
            let limited = match self.path.limiter.admit(&self.key, now) {
                Admission::Granted(permit) => permit,
                Admission::Refused(error) => return Err(error),
                Admission::Wait { what, until, ready } => {
                    self.park(what, until, ready).await?;
                    continue;
                }
            };
            match self.path.breaker.admit(&self.key, now) {
                Admission::Granted(permit) => return Ok([limited, permit]),
                Admission::Refused(error) => return Err(error),
                Admission::Wait { what, until, ready } => {
                    drop(limited);
                    self.park(what, until, ready).await?;
                }
            }
        }
    }

    /// Waits for `ready`, at most as long as the caller allows for `what`.
    async fn park(
        &mut self,
        what: WaitingOn,
        until: Option<Timestamp>,
        ready: BoxFuture<'static, ()>,
    ) -> Result<(), CallError> {
        let began = Instant::now();
        let mut left = self.limits.max_wait.saturating_sub(self.used.parked);
        if what == WaitingOn::Circuit {
            left = left.min(self.limits.circuit_wait.saturating_sub(self.used.circuit));
        }
        // A rate limit that outlasts what is left is waited for by nobody. A
        // circuit may be closed earlier, by a person who tries.
        let hopeless = until.is_some_and(|until| until.since(self.now()) > left);
        if left.is_zero() || (what == WaitingOn::RateLimit && hopeless) {
            return Err(self.parked_too_long(what, until));
        }
        let done = self.wait(Waiting { what, until }, ready, left).await;
        let took = began.elapsed();
        for times in [&mut *self.times, &mut self.used] {
            times.parked += took;
            times.circuit += if what == WaitingOn::Circuit { took } else { Duration::ZERO };
        }
        if done { Ok(()) } else { Err(self.parked_too_long(what, until)) }
    }

    /// Whether `ready` came in time. The watcher hears of it when the wait
    /// will be, or has become, long.
    async fn wait(
        &self,
        waiting: Waiting,
        mut ready: BoxFuture<'static, ()>,
        left: Duration,
    ) -> bool {
        let began = Instant::now();
        let known = waiting.until.map(|until| until.since(self.now()));
        if known.is_none_or(|wait| wait < WORTH_TELLING) {
            let quiet = WORTH_TELLING.min(left);
            if tokio::time::timeout(quiet, &mut ready).await.is_ok() {
                return true;
            }
        }
        let left = left.saturating_sub(began.elapsed());
        if left.is_zero() {
            return false;
        }
        self.watcher.waiting(waiting).await;
        let done = tokio::time::timeout(left, ready).await.is_ok();
        self.watcher.resumed().await;
        done
    }

    /// One attempt. The outer error ends the call at once.
    async fn attempt(
        &mut self,
        permits: [Box<dyn Permit>; 2],
    ) -> Result<Result<ChatReply, CallError>, CallError> {
        let left = self.limits.active_left.saturating_sub(self.used.active);
        if left.is_zero() {
            return Err(out_of_time(None));
        }
        self.attempts += 1;
        self.watcher.attempt_started(self.attempts).await;
        let began = Instant::now();
        let answer = self.path.provider.complete(self.endpoint, self.request);
        let answer = tokio::time::timeout(left.min(self.limits.call_timeout), answer).await;
        let took = began.elapsed();
        self.add_active(took);
        let outcome = match answer {
            Ok(outcome) => outcome,
            // Cut off by the run's end, not for being slow: the permits go
            // back by being dropped.
            Err(_) if left <= self.limits.call_timeout => return Err(out_of_time(None)),
            Err(_) => Err(no_answer(self.limits.call_timeout)),
        };
        for permit in permits {
            permit.finish(outcome.as_ref());
        }
        Ok(outcome.map(|mut reply| {
            self.path.budgets.deposit(self.key.connection_id);
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
            Decision::Retry => self.back_off(error).await,
        }
    }

    /// After 429 and 529: the time that was told is a floor for everybody in
    /// the bucket, which the next round at the gates waits for. Untold, this
    /// call alone backs off.
    async fn throttle(
        &mut self,
        until: Option<Timestamp>,
        overloaded: bool,
    ) -> Result<(), CallError> {
        self.throttled += 1;
        let now = self.now();
        if let Some(until) = until {
            let until = until.max(now.plus(LEAST_WAIT));
            self.path.floors.raise(self.key.connection_id, &self.key.model, until, now);
            return Ok(());
        }
        let wait = after_throttle(self.throttled, overloaded, &mut self.path.rng.lock());
        let ready = Box::pin(tokio::time::sleep(wait));
        self.park(WaitingOn::RateLimit, Some(now.plus(wait)), ready).await
    }

    async fn back_off(&mut self, error: CallError) -> Result<(), CallError> {
        self.failures += 1;
        self.throttled = 0;
        if self.failures >= MOST_FAILURES {
            return Err(unavailable(&error, &format!("Tried {} times.", self.attempts)));
        }
        if !self.path.budgets.withdraw(self.key.connection_id) {
            return Err(unavailable(
                &error,
                "Not tried again: too many calls on this connection fail.",
            ));
        }
        let wait = after_failure(self.failures, &mut self.path.rng.lock());
        if wait >= self.limits.active_left.saturating_sub(self.used.active) {
            return Err(out_of_time(Some(&error)));
        }
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

    fn parked_too_long(&self, what: WaitingOn, until: Option<Timestamp>) -> CallError {
        let (kind, held, allowed) = match what {
            WaitingOn::Circuit => (
                ErrorKind::CircuitOpen,
                "the circuit of this connection, which is open because its calls kept failing",
                self.limits.circuit_wait.min(self.limits.max_wait),
            ),
            WaitingOn::RateLimit | WaitingOn::Slot => {
                (ErrorKind::RateLimited, "the provider's rate limit", self.limits.max_wait)
            }
        };
        let said = if kind == ErrorKind::RateLimited { self.throttle_words.as_str() } else { "" };
        let until = until.map(|until| format!(" (until {until})")).unwrap_or_default();
        let message = format!(
            "{said}Held back by {held}{until}, for longer than the {} s that a run waits.",
            allowed.as_secs()
        );
        CallError { decision: Decision::GiveUp(kind), message, status: None }
    }

    fn now(&self) -> Timestamp {
        self.path.clock.now()
    }
}

fn no_answer(after: Duration) -> CallError {
    let message = format!("The provider did not answer within {} s.", after.as_secs_f32());
    CallError { decision: Decision::Retry, message, status: None }
}

fn out_of_time(last: Option<&CallError>) -> CallError {
    let last = last.map(|error| format!(" The last answer: {}", error.message)).unwrap_or_default();
    CallError {
        decision: Decision::GiveUp(ErrorKind::Timeout),
        message: format!("The run's active time was used up during a model call.{last}"),
        status: None,
    }
}

fn unavailable(error: &CallError, why: &str) -> CallError {
    CallError {
        decision: Decision::GiveUp(ErrorKind::ProviderUnavailable),
        message: format!("{} {why}", error.message),
        status: error.status,
    }
}
