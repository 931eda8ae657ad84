//! Where a call goes, and how it authenticates.

use domain::{AuthScheme, ConnectionAuth, ConnectionId, ConnectionKind};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The address and the credentials of a connection.
#[derive(Clone)]
pub struct Endpoint {
    pub connection_id: ConnectionId,
    pub kind: ConnectionKind,
    /// Without a trailing slash, as in the vendors' SDKs.
    pub base_url: String,
    pub headers: BTreeMap<String, String>,
    /// Parameters that are added to the query of every URL.
    pub query: BTreeMap<String, String>,
    /// How the key authenticates.
    pub auth: ConnectionAuth,
    /// The API key, the password or the client secret. Some local servers need none.
    pub key: Option<SecretString>,
    /// The maximum duration of one attempt, if the connection sets its own.
    pub timeout: Option<Duration>,
}

impl Endpoint {
    /// An endpoint without a key, which authenticates like the vendor's own API.
    #[must_use]
    pub fn new(connection_id: ConnectionId, kind: ConnectionKind, base_url: String) -> Self {
        Self {
            connection_id,
            kind,
            base_url,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            auth: AuthScheme::default_of(kind).into(),
            key: None,
            timeout: None,
        }
    }
}

impl fmt::Debug for Endpoint {
    /// Omits headers and query parameters, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("connection_id", &self.connection_id)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
