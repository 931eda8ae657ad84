//! From a connection's id to where its calls go, with the key decrypted: for
//! the engine, whose runs were checked when they were queued.

use crate::secrets::{SecretError, Secrets};
use async_trait::async_trait;
use domain::{Breaker, Connection, ConnectionId, ConnectionKind, ErrorKind, RunError, Timestamp};
use llm::Endpoint;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::catalog::{ConnectionRow, ConnectionStore};
use store::{StoreError, Stored};

/// A connection that the operator offers to every user, from the environment.
/// Never stored, never edited.
#[derive(Clone, Debug)]
pub struct ServerConnection {
    /// The same after every start: agents refer to it.
    pub id: ConnectionId,
    /// As it is listed.
    pub name: String,
    /// The protocol.
    pub kind: ConnectionKind,
    /// Where, without a trailing slash.
    pub base_url: String,
    /// The key, if one is needed.
    pub key: Option<SecretString>,
}

impl ServerConnection {
    /// One of a kind; there is at most one each.
    #[must_use]
    pub fn new(kind: ConnectionKind, base_url: Option<&str>, key: Option<SecretString>) -> Self {
        let name = match kind {
            ConnectionKind::Anthropic => "Anthropic (this server's)",
            ConnectionKind::OpenAi => "OpenAI (this server's)",
            ConnectionKind::Demo => "Demo (this server's)",
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

    /// As it is shown.
    #[must_use]
    pub fn view(&self, breaker: Breaker) -> Connection {
        Connection {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind,
            base_url: self.base_url.clone(),
            headers: BTreeMap::new(),
            has_key: self.key.is_some(),
            key_last4: self.key.as_ref().and_then(|key| last4(key.expose_secret())),
            server_wide: true,
            breaker,
            updated_at: Timestamp(0),
        }
    }
}

/// An id that follows from a name alone.
fn fixed_id(name: &str) -> ConnectionId {
    let hash: [u8; 32] = Sha256::digest(format!("rehearsal connection {name}")).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    ConnectionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The last four characters of a key; of a short key that would be too much.
#[must_use]
pub fn last4(key: &str) -> Option<String> {
    let characters: Vec<char> = key.chars().collect();
    (characters.len() >= 8).then(|| characters[characters.len() - 4..].iter().collect())
}

/// All connections, with their keys.
#[derive(Clone)]
pub struct Endpoints {
    store: Arc<dyn ConnectionStore>,
    secrets: Arc<Secrets>,
    server_wide: Arc<[ServerConnection]>,
}

impl Endpoints {
    /// Over the stored connections and those of the environment.
    #[must_use]
    pub fn new(
        store: Arc<dyn ConnectionStore>,
        secrets: Arc<Secrets>,
        server_wide: Vec<ServerConnection>,
    ) -> Self {
        Self { store, secrets, server_wide: server_wide.into() }
    }

    /// Those of the environment.
    #[must_use]
    pub fn server_wide(&self) -> &[ServerConnection] {
        &self.server_wide
    }

    /// The one of the environment with this id.
    #[must_use]
    pub fn of_server(&self, id: ConnectionId) -> Option<&ServerConnection> {
        self.server_wide.iter().find(|connection| connection.id == id)
    }

    /// Keeps a key for its row.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub fn seal(
        &self,
        space: domain::SpaceId,
        id: ConnectionId,
        key: &SecretString,
    ) -> Result<Vec<u8>, SecretError> {
        self.secrets.encrypt(space, id, key)
    }

    /// Where calls over this connection go.
    ///
    /// # Errors
    /// With the kind with which a run ends, and a sentence about what to do.
    pub async fn endpoint(&self, id: ConnectionId) -> Result<Endpoint, RunError> {
        self.look_up(id).await.unwrap_or_else(|error| Err(unreadable(id, &error)))
    }

    /// The same for who can hold on while the store is away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and no other; what a run ends with is within.
    pub async fn look_up(&self, id: ConnectionId) -> Stored<Result<Endpoint, RunError>> {
        if let Some(offered) = self.of_server(id) {
            return Ok(Ok(Endpoint {
                connection_id: id,
                kind: offered.kind,
                base_url: offered.base_url.clone(),
                headers: BTreeMap::new(),
                key: offered.key.clone(),
            }));
        }
        Ok(match self.store.connection_for_engine(id).await {
            Ok(Some(row)) => self.open(&row),
            Ok(None) => Err(RunError::new(
                ErrorKind::InvalidAgent,
                "The connection over which its model is reached is gone. Choose another one.",
            )),
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) => Err(unreadable(id, &error)),
        })
    }

    /// Where calls over a stored connection go.
    ///
    /// # Errors
    /// As [`Endpoints::endpoint`].
    pub fn open(&self, row: &ConnectionRow) -> Result<Endpoint, RunError> {
        let key = row
            .key_ciphertext
            .as_deref()
            .map(|stored| self.secrets.decrypt(row.space_id, row.id, stored))
            .transpose()
            .map_err(|error| {
                tracing::error!(%error, connection = %row.id, "a key cannot be decrypted");
                let message = format!(
                    "The key of the connection “{}” cannot be read any more. Type it in again.",
                    row.name
                );
                RunError::new(ErrorKind::CredentialInvalid, message)
            })?;
        Ok(Endpoint {
            connection_id: row.id,
            kind: row.kind,
            base_url: row.base_url.clone(),
            headers: row.headers.clone(),
            key,
        })
    }
}

fn unreadable(id: ConnectionId, error: &StoreError) -> RunError {
    tracing::error!(%error, connection = %id, "a connection cannot be read");
    RunError::new(ErrorKind::Internal, "The connection could not be read.")
}

#[async_trait]
impl engine::Endpoints for Endpoints {
    async fn endpoint(&self, id: ConnectionId) -> Stored<Result<Endpoint, RunError>> {
        self.look_up(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::accounts::AccountStore;
    use store_sqlite::SqliteStore;
    use uuid::Uuid;

    #[test]
    fn the_id_of_a_servers_connection_stays_for_ever() {
        let one = ServerConnection::new(ConnectionKind::Anthropic, None, None);
        assert_eq!(one.id.to_string(), "41f580ce-1600-8790-b4e4-d91160744766");
        assert_ne!(one.id, ServerConnection::new(ConnectionKind::OpenAi, None, None).id);
        assert_eq!(one.base_url, "https://api.anthropic.com");
        let local = ServerConnection::new(ConnectionKind::OpenAi, Some("http://a/v1/"), None);
        assert_eq!(local.base_url, "http://a/v1");
    }

    #[test]
    fn four_characters_of_a_long_key_are_shown() {
        assert_eq!(last4("sk-12345678").as_deref(), Some("5678"));
        assert_eq!(last4("1234567"), None);
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_no_error_of_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db")).await.unwrap();
        let secrets = Arc::new(Secrets::new(&[1; 32]));
        let endpoints = Endpoints::new(Arc::new(store.clone()), secrets, Vec::new());
        let id = ConnectionId(Uuid::from_u128(2));
        assert_eq!(endpoints.look_up(id).await.unwrap().unwrap_err().kind, ErrorKind::InvalidAgent);
        store.close().await;
        let away = endpoints.look_up(id).await;
        assert!(matches!(away, Err(StoreError::Unavailable(_))), "{:?}", away.err());
        assert_eq!(endpoints.endpoint(id).await.unwrap_err().kind, ErrorKind::Internal);
    }

    #[tokio::test]
    async fn an_endpoint_carries_the_key_or_says_what_to_do() {
        let (_folder, store) = store_sqlite::testing::open().await;
        let owner = store::contract::person(1, "anna@example.org");
        store.create_user(&owner, false).await.unwrap();
        let store = Arc::new(store);
        let (right, wrong) = (Arc::new(Secrets::new(&[1; 32])), Arc::new(Secrets::new(&[2; 32])));
        let (space, id) = (owner.space_id, ConnectionId(Uuid::from_u128(2)));
        let sealed = right.encrypt(space, id, &"sk-secret".into()).unwrap();
        let row = ConnectionRow {
            id,
            space_id: space,
            name: "Mine".into(),
            kind: ConnectionKind::OpenAi,
            base_url: "https://models.example.org/v1".into(),
            headers: BTreeMap::new(),
            key_ciphertext: Some(sealed),
            key_last4: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
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
