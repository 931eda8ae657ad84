//! The adapters behind one door, chosen by the kind of connection.

use super::anthropic::Anthropic;
use super::demo::Demo;
use super::http::HttpClient;
use super::openai::OpenAi;
use super::types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use app::domain::ConnectionKind;
use async_trait::async_trait;

/// All protocols.
pub struct Connector {
    anthropic: Anthropic,
    openai: OpenAi,
    demo: Demo,
}

impl Connector {
    /// All adapters over one client, and the stand-in.
    #[must_use]
    pub fn new(http: HttpClient, demo: Demo) -> Self {
        Self { anthropic: Anthropic::new(http.clone()), openai: OpenAi::new(http), demo }
    }
}

#[async_trait]
impl Provider for Connector {
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        match endpoint.kind {
            ConnectionKind::Anthropic => self.anthropic.complete(endpoint, request).await,
            ConnectionKind::OpenAi => self.openai.complete(endpoint, request).await,
            ConnectionKind::Demo => self.demo.complete(endpoint, request).await,
        }
    }
}
