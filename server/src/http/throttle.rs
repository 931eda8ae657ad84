//! Guessing passwords is slow: attempts to sign in are limited by address and
//! e-mail, and by address alone for whoever tries many e-mails.

use domain::error::{AppError, ErrorCode};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

type Limits<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock>;

/// Attempts at once for one e-mail from one address; then one every 6 s.
const PER_EMAIL: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Attempts at once from one address; then one a second.
const PER_ADDRESS: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// Entries after which forgotten ones are cleared out.
const MANY: usize = 10_000;

/// The limits of one server.
pub struct SignInLimits {
    emails: Limits<(IpAddr, String)>,
    addresses: Limits<IpAddr>,
    clock: DefaultClock,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            emails: RateLimiter::dashmap(Quota::per_minute(PER_EMAIL)),
            addresses: RateLimiter::dashmap(Quota::per_minute(PER_ADDRESS)),
            clock: DefaultClock::default(),
        }
    }
}

impl SignInLimits {
    /// Notes an attempt.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn attempt(&self, ip: IpAddr, email: &str) -> Result<(), AppError> {
        if self.emails.len() + self.addresses.len() > MANY {
            self.emails.retain_recent();
            self.addresses.retain_recent();
        }
        let now = self.clock.now();
        let email: String = email.trim().to_lowercase().chars().take(320).collect();
        let by_address = self.addresses.check_key(&ip).map_err(|no| no.wait_time_from(now));
        let by_email = self.emails.check_key(&(ip, email)).map_err(|no| no.wait_time_from(now));
        by_address.and(by_email).map_err(|wait| {
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            let unit = if seconds == 1 { "second" } else { "seconds" };
            let sentence = format!("Too many attempts. Please try again in {seconds} {unit}.");
            AppError { retry_after: Some(seconds), ..AppError::new(ErrorCode::TooMany, sentence) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SignInLimits;
    use std::net::IpAddr;

    #[test]
    fn the_eleventh_attempt_waits_and_other_people_do_not() {
        let limits = SignInLimits::default();
        let ip = IpAddr::from([203, 0, 113, 1]);
        for _ in 0..10 {
            assert!(limits.attempt(ip, "a@example.com").is_ok());
        }
        let refused = limits.attempt(ip, " A@example.com").expect_err("the eleventh");
        assert_eq!(refused.code.status(), 429);
        assert!(refused.retry_after.is_some_and(|seconds| (1..=7).contains(&seconds)));
        assert!(limits.attempt(ip, "b@example.com").is_ok());
        assert!(limits.attempt(IpAddr::from([203, 0, 113, 2]), "a@example.com").is_ok());
    }
}
