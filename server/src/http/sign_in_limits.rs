//! Rate limits against password guessing: by client and email, by client alone against
//! attempts with many emails, and by email alone against attempts from many clients. A
//! client is an IPv4 address or an IPv6 /64 network.

use domain::error::{AppError, ErrorCode};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use services::client_network;
use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

type Limits<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock>;

/// Burst for one email from one client; afterwards one attempt per 6 s.
const PAIR_BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Burst from one client; afterwards one attempt per second.
const CLIENT_BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// Burst for one email from all clients that did not sign in with it before; afterwards
/// one attempt per [`ACCOUNT_INTERVAL`].
const ACCOUNT_BURST: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(3);
/// Number of entries above which expired ones are evicted.
const MAX_ENTRIES: usize = 10_000;

pub struct SignInLimits {
    pairs: Limits<(IpAddr, String)>,
    clients: Limits<IpAddr>,
    accounts: Limits<String>,
    /// Clients that signed in with an email. The limit of the account does not apply to
    /// them, so that nobody can lock its owner out by guessing.
    known: Mutex<HashSet<(IpAddr, String)>>,
    clock: DefaultClock,
}

impl Default for SignInLimits {
    fn default() -> Self {
        let by_account = Quota::with_period(ACCOUNT_INTERVAL);
        let by_account = by_account.unwrap_or(Quota::per_minute(ACCOUNT_BURST));
        Self {
            pairs: RateLimiter::dashmap(Quota::per_minute(PAIR_BURST)),
            clients: RateLimiter::dashmap(Quota::per_minute(CLIENT_BURST)),
            accounts: RateLimiter::dashmap(by_account.allow_burst(ACCOUNT_BURST)),
            known: Mutex::default(),
            clock: DefaultClock::default(),
        }
    }
}

fn pair(ip: IpAddr, email: &str) -> (IpAddr, String) {
    (client_network(ip), email.trim().to_lowercase().chars().take(320).collect())
}

impl SignInLimits {
    /// Records an attempt. The caller logs a refused one, because only it can name the
    /// account.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn record_attempt(&self, ip: IpAddr, email: &str) -> Result<(), AppError> {
        self.evict();
        let pair = pair(ip, email);
        self.check(&pair).map_err(|wait| {
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            let unit = if seconds == 1 { "second" } else { "seconds" };
            let detail = format!("Too many attempts. Try again in {seconds} {unit}.");
            AppError { retry_after: Some(seconds), ..AppError::new(ErrorCode::TooMany, detail) }
        })
    }

    /// Remembers that the owner of the account uses this client.
    pub fn record_success(&self, ip: IpAddr, email: &str) {
        let mut known = self.known.lock();
        if known.len() >= MAX_ENTRIES {
            known.clear();
        }
        known.insert(pair(ip, email));
    }

    /// Checks the limits. A refused attempt does not count against the account: otherwise
    /// one client could use up the attempts of its owner.
    fn check(&self, pair: &(IpAddr, String)) -> Result<(), Duration> {
        let now = self.clock.now();
        let by_client = self.clients.check_key(&pair.0).map_err(|until| until.wait_time_from(now));
        let by_pair = self.pairs.check_key(pair).map_err(|until| until.wait_time_from(now));
        by_client.and(by_pair)?;
        if self.known.lock().contains(pair) {
            return Ok(());
        }
        self.accounts.check_key(&pair.1).map_err(|until| until.wait_time_from(now))
    }

    fn evict(&self) {
        if self.pairs.len() + self.clients.len() + self.accounts.len() > MAX_ENTRIES {
            self.pairs.retain_recent();
            self.clients.retain_recent();
            self.accounts.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SignInLimits;
    use std::net::IpAddr;

    const EMAIL: &str = "a@example.com";

    fn address(n: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, n])
    }

    #[test]
    fn eleventh_attempt_is_limited_and_other_users_are_not() {
        let limits = SignInLimits::default();
        for _ in 0..10 {
            assert!(limits.record_attempt(address(1), EMAIL).is_ok());
        }
        let limited = limits.record_attempt(address(1), " A@example.com");
        let limited = limited.expect_err("the eleventh attempt");
        assert_eq!(limited.code.status(), 429);
        assert!(limited.retry_after.is_some_and(|seconds| (1..=7).contains(&seconds)));
        assert!(limits.record_attempt(address(1), "b@example.com").is_ok());
        assert!(limits.record_attempt(address(2), EMAIL).is_ok());
    }

    #[test]
    fn attempts_from_one_ipv6_network_count_together() {
        let limits = SignInLimits::default();
        let address = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, n, n, n, n]);
        for n in 0..10 {
            assert!(limits.record_attempt(address(n), EMAIL).is_ok());
        }
        assert!(limits.record_attempt(address(10), EMAIL).is_err());
        let other_network = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert!(limits.record_attempt(other_network, EMAIL).is_ok());
    }

    #[test]
    fn attempts_on_one_account_are_limited_over_all_clients_except_its_owner() {
        let limits = SignInLimits::default();
        limits.record_success(address(200), " A@example.com");
        let allowed = (0..100).filter(|n| limits.record_attempt(address(*n), EMAIL).is_ok());
        let allowed = allowed.count();
        assert!((60..=62).contains(&allowed), "{allowed} of 100 clients");
        assert!(limits.record_attempt(address(200), EMAIL).is_ok(), "the owner's address");
        assert!(limits.record_attempt(address(201), EMAIL).is_err());
        assert!(limits.record_attempt(address(201), "b@example.com").is_ok());
    }

    #[test]
    fn one_client_cannot_use_up_the_attempts_of_an_account() {
        let limits = SignInLimits::default();
        for _ in 0..200 {
            let _ = limits.record_attempt(address(1), EMAIL);
        }
        assert!(limits.record_attempt(address(2), EMAIL).is_ok());
    }
}
