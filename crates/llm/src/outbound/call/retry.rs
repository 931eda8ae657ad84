//! What to do after an error: the one place that retries.

use super::{Call, out_of_time};
use crate::outbound::backoff::{MOST_FAILURES, after_failure, after_throttle};
use llm_types::{CallError, Decision};
use domain::{ErrorKind, Timestamp, WaitingOn};
use tokio::time::Instant;

impl Call<'_> {
    /// What to do after an error: the one place that retries. Returns when it
    /// is time to try again.
    pub(super) async fn after(&mut self, error: CallError) -> Result<(), CallError> {
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
