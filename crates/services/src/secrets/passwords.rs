//! Passwords: argon2id with OWASP's parameters, off the async threads.

use super::common_passwords::is_common;
use super::hash_queue::{HashQueue, Limits};
use super::random;
use crate::client_network::client_network;
use argon2::Argon2;
use argon2::{PasswordHash, PasswordHasher, PasswordVerifier};
use std::sync::Arc;

/// The allowed length of a password in characters.
const MIN_LENGTH: usize = 10;
const MAX_LENGTH: usize = 1000;

/// The problem of a new password; the message follows "password".
#[must_use]
pub fn password_problem(password: &str) -> Option<String> {
    let length = password.chars().count();
    if length < MIN_LENGTH {
        return Some(format!("must have at least {MIN_LENGTH} characters, has {length}"));
    }
    if length > MAX_LENGTH {
        return Some(format!("must have at most {MAX_LENGTH} characters, has {length}"));
    }
    if domain::is_blank(password) {
        return Some("must not be blank".to_owned());
    }
    let common = "is one of the most common passwords, which attackers try first; choose another";
    is_common(password).then(|| common.to_owned())
}

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many passwords wait to be hashed; the caller may retry.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// An internal error, for the log.
    #[error("{0}")]
    Internal(String),
}

/// Hashes and verifies passwords, a few at a time. Each hash uses 19 MiB.
#[derive(Clone)]
pub struct Passwords {
    queue: HashQueue,
    /// Verified when there is no such user, so that both cases take as long.
    dummy_hash: Arc<str>,
}

impl Default for Passwords {
    fn default() -> Self {
        let dummy_hash = hash(&random::<16>()).unwrap_or_default().into();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { queue: HashQueue::new(Limits::for_cores(cores)), dummy_hash }
    }
}

fn hash(password: &[u8]) -> Result<String, String> {
    // The defaults are argon2id, 19 MiB, two passes, one lane.
    let hashed: Result<PasswordHash, _> =
        Argon2::default().hash_password_with_salt(password, &random::<16>());
    hashed.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

impl Passwords {
    /// The hash of a new password in PHC format.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        let hashed = self.run_blocking(move || hash(password.as_bytes())).await?;
        hashed.map_err(PasswordError::Internal)
    }

    /// Whether a password matches the hash `stored`. `None` (no such user) never
    /// matches and takes just as long.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy_hash).to_owned();
        let password = password.to_owned();
        let verify =
            move || Argon2::default().verify_password(password.as_bytes(), stored.as_str());
        Ok(self.run_blocking(verify).await?.is_ok() && known)
    }

    /// Runs `work` on a thread for blocking work when it is the turn of the client of
    /// the current request.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let client = telemetry::request::client().map(client_network);
        let permit = self.queue.acquire(client).await.map_err(|_| PasswordError::Busy)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| PasswordError::Internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::net::IpAddr;
    use std::time::Duration;
    use telemetry::request::{RequestContext, within};
    use tokio::time::Instant;

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify("correct horse", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("Correct horse", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("correct horse", Some("damaged")).await.unwrap());
        assert_ne!(stored, passwords.hash("correct horse").await.unwrap());
    }

    /// Timing in a test would be unreliable, so this checks that the same work is
    /// done for unknown users.
    #[tokio::test]
    async fn unknown_user_costs_the_same() {
        let passwords = Passwords::default();
        let of = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        let stored = passwords.hash("correct horse").await.unwrap();
        assert_eq!(of(&passwords.dummy_hash), of(&stored), "the same parameters");
        assert!(!passwords.verify("correct horse", None).await.unwrap());
    }

    /// 80 sign-ins of one client at once: the sign-in of another client that comes after
    /// them waits for the hash that runs and for one of theirs, and so for less than a
    /// second.
    #[tokio::test]
    async fn eighty_sign_ins_at_once_delay_another_by_less_than_a_second() {
        let limits = Limits { concurrency: 1, capacity: 100, per_client: 80 };
        let passwords = Passwords { queue: HashQueue::new(limits), ..Passwords::default() };
        let hash_took = async || {
            let start = Instant::now();
            passwords.verify("not my password", None).await.unwrap();
            start.elapsed()
        };
        let alone = hash_took().await;
        let done = Mutex::new(Vec::new());
        let sign_in = async |client: u8| {
            let client = IpAddr::from([203, 0, 113, client]);
            let context = RequestContext { id: uuid::Uuid::nil(), client };
            let took = within(context, hash_took()).await;
            done.lock().push(client);
            took
        };
        let flood = futures::future::join_all((0..80).map(|_| sign_in(1)));
        let (_, delay) = tokio::join!(flood, sign_in(2));
        let other = IpAddr::from([203, 0, 113, 2]);
        let before = done.lock().iter().position(|client| *client == other).unwrap();
        assert!(before <= 2, "{before} sign-ins of the other client came first");
        // A hash takes about 25 ms; the second bound is for a machine that is busy.
        assert!(delay < Duration::from_secs(1).max(10 * alone), "{delay:?}");
    }

    #[test]
    fn passwords_have_10_to_1000_characters() {
        for bad in ["", "ninechars", &" ".repeat(20), &"x".repeat(1001), "Password123"] {
            assert!(password_problem(bad).is_some(), "{bad:?}");
        }
        for good in ["ten chars!", "ääääääääää", &"x".repeat(1000)] {
            assert_eq!(password_problem(good), None, "{good:?}");
        }
    }
}
