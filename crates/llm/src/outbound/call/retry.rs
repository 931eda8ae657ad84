//! The retry decision after a failed attempt. No other module retries calls.

use super::waiting::Wait;
use super::{CallDriver, out_of_time};
use crate::outbound::EndpointResolver;
use crate::outbound::backoff::{MAX_FAILURES, after_failure, after_throttle};
use domain::{ErrorKind, Timestamp, WaitReason};
use llm_types::{CallError, Decision};
use tokio::time::Instant;

impl<R: EndpointResolver> CallDriver<'_, R> {
    /// Waits until the next attempt, or returns the final error.
    pub(super) async fn wait_before_retry(
        &mut self,
        error: CallError,
        kind: &'static str,
    ) -> Result<(), CallError> {
        match error.decision {
            Decision::GiveUp(_) => Err(error),
            Decision::Wait { until, overloaded } => {
                self.throttling.count += 1;
                self.throttling.message = format!("{} ", error.message);
                self.wait_after_throttle(until, overloaded).await
            }
            Decision::Retry if self.key.probe => Err(unavailable(&error, "")),
            Decision::Retry => self.back_off(error, kind).await,
        }
    }

    /// Waits after 429 or 529. A time given by the provider applies to the whole
    /// bucket, and the limiter enforces it. Without one, this call alone backs off.
    async fn wait_after_throttle(
        &mut self,
        until: Option<Timestamp>,
        overloaded: bool,
    ) -> Result<(), CallError> {
        if until.is_some() {
            return Ok(());
        }
        let backoff =
            after_throttle(self.throttling.count, overloaded, &mut self.outbound.rng.lock());
        let ready = Box::pin(async move {
            tokio::time::sleep(backoff).await;
            Ok(())
        });
        let until = Some(self.now().plus(backoff));
        self.park(Wait { reason: WaitReason::RateLimit, until, ready, gate: None }).await.map(drop)
    }

    async fn back_off(&mut self, error: CallError, kind: &'static str) -> Result<(), CallError> {
        self.failures += 1;
        self.throttling.count = 0;
        if self.failures >= MAX_FAILURES {
            return Err(unavailable(&error, &format!("Tried {} times.", self.attempts)));
        }
        if !self.outbound.budgets.withdraw(self.key.user_id, self.key.connection_id) {
            metrics::counter!("rehearsal_retry_budget_exhausted_total", "kind" => kind)
                .increment(1);
            let why = "Not retried: too many calls on this connection fail.";
            return Err(unavailable(&error, why));
        }
        let backoff = after_failure(self.failures, &mut self.outbound.rng.lock());
        if backoff >= self.active_left() {
            return Err(out_of_time(Some(&error)));
        }
        metrics::counter!("rehearsal_retries_total", "kind" => kind).increment(1);
        let began = Instant::now();
        tokio::time::sleep(backoff).await;
        self.times.active += began.elapsed();
        Ok(())
    }
}

fn unavailable(error: &CallError, why: &str) -> CallError {
    let message = format!("{} {why}", error.message).trim_end().to_owned();
    CallError {
        status: error.status,
        cause: error.cause,
        provider_message: error.provider_message.clone(),
        ..CallError::new(Decision::GiveUp(ErrorKind::ProviderUnavailable), message)
    }
}
