//! The retry decision after a failed attempt. No other module retries calls.

use super::{CallDriver, out_of_time};
use crate::outbound::EndpointResolver;
use crate::outbound::backoff::{
    MAX_FAILURES, after_failure, after_throttle, min_wait_after_throttle,
};
use domain::{ErrorKind, Timestamp};
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
                self.postpone(until, overloaded);
                Ok(())
            }
            Decision::Retry if self.key.is_manual_probe => Err(unavailable(&error, "")),
            Decision::Retry => self.back_off(error, kind).await,
        }
    }

    /// Postpones the next attempt after 429 or 529: to the time that the provider gave,
    /// or by a backoff. The limiter makes this call wait, and the others only if there is
    /// evidence of a limit.
    fn postpone(&mut self, until: Option<Timestamp>, overloaded: bool) {
        let (count, now) = (self.throttling.count, self.now());
        let until = until.unwrap_or_else(|| {
            now.plus(after_throttle(count, overloaded, &mut self.outbound.rng.lock()))
        });
        self.key.not_before = Some(until.max(now.plus(min_wait_after_throttle(count))));
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
