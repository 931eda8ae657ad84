//! Repeats requests while the server is unreachable, for a limited time.

use super::api::Failure;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause, which doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The failures since the last success.
#[derive(Debug)]
pub(super) struct Outage {
    limit: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: None, pause: FIRST_PAUSE }
    }

    /// Ends the outage. Returns whether there was one.
    pub(super) fn end(&mut self) -> bool {
        self.pause = FIRST_PAUSE;
        self.since.take().is_some()
    }

    /// Pauses before the next attempt. Returns whether the outage has just begun.
    ///
    /// # Errors
    /// The failure, if it is permanent or the server has been unreachable for too long.
    pub(super) async fn wait(&mut self, failure: Failure) -> Result<bool, Failure> {
        if !failure.is_temporary {
            return Err(failure);
        }
        let is_new = self.since.is_none();
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.limit {
            let seconds = self.limit.as_secs();
            return Err(Failure::fatal(format!("{} (for {seconds} s)", failure.message)));
        }
        sleep(failure.retry_after.unwrap_or(self.pause)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(is_new)
    }

    /// Repeats an attempt until it succeeds or its failure is permanent.
    pub(super) async fn retry<T>(
        &mut self,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        loop {
            match attempt().await {
                Ok(value) => {
                    self.end();
                    return Ok(value);
                }
                Err(failure) => {
                    self.wait(failure).await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Outage};
    use std::cell::Cell;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn temporary_failures_are_repeated_until_the_limit() {
        let mut outage = Outage::new(Duration::from_secs(60));
        let start = Instant::now();
        let attempts = Cell::new(0);
        let result: Result<(), _> = outage
            .retry(async || {
                attempts.set(attempts.get() + 1);
                Err(Failure::temporary("down".to_owned()))
            })
            .await;
        assert_eq!(result.unwrap_err().message, "down (for 60 s)");
        assert!((60..70).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        assert!((14..=18).contains(&attempts.get()), "{attempts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn permanent_failures_are_not_repeated() {
        let mut outage = Outage::new(Duration::from_secs(60));
        let start = Instant::now();
        let result: Result<(), _> =
            outage.retry(async || Err(Failure::fatal("wrong".to_owned()))).await;
        assert_eq!(result.unwrap_err().message, "wrong");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn success_ends_an_outage() {
        let mut outage = Outage::new(Duration::from_secs(10));
        for _ in 0..20 {
            let failed = Cell::new(false);
            let result = outage.retry(async || {
                if failed.replace(true) {
                    return Ok(());
                }
                let retry_after = Some(Duration::from_secs(5));
                Err(Failure { retry_after, ..Failure::temporary("busy".to_owned()) })
            });
            assert!(result.await.is_ok(), "each outage lasts 5 s");
        }
    }
}
