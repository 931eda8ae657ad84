//! Chooses the adapter by the kind of connection.

use super::adjustment::Learned;
use super::anthropic::Anthropic;
use super::classify::transport_error;
use super::http::HttpClient;
use super::http_agent::HttpAgents;
use super::model_list::list_models;
use super::openai::OpenAi;
use async_trait::async_trait;
use domain::{ConnectionId, ConnectionKind, ErrorKind};
use llm_types::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Progress, Provider};
use std::sync::Arc;

/// The adapters of all protocols.
pub struct Connector {
    anthropic: Anthropic,
    openai: OpenAi,
    http_agents: HttpAgents,
    demo: Arc<dyn Provider>,
    learned: Learned,
    http: HttpClient,
}

impl Connector {
    /// The adapters, which know nothing about the servers yet.
    #[must_use]
    pub fn new(http: HttpClient, demo: Arc<dyn Provider>) -> Self {
        Self::with_learned(http, demo, Learned::default())
    }

    /// The adapters, with what is known about the servers.
    #[must_use]
    pub fn with_learned(http: HttpClient, demo: Arc<dyn Provider>, learned: Learned) -> Self {
        Self {
            anthropic: Anthropic::with_learned(http.clone(), learned.clone()),
            http_agents: HttpAgents::new(http.clone()),
            openai: OpenAi::with_learned(http.clone(), learned.clone()),
            demo,
            learned,
            http,
        }
    }
}

#[async_trait]
impl Provider for Connector {
    async fn prepare(&self, endpoint: &Endpoint) -> Result<(), CallError> {
        if endpoint.kind == ConnectionKind::Demo {
            return Ok(());
        }
        let prepared = self.http.authenticate(endpoint).await;
        prepared.map_err(|error| transport_error(&error, endpoint))
    }

    async fn models(&self, endpoint: &Endpoint) -> Result<Vec<String>, CallError> {
        if endpoint.kind == ConnectionKind::Demo {
            return Ok(Vec::new());
        }
        list_models(&self.http, endpoint).await
    }

    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        check_kind(endpoint, request)?;
        match endpoint.kind {
            ConnectionKind::Anthropic => self.anthropic.complete(endpoint, request).await,
            ConnectionKind::OpenAi | ConnectionKind::OpenAiResponses => {
                self.openai.complete(endpoint, request).await
            }
            ConnectionKind::HttpAgent => self.http_agents.complete(endpoint, request).await,
            ConnectionKind::Demo => self.demo.complete(endpoint, request).await,
        }
    }

    async fn stream(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        progress: &dyn Progress,
    ) -> Result<ChatReply, CallError> {
        check_kind(endpoint, request)?;
        match endpoint.kind {
            ConnectionKind::Anthropic => self.anthropic.stream(endpoint, request, progress).await,
            ConnectionKind::OpenAi | ConnectionKind::OpenAiResponses => {
                self.openai.stream(endpoint, request, progress).await
            }
            // The adapter reads streams of agents by itself.
            ConnectionKind::HttpAgent => self.http_agents.complete(endpoint, request).await,
            ConnectionKind::Demo => self.demo.stream(endpoint, request, progress).await,
        }
    }

    fn forget_adjustments(&self, connection: ConnectionId) {
        self.learned.forget(connection);
    }
}

/// Fails if a request to a deployed agent would go to a model.
fn check_kind(endpoint: &Endpoint, request: &ChatRequest) -> Result<(), CallError> {
    if request.http.is_none() || endpoint.kind == ConnectionKind::HttpAgent {
        return Ok(());
    }
    let message = "The connection of this agent leads to a model, not to a deployed agent. Choose a connection of kind http_agent.";
    Err(CallError::new(Decision::GiveUp(ErrorKind::InvalidAgent), message))
}
