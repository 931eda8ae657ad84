//! Chooses the adapter by the kind of connection.

use super::anthropic::Anthropic;
use super::http::HttpClient;
use super::openai::OpenAi;
use async_trait::async_trait;
use domain::ConnectionKind;
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use std::sync::Arc;

/// The adapters of all protocols.
pub struct Connector {
    anthropic: Anthropic,
    openai: OpenAi,
    demo: Arc<dyn Provider>,
}

impl Connector {
    #[must_use]
    pub fn new(http: HttpClient, demo: Arc<dyn Provider>) -> Self {
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
