//! Resolves a connection's id to its endpoint with the decrypted key. The engine
//! uses it without an ownership check, because runs were checked when they were
//! queued.

use crate::secrets::{SecretError, Secrets};
use async_trait::async_trait;
use domain::{
    AuthScheme, Breaker, Connection, ConnectionId, ConnectionKind, ErrorKind, RunError, Timestamp,
};
use llm::Endpoint;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::catalog::{ConnectionRow, ConnectionStore};
use store::queue::StoredProfile;
use store::{StoreError, StoreResult};

/// A connection that the operator offers to every user by environment variables.
/// It is neither stored nor edited.
#[derive(Clone, Debug)]
pub struct ServerConnection {
    /// Stays the same across restarts, because agents refer to it.
    pub id: ConnectionId,
    pub name: String,
    pub kind: ConnectionKind,
    /// Without a trailing slash.
    pub base_url: String,
    pub key: Option<SecretString>,
}

impl ServerConnection {
    /// There is at most one connection per kind.
    #[must_use]
    pub fn new(kind: ConnectionKind, base_url: Option<&str>, key: Option<SecretString>) -> Self {
        let name = match kind {
            ConnectionKind::Anthropic => "Anthropic (this server's)",
            ConnectionKind::OpenAi => "OpenAI (this server's)",
            ConnectionKind::OpenAiResponses => "OpenAI Responses (this server's)",
            ConnectionKind::Demo => "Demo (this server's)",
            ConnectionKind::HttpAgent => "Deployed agent (this server's)",
        };
        let base_url = base_url.map(str::trim).filter(|url| !url.is_empty());
        Self {
            id: fixed_id(&format!("server:{}", kind.as_str())),
            name: name.to_owned(),
            kind,
            base_url: base_url.unwrap_or(kind.default_base_url()).trim_end_matches('/').to_owned(),
            key,
        }
    }

    #[must_use]
    pub fn view(&self, breaker: Breaker) -> Connection {
        Connection {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind,
            base_url: self.base_url.clone(),
            headers: BTreeMap::new(),
            auth: AuthScheme::default_of(self.kind).into(),
            query: BTreeMap::new(),
            timeout_seconds: None,
            preset: None,
            models: Vec::new(),
            has_key: self.key.is_some(),
            key_last4: self.key.as_ref().and_then(|key| last4(key.expose_secret())),
            server_wide: true,
            breaker,
            updated_at: Timestamp(0),
        }
    }
}

/// Derives an id from a name.
fn fixed_id(name: &str) -> ConnectionId {
    let hash: [u8; 32] = Sha256::digest(format!("rehearsal connection {name}")).into();
    let bytes = hash.first_chunk().copied().unwrap_or_default();
    ConnectionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The last four characters of a key; `None` for keys shorter than 8 characters,
/// where they would reveal too much.
#[must_use]
pub fn last4(key: &str) -> Option<String> {
    let characters: Vec<char> = key.chars().collect();
    (characters.len() >= 8).then(|| characters[characters.len() - 4..].iter().collect())
}

/// Resolves connections to endpoints.
#[derive(Clone)]
pub struct Endpoints {
    pub(crate) store: Arc<dyn ConnectionStore>,
    pub(crate) secrets: Arc<Secrets>,
    server_wide: Arc<[ServerConnection]>,
}

impl Endpoints {
    #[must_use]
    pub fn new(
        store: Arc<dyn ConnectionStore>,
        secrets: Arc<Secrets>,
        server_wide: Vec<ServerConnection>,
    ) -> Self {
        Self { store, secrets, server_wide: server_wide.into() }
    }

    #[must_use]
    pub fn server_wide(&self) -> &[ServerConnection] {
        &self.server_wide
    }

    #[must_use]
    pub fn server_wide_connection(&self, id: ConnectionId) -> Option<&ServerConnection> {
        self.server_wide.iter().find(|connection| connection.id == id)
    }

    /// The endpoint of a connection.
    ///
    /// # Errors
    /// The error with which a run ends, with a message that says what to do.
    pub async fn endpoint(&self, id: ConnectionId) -> Result<Endpoint, RunError> {
        self.look_up(id).await.unwrap_or_else(|error| Err(unreadable(id, &error)))
    }

    /// Like [`Endpoints::endpoint`], for callers that retry while the store is
    /// unavailable.
    ///
    /// # Errors
    /// Only [`StoreError::Unavailable`]; the error of a run is the inner result.
    pub async fn look_up(&self, id: ConnectionId) -> StoreResult<Result<Endpoint, RunError>> {
        if let Some(server_wide) = self.server_wide_connection(id) {
            let (kind, base_url) = (server_wide.kind, server_wide.base_url.clone());
            let key = server_wide.key.clone();
            return Ok(Ok(Endpoint { key, ..Endpoint::new(id, kind, base_url) }));
        }
        Ok(match self.store.connection_for_engine(id).await {
            Ok(Some(row)) => self.endpoint_of(&row),
            Ok(None) => Err(RunError::new(
                ErrorKind::InvalidAgent,
                "The connection of this model was deleted. Choose another one.",
            )),
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) => Err(unreadable(id, &error)),
        })
    }

    /// The endpoint of a stored connection.
    fn endpoint_of(&self, row: &ConnectionRow) -> Result<Endpoint, RunError> {
        let decrypt = |key: &[u8]| self.secrets.decrypt(row.space_id, row.id, key);
        let key = row.key_ciphertext.as_deref().map(decrypt).transpose();
        let secret = row.auth.scheme.secret_name();
        Ok(Endpoint {
            connection_id: row.id,
            kind: row.kind,
            base_url: row.base_url.clone(),
            headers: self.headers(row).map_err(|error| {
                undecryptable(row, &error, "secret headers", "cannot be read any more. Enter them")
            })?,
            query: self.query(row).map_err(|error| {
                let what = "secret query parameters";
                undecryptable(row, &error, what, "cannot be read any more. Enter them")
            })?,
            auth: row.auth.clone(),
            key: key.map_err(|error| {
                undecryptable(row, &error, secret, "cannot be read any more. Type it in")
            })?,
            timeout: row.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

/// The error of a connection whose secret cannot be decrypted.
fn undecryptable(row: &ConnectionRow, error: &SecretError, what: &str, todo: &str) -> RunError {
    tracing::error!(%error, connection = %row.id, "the {what} of a connection cannot be decrypted");
    let message = format!("The {what} of the connection “{}” {todo} again.", row.name);
    RunError::new(ErrorKind::CredentialInvalid, message)
}

fn unreadable(id: ConnectionId, error: &StoreError) -> RunError {
    tracing::error!(%error, connection = %id, "a connection cannot be read");
    RunError::new(ErrorKind::Internal, "The connection could not be read.")
}

#[async_trait]
impl engine::Endpoints for Endpoints {
    async fn endpoint(&self, id: ConnectionId) -> StoreResult<Result<Endpoint, RunError>> {
        self.look_up(id).await
    }

    fn profile_secrets(
        &self,
        profile: &StoredProfile,
    ) -> Result<BTreeMap<String, String>, RunError> {
        let Some(stored) = &profile.secrets else { return Ok(BTreeMap::new()) };
        let secrets = self.secrets.decrypt_variables(profile.space_id, profile.id, stored);
        secrets.map_err(|error| {
            tracing::error!(%error, profile = %profile.id, "the secrets of a test profile cannot be decrypted");
            let message = "The secret variables of the test profile cannot be read any more. Create the profile again and start another suite.";
            RunError::new(ErrorKind::CredentialInvalid, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::accounts::AccountStore;
    use store_sqlite::SqliteStore;
    use uuid::Uuid;

    #[test]
    fn server_wide_connection_id_is_stable() {
        let one = ServerConnection::new(ConnectionKind::Anthropic, None, None);
        assert_eq!(one.id.to_string(), "41f580ce-1600-8790-b4e4-d91160744766");
        assert_ne!(one.id, ServerConnection::new(ConnectionKind::OpenAi, None, None).id);
        assert_eq!(one.base_url, "https://api.anthropic.com");
        let local = ServerConnection::new(ConnectionKind::OpenAi, Some("http://a/v1/"), None);
        assert_eq!(local.base_url, "http://a/v1");
    }

    #[test]
    fn last_four_characters_of_long_key_are_shown() {
        assert_eq!(last4("sk-12345678").as_deref(), Some("5678"));
        assert_eq!(last4("1234567"), None);
    }

    #[tokio::test]
    async fn unavailable_store_is_not_a_connection_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db")).await.unwrap();
        let secrets = Arc::new(Secrets::new(&[1; 32]));
        let endpoints = Endpoints::new(Arc::new(store.clone()), secrets, Vec::new());
        let id = ConnectionId(Uuid::from_u128(2));
        assert_eq!(endpoints.look_up(id).await.unwrap().unwrap_err().kind, ErrorKind::InvalidAgent);
        store.close().await;
        let closed = endpoints.look_up(id).await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{:?}", closed.err());
        assert_eq!(endpoints.endpoint(id).await.unwrap_err().kind, ErrorKind::Internal);
    }

    #[tokio::test]
    async fn endpoint_has_key_or_error_says_what_to_do() {
        let (_folder, store) = store_sqlite::testing::open().await;
        let owner = store::contract::person(1, "anna@example.org");
        store.create_user(&owner, false).await.unwrap();
        let store = Arc::new(store);
        let (right, wrong) = (Arc::new(Secrets::new(&[1; 32])), Arc::new(Secrets::new(&[2; 32])));
        let (space, id) = (owner.space_id, ConnectionId(Uuid::from_u128(2)));
        let sealed = right.encrypt(space, id, &"sk-secret".into()).unwrap();
        let row = ConnectionRow {
            key_ciphertext: Some(sealed),
            ..store::contract::connection(id, space)
        };
        store.create_connection(&row).await.unwrap();
        let offered =
            ServerConnection::new(ConnectionKind::Anthropic, None, Some("sk-server".into()));
        let endpoints = Endpoints::new(store.clone(), right, vec![offered.clone()]);
        let key = async |id| {
            let endpoint = endpoints.endpoint(id).await.unwrap();
            endpoint.key.map(|key| key.expose_secret().to_owned())
        };
        assert_eq!(key(id).await.as_deref(), Some("sk-secret"));
        assert_eq!(key(offered.id).await.as_deref(), Some("sk-server"));
        let gone = endpoints.endpoint(ConnectionId(Uuid::from_u128(3))).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::InvalidAgent);
        let other = Endpoints::new(store, wrong, Vec::new()).endpoint(id).await.unwrap_err();
        assert_eq!(other.kind, ErrorKind::CredentialInvalid);
        assert!(other.message.contains("Mine"), "{}", other.message);
    }
}
