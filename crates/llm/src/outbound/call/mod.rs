//! The steps of one call: acquire permits, attempt, and retry or return.

mod progress;
mod retry;
mod waiting;

use super::gate::{Admission, CallKey, Gate, Permit, Permits};
use super::token_estimate::RequestSize;
use super::{Call, CallOutcome, CallTimes, EndpointResolver, Outbound};
use crate::http_agent::OUTCOME_UNKNOWN;
use domain::{ErrorKind, FinishReason, Timestamp};
use llm_types::{CallError, Cause, ChatReply, Decision, Endpoint};
use progress::StreamProgress;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use waiting::Wait;

/// A call that gets no answer for a shorter time, because the active time of the run ends, is
/// not counted as a failure.
const MIN_SILENCE: Duration = Duration::from_secs(1);

/// A call in progress: its input, and the state that its retries share.
pub(super) struct CallDriver<'a, R> {
    outbound: &'a Outbound,
    call: Call<'a, R>,
    key: CallKey,
    times: CallTimes,
    attempts: u32,
    failures: u32,
    throttling: Throttling,
    /// How long the call waited for the rate limit while it let no call through.
    stalled: Duration,
}

/// The consecutive 429 and 529 responses.
#[derive(Default)]
struct Throttling {
    count: u32,
    /// The message of the last one.
    message: String,
}

/// A finished attempt.
enum Attempt {
    Replied(ChatReply),
    Failed {
        error: CallError,
        /// The protocol, for metrics.
        kind: &'static str,
    },
}

impl<'a, R: EndpointResolver> CallDriver<'a, R> {
    pub(super) fn new(outbound: &'a Outbound, call: Call<'a, R>) -> Self {
        let key = CallKey {
            user_id: call.user_id,
            order: call.order,
            connection_id: call.resolver.connection_id(),
            model: call.request.model.clone(),
            not_before: None,
            is_manual_probe: call.is_manual_probe,
            size: RequestSize::of(call.request),
        };
        let (times, throttling) = (CallTimes::default(), Throttling::default());
        let stalled = Duration::ZERO;
        Self { outbound, call, key, times, attempts: 0, failures: 0, throttling, stalled }
    }

    pub(super) async fn run(mut self) -> CallOutcome<R::Error> {
        let result = self.call_until_final().await;
        CallOutcome { result, times: self.times }
    }

    async fn call_until_final(&mut self) -> Result<ChatReply, R::Error> {
        loop {
            let permits = self.acquire_permits().await?;
            match self.attempt(permits).await? {
                Attempt::Replied(reply) => return Ok(reply),
                Attempt::Failed { error, kind } => self.wait_before_retry(error, kind).await?,
            }
        }
    }

    /// Acquires the permits of the limiter and the circuit breaker. A call that waits
    /// for one of them does not hold the other.
    async fn acquire_permits(&mut self) -> Result<Permits, CallError> {
        let (limiter, breaker) = (self.outbound.limiter_gate(), self.outbound.breaker_gate());
        let (mut limiter_permit, mut breaker_permit) = (None, None);
        loop {
            if limiter_permit.is_none() {
                limiter_permit = self.acquire(limiter, &mut breaker_permit).await?;
            }
            if breaker_permit.is_none() {
                breaker_permit = self.acquire(breaker, &mut limiter_permit).await?;
            }
            match (limiter_permit, breaker_permit) {
                (Some(limiter), Some(breaker)) => {
                    self.key.not_before = None;
                    return Ok(Permits { limiter, breaker });
                }
                partial => (limiter_permit, breaker_permit) = partial,
            }
        }
    }

    /// Acquires a permit of `gate`. A call that has to wait releases its permit of the
    /// other gate.
    async fn acquire(
        &mut self,
        gate: &dyn Gate,
        other_permit: &mut Option<Box<dyn Permit>>,
    ) -> Result<Option<Box<dyn Permit>>, CallError> {
        match gate.acquire(&self.key, self.now()) {
            Admission::Granted(permit) => Ok(Some(permit)),
            Admission::Rejected(error) => Err(error),
            Admission::Wait { reason, until, permit } => {
                drop(other_permit.take());
                self.wait_for(Wait { reason, until, ready: permit, gate: Some(gate) }).await
            }
        }
    }

    /// Makes one attempt. An error ends the call.
    async fn attempt(&mut self, mut permits: Permits) -> Result<Attempt, R::Error> {
        let limits = self.call.limits;
        let left = self.active_left();
        if left.is_zero() {
            return Err(out_of_time(None).into());
        }
        // Resolved while both permits are held: an edit of the connection resets both
        // gates, so a call that was permitted after the edit uses the edited endpoint.
        let endpoint = self.call.resolver.resolve().await?;
        self.attempts += 1;
        self.call.hooks.attempt_started(self.attempts).await;
        permits.mark_sent();
        let began = Instant::now();
        // A deployed agent has its own time limits, which its adapter applies.
        let own_timeout = endpoint.timeout.filter(|_| self.call.request.http.is_none());
        let call_timeout = own_timeout.unwrap_or(limits.call_timeout);
        let (progress, is_sent) = (StreamProgress::default(), AtomicBool::new(false));
        let reply = self.exchange(&endpoint, &progress, &is_sent);
        let outcome = progress.limit(reply, call_timeout, left).await;
        let may_repeat = !is_sent.into_inner() || self.is_repeatable();
        let outcome = outcome.unwrap_or_else(|| Err(attempt_timeout(call_timeout, may_repeat)));
        let took = began.elapsed();
        self.times.active += took;
        let kind = endpoint.kind.as_str();
        record_metrics(kind, &outcome, took);
        let timed_out = matches!(&outcome, Err(error) if error.cause == Cause::Timeout);
        let streamed = progress.first_part().is_some();
        let out_of_active_time = timed_out && took >= left && (left <= call_timeout || streamed);
        // A provider whose answer is still coming does not fail.
        if out_of_active_time && (took < MIN_SILENCE || streamed) {
            drop(permits);
        } else {
            // A provider that hangs fails, also if the run's active time ends first.
            permits.finish(outcome.as_ref());
        }
        if out_of_active_time && !self.key.is_manual_probe {
            let error = out_of_time(None);
            return Err(if may_repeat { error } else { outcome_unknown(&error.message) }.into());
        }
        Ok(match outcome {
            Ok(reply) => {
                self.outbound.budgets.deposit(self.key.user_id, self.key.connection_id);
                Attempt::Replied(ChatReply { attempts: self.attempts, ..reply })
            }
            Err(error) => Attempt::Failed { error, kind },
        })
    }

    /// Whether the request may be sent again although it may have been executed.
    fn is_repeatable(&self) -> bool {
        self.call.request.http.as_ref().is_none_or(|call| call.is_repeatable())
    }

    /// Sends the request, and notes that. The latency of the reply does not contain the time
    /// for an access token.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        progress: &StreamProgress,
        is_sent: &AtomicBool,
    ) -> Result<ChatReply, CallError> {
        self.outbound.provider.prepare(endpoint).await?;
        is_sent.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let reply = self.outbound.provider.stream(endpoint, self.call.request, progress).await?;
        let first_token = progress.first_part().map(|at| at.duration_since(began));
        Ok(ChatReply { latency: began.elapsed(), first_token, ..reply })
    }

    fn active_left(&self) -> Duration {
        self.call.limits.active_left.saturating_sub(self.times.active)
    }

    fn now(&self) -> Timestamp {
        self.outbound.clock.now()
    }
}

fn record_metrics(kind: &'static str, outcome: &Result<ChatReply, CallError>, took: Duration) {
    let class = match outcome {
        Ok(reply) => match reply.finish {
            FinishReason::Stop | FinishReason::ToolCalls => "ok",
            FinishReason::Length => "length",
            FinishReason::Refusal => "refusal",
            FinishReason::ContentFilter => "content_filter",
        },
        Err(error) if error.cause == Cause::NotSent => return,
        Err(error) => error.cause.as_str(),
    };
    metrics::counter!("rehearsal_provider_answers_total", "kind" => kind, "class" => class)
        .increment(1);
    metrics::histogram!("rehearsal_call_duration_seconds", "kind" => kind)
        .record(took.as_secs_f64());
}

fn attempt_timeout(after: Duration, may_repeat: bool) -> CallError {
    let seconds = after.as_secs_f32();
    if !may_repeat {
        return outcome_unknown(&format!("The agent did not answer within {seconds} s."));
    }
    let message = format!("The provider did not answer within {seconds} s.");
    CallError { cause: Cause::Timeout, ..CallError::new(Decision::Retry, message) }
}

/// The error of a request that was interrupted and must not be repeated.
fn outcome_unknown(message: &str) -> CallError {
    let decision = Decision::GiveUp(ErrorKind::OutcomeUnknown);
    let message = format!("{message} {OUTCOME_UNKNOWN}");
    CallError { cause: Cause::Timeout, ..CallError::new(decision, message) }
}

fn out_of_time(last: Option<&CallError>) -> CallError {
    let last = last.map(|error| format!(" The last error: {}", error.message)).unwrap_or_default();
    CallError::new(
        Decision::GiveUp(ErrorKind::Timeout),
        format!("The run's active time was used up during a model call.{last}"),
    )
}
