//! Authorization of long-lived responses: a stream ends within seconds after
//! its token is revoked or its user signs out.

use super::HttpState;
use domain::error::ErrorCode;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tower_sessions::SessionStore;
use tower_sessions::session::Id;

/// Interval between two checks of one stream.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a successful check counts for all streams with the same credential.
const VALID_TTL: Duration = Duration::from_secs(4);
/// How long a failed check is cached at least. Every open stream with that
/// credential asks within this time, so that none checks again.
const ENTRY_TTL: Duration = Duration::from_secs(60);
/// Number of entries above which expired ones are evicted.
const MAX_ENTRIES: usize = 1000;

/// Credential that authorizes a long-lived response. Has no `Debug`, because it
/// is secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    Token(String),
    Session(Id),
}

struct Check {
    at: Instant,
    valid: bool,
}

/// Results of credential checks, shared by the streams of one server: many
/// streams of one user cause one check.
#[derive(Default)]
pub(super) struct CredentialCache(Mutex<HashMap<Credential, Check>>);

impl CredentialCache {
    /// Whether the credential is still valid. While one stream checks it, the
    /// others treat it as valid and see the result at their next check.
    async fn is_valid(&self, state: &HttpState, credential: &Credential) -> bool {
        if let Some(check) = self.0.lock().get(credential)
            && (!check.valid || check.at.elapsed() < VALID_TTL)
        {
            return check.valid;
        }
        self.insert(credential, true);
        let valid = match credential {
            Credential::Token(token) => {
                match state.services.accounts.caller_of_token(token).await {
                    Ok(_) => true,
                    Err(error) => {
                        !matches!(error.code, ErrorCode::Unauthenticated | ErrorCode::NotFound)
                    }
                }
            }
            // An unavailable store does not end a session.
            Credential::Session(id) => !matches!(state.sessions.load(id).await, Ok(None)),
        };
        if !valid {
            self.insert(credential, false);
        }
        valid
    }

    fn insert(&self, credential: &Credential, valid: bool) {
        let mut checks = self.0.lock();
        if checks.len() >= MAX_ENTRIES {
            checks.retain(|_, check| check.at.elapsed() < ENTRY_TTL);
        }
        checks.insert(credential.clone(), Check { at: Instant::now(), valid });
    }
}

/// Authorization of one stream.
pub(super) struct StreamAuth {
    credential: Option<Credential>,
    cache: Arc<CredentialCache>,
    next_check: Instant,
}

impl StreamAuth {
    pub(super) fn new(credential: Option<Credential>, cache: Arc<CredentialCache>) -> Self {
        Self { credential, cache, next_check: Instant::now() + CHECK_INTERVAL }
    }

    pub(super) fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Whether the stream may continue. Checks the credential only when a check
    /// is due.
    pub(super) async fn is_valid(&mut self, state: &HttpState) -> bool {
        if Instant::now() < self.next_check {
            return true;
        }
        self.next_check = Instant::now() + CHECK_INTERVAL;
        match &self.credential {
            Some(credential) => self.cache.is_valid(state, credential).await,
            None => true,
        }
    }
}
