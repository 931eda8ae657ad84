//! Time and randomness are passed in, never taken: `clippy.toml` forbids the
//! direct calls everywhere but here.

use app::domain::Timestamp;
use std::sync::Arc;
use uuid::Uuid;

/// Where the present comes from.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// A new UUIDv7 of now.
    fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().0).unwrap_or(0);
        let (seconds, nanos) =
            (millis / 1000, u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000);
        Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, nanos, 0, 0))
    }
}

/// A clock that everybody shares.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that reads it
    fn now(&self) -> Timestamp {
        let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        Timestamp(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// A clock that never goes back: the time of another at the start, and what
/// has passed since. Whoever waits until a moment asks this one, for the
/// machine's clock may be set back meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock(TokioClock);

impl SteadyClock {
    /// A clock that shows what `wall` shows now.
    #[must_use]
    pub fn from_now_on(wall: &dyn Clock) -> Self {
        Self(TokioClock::starting_at(wall.now()))
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// A clock that moves with tokio's time, and so stands still and jumps with
/// it in tests on paused time.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Timestamp,
    at: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that shows `origin` now.
    #[must_use]
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, at: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.origin.plus(self.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    struct Wall(AtomicI64);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_clock_goes_on_when_the_machines_is_set_back() {
        let wall = Wall(AtomicI64::new(7_200_000));
        let steady = SteadyClock::from_now_on(&wall);
        assert_eq!(steady.now(), wall.now());
        wall.0.store(3_600_000, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(steady.now(), Timestamp(7_205_000));
    }
}
