//! The usual parts of a test.

use crate::{ApiClient, TestServer};
use mock_provider::{MockProvider, Script};
use serde_json::Value;

/// A running server, a provider, and a user with an agent that calls it.
pub struct Setup {
    pub provider: MockProvider,
    pub server: TestServer,
    pub user: ApiClient,
    pub agent: Value,
}

impl Setup {
    /// Starts `server`, and a provider that follows `script`.
    pub async fn start(server: TestServer, script: Script) -> Self {
        Self::start_with("openai", server, script).await
    }

    /// Like [`start`](Self::start), with `openai` or `anthropic` as the protocol.
    pub async fn start_with(protocol: &str, server: TestServer, script: Script) -> Self {
        let provider = mock_provider::start(script).await.unwrap();
        let server = server.started().await;
        let user = server.create_user("user@example.org");
        let agent = user.create_agent(protocol, &base_url(protocol, &provider)).await;
        Self { provider, server, user, agent }
    }
}

/// The base URL of a connection to the provider.
pub fn base_url(protocol: &str, provider: &MockProvider) -> String {
    if protocol == "anthropic" { provider.anthropic_url() } else { provider.openai_url() }
}
