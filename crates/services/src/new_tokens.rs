//! Secrets of new tokens, kept in memory until the page shows them once. The database
//! stores only their hash.

use domain::{NewTokenId, SpaceId, Timestamp};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// How long a secret is kept for the page that shows it.
const TTL: Duration = Duration::from_secs(10 * 60);

/// The secrets that were not shown yet.
#[derive(Default)]
pub(crate) struct NewTokens(Mutex<Vec<NewToken>>);

struct NewToken {
    id: NewTokenId,
    space: SpaceId,
    secret: SecretString,
    created_at: Timestamp,
}

impl NewTokens {
    pub(crate) fn insert(&self, id: NewTokenId, space: SpaceId, secret: &str, now: Timestamp) {
        let mut tokens = self.0.lock();
        tokens.retain(|token| now.since(token.created_at) < TTL);
        tokens.push(NewToken { id, space, secret: secret.into(), created_at: now });
    }

    pub(crate) fn take(&self, id: NewTokenId, space: SpaceId, now: Timestamp) -> Option<String> {
        let mut tokens = self.0.lock();
        tokens.retain(|token| now.since(token.created_at) < TTL);
        let at = tokens.iter().position(|token| token.id == id && token.space == space)?;
        Some(tokens.swap_remove(at).secret.expose_secret().to_owned())
    }
}
