//! The interface of the adapters.

use super::{CallError, ChatReply, ChatRequest, Endpoint};
use async_trait::async_trait;
use domain::ConnectionId;

/// Learns that a streamed answer continues.
pub trait Progress: Send + Sync {
    /// A part of the answer arrived.
    fn received(&self);
}

/// An adapter of a protocol. Makes single attempts, without retries and waits.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Obtains what a call needs before it can be sent, such as an access token, so that
    /// this time is not part of the latency of the reply. Dropping the future cancels it.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn prepare(&self, endpoint: &Endpoint) -> Result<(), CallError> {
        let _ = endpoint;
        Ok(())
    }

    /// Makes one attempt. Dropping the future cancels it.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError>;

    /// The names of the models that the server lists, without a call to a model. Empty if
    /// it has no such list.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn models(&self, endpoint: &Endpoint) -> Result<Vec<String>, CallError> {
        let _ = endpoint;
        Ok(Vec::new())
    }

    /// Like [`complete`](Self::complete), but lets the server stream its answer, if it can,
    /// and reports to `progress` whenever a part of it arrives.
    ///
    /// # Errors
    /// The error carries the retry decision.
    async fn stream(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
        progress: &dyn Progress,
    ) -> Result<ChatReply, CallError> {
        let _ = progress;
        self.complete(endpoint, request).await
    }

    /// Forgets what the server of a connection rejects, because the connection was saved.
    fn forget_adjustments(&self, connection: ConnectionId) {
        let _ = connection;
    }
}
