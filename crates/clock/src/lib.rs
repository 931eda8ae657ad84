//! Time and randomness are passed in, never taken: `clippy.toml` forbids the
//! direct calls everywhere but here.
//!
//! Two clocks of the machine go into what is built here, and they differ:
//!
//! - The **wall clock** says what people and other servers call now. It can be
//!   set, forward and back, by somebody or by a time server. [`SystemClock`]
//!   shows it. Leases, deadlines and everything that is stored go by it: it
//!   means the same after a start, and it goes on while the machine is
//!   suspended. So a process that wakes up sees at once for how long it renewed
//!   nothing, and stops its runs if it still cannot.
//! - The **time since the machine was switched on** cannot be set. Timers go by
//!   a form of it that stands still in suspend; [`SteadyClock`] goes by the form
//!   that does not (on Linux `CLOCK_BOOTTIME`). Whoever waits until a moment
//!   asks it. It is no reason to wait longer, or to go earlier, that somebody
//!   sets the wall clock meanwhile. But a provider that says "at ten" means ten
//!   o'clock also after a suspend: a clock that had stood still would wait for
//!   longer by all that time. To compare both clocks and follow the wall clock's
//!   jumps forward would do as well after a suspend, but it cannot tell one from
//!   a wall clock that somebody sets.

use domain::Timestamp;
use std::sync::Arc;
use std::time::Duration;
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

/// A clock that nobody can set: the time of another at the start, and what has
/// passed since, time in suspend included. Whoever waits until a moment asks
/// this one, for the machine's clock may be set meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock<U = fn() -> Duration> {
    origin: Timestamp,
    began: Duration,
    uptime: U,
}

impl SteadyClock {
    /// A clock that shows what `wall` shows now.
    #[must_use]
    pub fn from_now_on(wall: &dyn Clock) -> Self {
        Self::over(wall, uptime)
    }
}

impl<U: Fn() -> Duration> SteadyClock<U> {
    /// The same over what tells how long the machine has been on.
    fn over(wall: &dyn Clock, uptime: U) -> Self {
        Self { origin: wall.now(), began: uptime(), uptime }
    }
}

impl<U: Fn() -> Duration + Send + Sync + 'static> Clock for SteadyClock<U> {
    fn now(&self) -> Timestamp {
        self.origin.plus((self.uptime)().saturating_sub(self.began))
    }
}

/// How long this machine has been on, time in suspend included.
#[allow(clippy::disallowed_methods)] // the one place that reads it
fn uptime() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let now = {
        use rustix::time::{DynamicClockId, clock_gettime_dynamic};
        // Where a sandbox has no such clock, one that stands still in suspend.
        clock_gettime_dynamic(DynamicClockId::Boottime)
            .unwrap_or_else(|_| clock_gettime(ClockId::Monotonic))
    };
    // Elsewhere, as on macOS, this one includes suspend.
    #[cfg(not(target_os = "linux"))]
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
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

/// What tests of several rooms need.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use super::{Clock, TokioClock};
    use domain::Timestamp;
    use parking_lot::Mutex;
    use std::time::Duration;

    /// A machine that can be suspended: its clock goes on then, and timers (as
    /// tokio's) stand still.
    pub struct Laptop {
        awake: TokioClock,
        asleep: Mutex<Duration>,
    }

    impl Default for Laptop {
        fn default() -> Self {
            let awake = TokioClock::starting_at(Timestamp(1_700_000_000_000));
            Self { awake, asleep: Mutex::default() }
        }
    }

    impl Laptop {
        /// Sleeps for so long, and wakes up.
        pub fn suspend(&self, time: Duration) {
            *self.asleep.lock() += time;
        }
    }

    impl Clock for Laptop {
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

    /// A machine: its wall clock, and how long it has been on.
    #[derive(Clone, Default)]
    struct Machine(Arc<Mutex<(Timestamp, Duration)>>);

    impl Machine {
        fn at(hours: u32) -> Self {
            let machine = Self::default();
            machine.0.lock().0 = Timestamp(0).plus(hours * HOUR);
            machine
        }

        /// Time passes: while it runs, or while it is suspended.
        fn pass(&self, time: Duration) {
            let mut now = self.0.lock();
            *now = (now.0.plus(time), now.1 + time);
        }

        fn set(&self, hours: u32) {
            self.0.lock().0 = Timestamp(0).plus(hours * HOUR);
        }

        fn steady(&self) -> SteadyClock<impl Fn() -> Duration + Send + Sync + 'static> {
            let machine = self.clone();
            SteadyClock::over(self, move || machine.0.lock().1)
        }
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            self.0.lock().0
        }
    }

    #[test]
    fn a_steady_clock_goes_on_when_the_machines_is_set() {
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

    // Timers stand still in suspend, as paused time does here.
    #[tokio::test(start_paused = true)]
    async fn a_steady_clock_is_right_after_the_machine_was_suspended() {
        let machine = Machine::at(2);
        let (steady, timers) = (machine.steady(), tokio::time::Instant::now());
        machine.pass(8 * HOUR);
        assert_eq!(timers.elapsed(), Duration::ZERO);
        assert_eq!(steady.now(), machine.now());
    }

    // The same clock as `uptime` of the kernel, which goes on in suspend.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_machines_uptime_includes_suspend() {
        let told = std::fs::read_to_string("/proc/uptime").unwrap();
        let told: f64 = told.split(' ').next().unwrap().parse().unwrap();
        let ours = uptime().as_secs_f64();
        assert!((ours - told).abs() < 10.0, "{ours} s here, {told} s there");
        let (wall, steady) = (SystemClock, SteadyClock::from_now_on(&SystemClock));
        assert!(steady.now().since(wall.now()) < Duration::from_secs(1));
        assert!(wall.now().since(steady.now()) < Duration::from_secs(1));
    }
}
