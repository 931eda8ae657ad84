//! Time is passed in as a [`Clock`]: `clippy.toml` forbids reading it elsewhere.
//!
//! The crate builds on two clocks of the machine:
//!
//! - The **wall clock** ([`SystemClock`]) can be set forward and back, by a user or by NTP,
//!   and advances while the machine is paused (system sleep, a stopped virtual machine).
//!   Leases, deadlines and all stored times use it, because it stays meaningful across
//!   restarts. A process that continues after a pause
//!   sees at once that its leases are overdue.
//! - The **time since boot** cannot be set. Timers use a variant that stops during a pause.
//!   [`SteadyClock`] uses the variant that does not (`CLOCK_BOOTTIME` on Linux). Waits until
//!   a point in time use it: setting the wall clock must neither prolong nor shorten them,
//!   and a Retry-After of a provider continues during a pause.

use domain::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A source of the current time.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Creates a UUIDv7 with the current time.
    fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().0).unwrap_or(0);
        let (seconds, nanos) =
            (millis / 1000, u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000);
        Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, nanos, 0, 0))
    }
}

pub type SharedClock = Arc<dyn Clock>;

/// The wall clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the only place that reads it
    fn now(&self) -> Timestamp {
        let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        Timestamp(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// A clock that cannot be set: the wall clock's time at creation plus the time since
/// then, including pauses of the machine. Use it to wait until a point in time.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock<U = fn() -> Duration> {
    origin: Timestamp,
    began: Duration,
    uptime: U,
}

impl SteadyClock {
    /// Creates a clock that shows the time of `wall` now.
    #[must_use]
    pub fn starting_from(wall: &dyn Clock) -> Self {
        Self::with_uptime(wall, uptime)
    }
}

impl<U: Fn() -> Duration> SteadyClock<U> {
    fn with_uptime(wall: &dyn Clock, uptime: U) -> Self {
        Self { origin: wall.now(), began: uptime(), uptime }
    }
}

impl<U: Fn() -> Duration + Send + Sync + 'static> Clock for SteadyClock<U> {
    fn now(&self) -> Timestamp {
        self.origin.plus((self.uptime)().saturating_sub(self.began))
    }
}

/// The time since boot, including pauses of the machine.
#[allow(clippy::disallowed_methods)] // the only place that reads it
fn uptime() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let now = {
        use rustix::time::{DynamicClockId, clock_gettime_dynamic};
        // Sandboxes without this clock get one that stops during a pause.
        clock_gettime_dynamic(DynamicClockId::Boottime)
            .unwrap_or_else(|_| clock_gettime(ClockId::Monotonic))
    };
    // On other systems, such as macOS, this clock includes pauses.
    #[cfg(not(target_os = "linux"))]
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// A clock that follows tokio's time, for tests on paused time.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Timestamp,
    at: tokio::time::Instant,
}

impl TokioClock {
    /// Creates a clock that shows `origin` now.
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

#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use super::{Clock, TokioClock};
    use domain::Timestamp;
    use parking_lot::Mutex;
    use std::time::Duration;

    /// The clock of a machine that can be paused: the clock advances, and timers (like
    /// tokio's) stop.
    pub struct PausableClock {
        awake: TokioClock,
        asleep: Mutex<Duration>,
    }

    impl Default for PausableClock {
        fn default() -> Self {
            let awake = TokioClock::starting_at(Timestamp(1_700_000_000_000));
            Self { awake, asleep: Mutex::default() }
        }
    }

    impl PausableClock {
        /// Pauses the machine for this time.
        pub fn pause(&self, time: Duration) {
            *self.asleep.lock() += time;
        }
    }

    impl Clock for PausableClock {
        fn now(&self) -> Timestamp {
            self.awake.now().plus(*self.asleep.lock())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A machine with a wall clock and an uptime.
    #[derive(Clone, Default)]
    struct Machine(Arc<Mutex<(Timestamp, Duration)>>);

    impl Machine {
        fn at(hours: u32) -> Self {
            let machine = Self::default();
            machine.0.lock().0 = Timestamp(0).plus(hours * HOUR);
            machine
        }

        /// Lets time pass, in operation or in a pause.
        fn pass(&self, time: Duration) {
            let mut now = self.0.lock();
            *now = (now.0.plus(time), now.1 + time);
        }

        fn set(&self, hours: u32) {
            self.0.lock().0 = Timestamp(0).plus(hours * HOUR);
        }

        fn steady(&self) -> SteadyClock<impl Fn() -> Duration + Send + Sync + 'static> {
            let machine = self.clone();
            SteadyClock::with_uptime(self, move || machine.0.lock().1)
        }
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            self.0.lock().0
        }
    }

    #[test]
    fn steady_clock_ignores_wall_clock_changes() {
        let machine = Machine::at(2);
        let steady = machine.steady();
        assert_eq!(steady.now(), machine.now());
        for hours in [1, 9] {
            machine.set(hours);
            let before = steady.now();
            machine.pass(Duration::from_secs(5));
            assert_eq!(steady.now(), before.plus(Duration::from_secs(5)), "set to {hours}");
        }
    }

    // Timers stop during a pause, like paused time here.
    #[tokio::test(start_paused = true)]
    async fn steady_clock_includes_machine_pauses() {
        let machine = Machine::at(2);
        let (steady, timers) = (machine.steady(), tokio::time::Instant::now());
        machine.pass(8 * HOUR);
        assert_eq!(timers.elapsed(), Duration::ZERO);
        assert_eq!(steady.now(), machine.now());
    }

    // The kernel's `uptime` includes pauses.
    #[cfg(target_os = "linux")]
    #[test]
    fn uptime_includes_machine_pauses() {
        let kernel = std::fs::read_to_string("/proc/uptime").unwrap();
        let kernel: f64 = kernel.split(' ').next().unwrap().parse().unwrap();
        let ours = uptime().as_secs_f64();
        assert!((ours - kernel).abs() < 10.0, "{ours} s, kernel: {kernel} s");
        let (wall, steady) = (SystemClock, SteadyClock::starting_from(&SystemClock));
        assert!(steady.now().since(wall.now()) < Duration::from_secs(1));
        assert!(wall.now().since(steady.now()) < Duration::from_secs(1));
    }
}
