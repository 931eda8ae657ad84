//! The time limits of an attempt: the whole time, and the time without a part of a streamed
//! answer.

use llm_types::Progress;
use parking_lot::Mutex;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The parts of a streamed answer that arrived.
#[derive(Default)]
pub(super) struct StreamProgress(Mutex<Option<Parts>>);

#[derive(Clone, Copy)]
struct Parts {
    first: Instant,
    last: Instant,
}

impl Progress for StreamProgress {
    fn received(&self) {
        let now = Instant::now();
        let mut parts = self.0.lock();
        let first = parts.map_or(now, |parts| parts.first);
        *parts = Some(Parts { first, last: now });
    }
}

impl StreamProgress {
    /// When the first part arrived; `None` if the answer is not streamed.
    pub(super) fn first_part(&self) -> Option<Instant> {
        self.0.lock().map(|parts| parts.first)
    }

    /// Waits for the answer for at most `total`, and at most `idle` without a part of it.
    /// `None` when the time is up.
    pub(super) async fn limit<T>(
        &self,
        answer: impl Future<Output = T>,
        idle: Duration,
        total: Duration,
    ) -> Option<T> {
        let began = Instant::now();
        let end = began + total;
        tokio::pin!(answer);
        loop {
            let last = self.0.lock().map_or(began, |parts| parts.last);
            let until = (last + idle).min(end);
            if let Ok(answer) = timeout_at(until, &mut answer).await {
                return Some(answer);
            }
            let last = self.0.lock().map_or(began, |parts| parts.last);
            if Instant::now() >= end || Instant::now() >= last + idle {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::sync::Arc;
    use tokio::time::sleep;

    /// An answer whose parts arrive every `pause` seconds.
    async fn answer(progress: Arc<StreamProgress>, parts: u32, pause: u64) -> u32 {
        for _ in 0..parts {
            sleep(Duration::from_secs(pause)).await;
            progress.received();
        }
        parts
    }

    #[rstest]
    #[case::flowing(20, 9, Some(20), 180)]
    #[case::stopped(20, 11, None, 10)]
    #[case::at_once(0, 0, Some(0), 0)]
    #[case::longer_than_the_whole_time(200, 9, None, 300)]
    #[tokio::test(start_paused = true)]
    async fn time_between_parts_counts(
        #[case] parts: u32,
        #[case] pause: u64,
        #[case] expected: Option<u32>,
        #[case] seconds: u64,
    ) {
        let progress = Arc::new(StreamProgress::default());
        let (idle, total) = (Duration::from_secs(10), Duration::from_secs(300));
        let began = Instant::now();
        let answer = answer(Arc::clone(&progress), parts, pause);
        assert_eq!(progress.limit(answer, idle, total).await, expected);
        assert_eq!(began.elapsed(), Duration::from_secs(seconds));
        let first = progress.first_part().map(|at| at.duration_since(began).as_secs());
        assert_eq!(first, (seconds > 10).then_some(pause));
    }
}
