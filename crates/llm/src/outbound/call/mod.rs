//! One call on its way, from the first gate to its end.

mod retry;
mod waiting;

use crate::outbound::gate::{Admission, CallKey, Permit};
use crate::outbound::size::Size;
use crate::outbound::{CallLimits, CallTimes, CallWatcher, Outbound, Route, Scope};
use llm_types::{CallError, Cause, ChatReply, ChatRequest, Decision};
use domain::{ErrorKind, Finish, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

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

    fn add_active(&mut self, took: Duration) {
        self.times.active += took;
        self.used.active += took;
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
