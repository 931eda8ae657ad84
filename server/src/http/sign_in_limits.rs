//! Rate limits against password guessing: by client address and email, and by
//! address alone against attempts with many emails.

use domain::error::{AppError, ErrorCode};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

type Limits<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock>;

/// Burst for one email from one address; afterwards one attempt per 6 s.
const EMAIL_BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Burst from one address; afterwards one attempt per second.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// Number of entries above which expired ones are evicted.
const MAX_ENTRIES: usize = 10_000;

pub struct SignInLimits {
    emails: Limits<(IpAddr, String)>,
    addresses: Limits<IpAddr>,
    clock: DefaultClock,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            emails: RateLimiter::dashmap(Quota::per_minute(EMAIL_BURST)),
            addresses: RateLimiter::dashmap(Quota::per_minute(ADDRESS_BURST)),
            clock: DefaultClock::default(),
        }
    }
}

impl SignInLimits {
    /// Records an attempt.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn record_attempt(&self, ip: IpAddr, email: &str) -> Result<(), AppError> {
        if self.emails.len() + self.addresses.len() > MAX_ENTRIES {
            self.emails.retain_recent();
            self.addresses.retain_recent();
        }
        let now = self.clock.now();
        let email: String = email.trim().to_lowercase().chars().take(320).collect();
        let by_address =
            self.addresses.check_key(&ip).map_err(|not_until| not_until.wait_time_from(now));
        let by_email =
            self.emails.check_key(&(ip, email)).map_err(|not_until| not_until.wait_time_from(now));
        by_address.and(by_email).map_err(|wait| {
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            let unit = if seconds == 1 { "second" } else { "seconds" };
            let detail = format!("Too many attempts. Try again in {seconds} {unit}.");
            AppError { retry_after: Some(seconds), ..AppError::new(ErrorCode::TooMany, detail) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SignInLimits;
    use std::net::IpAddr;

    #[test]
    fn eleventh_attempt_is_limited_and_other_users_are_not() {
        let limits = SignInLimits::default();
        let ip = IpAddr::from([203, 0, 113, 1]);
        for _ in 0..10 {
            assert!(limits.record_attempt(ip, "a@example.com").is_ok());
        }
        let limited =
            limits.record_attempt(ip, " A@example.com").expect_err("the eleventh attempt");
        assert_eq!(limited.code.status(), 429);
        assert!(limited.retry_after.is_some_and(|seconds| (1..=7).contains(&seconds)));
        assert!(limits.record_attempt(ip, "b@example.com").is_ok());
        assert!(limits.record_attempt(IpAddr::from([203, 0, 113, 2]), "a@example.com").is_ok());
    }
}
