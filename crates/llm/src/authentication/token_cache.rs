//! The access tokens of connections with OAuth client credentials. They are kept in memory
//! only, requested when a call needs one, and shared by all calls of a connection.

use super::super::http::{HttpClient, TransportError};
use super::token_request::{ClientAuth, NewToken, request_token};
use domain::{ConnectionAuth, ConnectionId, Timestamp};
use llm_types::Endpoint;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The maximum number of connections with a token. Beyond it all are forgotten.
const MAX_CONNECTIONS: usize = 1000;
/// How long before its end a token is replaced, so that it does not expire on its way.
/// Tokens of less than ten minutes are replaced after nine tenths of their time.
const MAX_MARGIN: Duration = Duration::from_secs(60);

/// The tokens by connection.
#[derive(Default)]
pub(crate) struct TokenCache {
    entries: Mutex<HashMap<ConnectionId, Arc<Entry>>>,
}

/// The token of one connection. Its lock is held while a token is requested, so that
/// concurrent calls share one request.
#[derive(Default)]
struct Entry {
    state: tokio::sync::Mutex<State>,
    /// The number of requests that have ended. A call that waited for a failed request
    /// fails with it instead of repeating it.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<CachedToken>,
    /// The latest request, if it failed.
    failure: Option<(Client, TransportError)>,
    /// How this server takes the client secret, once one way worked.
    client_auth: Option<ClientAuth>,
}

struct CachedToken {
    value: SecretString,
    client: Client,
    expires_at: Timestamp,
}

/// What a token is requested with. An edited connection needs another token.
struct Client {
    auth: ConnectionAuth,
    secret: SecretString,
}

impl Client {
    fn is_of(&self, endpoint: &Endpoint) -> bool {
        let secret = endpoint.key.as_ref().map(ExposeSecret::expose_secret);
        self.auth == endpoint.auth && secret == Some(self.secret.expose_secret())
    }
}

impl TokenCache {
    /// A valid token for the endpoint, and whether it was used before.
    ///
    /// # Errors
    /// If the token endpoint refuses the client or cannot be used.
    pub(super) async fn token(
        &self,
        endpoint: &Endpoint,
        http: &HttpClient,
    ) -> Result<(SecretString, bool), TransportError> {
        let Some(secret) = &endpoint.key else {
            return Err(TransportError::Unusable("it has no client secret".to_owned()));
        };
        let entry = self.entry(endpoint.connection_id);
        let ended = entry.ended.load(Ordering::Acquire);
        let mut state = entry.state.lock().await;
        let now = http.clock().now();
        let is_usable =
            |token: &&CachedToken| token.client.is_of(endpoint) && now < token.expires_at;
        if let Some(token) = state.token.as_ref().filter(is_usable) {
            return Ok((token.value.clone(), true));
        }
        if let Some((client, error)) = &state.failure
            && client.is_of(endpoint)
            && entry.ended.load(Ordering::Acquire) != ended
        {
            return Err(error.clone());
        }
        let requested = request_token(endpoint, secret, state.client_auth, http).await;
        entry.ended.fetch_add(1, Ordering::Release);
        let client = Client { auth: endpoint.auth.clone(), secret: secret.clone() };
        (state.token, state.failure) = (None, None);
        match requested {
            Ok(NewToken { value, lifetime, client_auth }) => {
                let margin = (lifetime / 10).min(MAX_MARGIN);
                let expires_at = now.plus(lifetime.saturating_sub(margin));
                state.client_auth = Some(client_auth);
                state.token = Some(CachedToken { value: value.clone(), client, expires_at });
                Ok((value, false))
            }
            Err(error) => {
                state.client_auth = None;
                state.failure = Some((client, error.clone()));
                Err(error)
            }
        }
    }

    /// Forgets a token that a server rejected, unless it was replaced meanwhile.
    pub(crate) async fn forget(&self, id: ConnectionId, rejected: &SecretString) {
        let entry = self.entry(id);
        let mut state = entry.state.lock().await;
        let is_rejected =
            |token: &CachedToken| token.value.expose_secret() == rejected.expose_secret();
        if state.token.as_ref().is_some_and(is_rejected) {
            state.token = None;
        }
    }

    fn entry(&self, id: ConnectionId) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_CONNECTIONS && !entries.contains_key(&id) {
            entries.clear();
        }
        entries.entry(id).or_default().clone()
    }
}
