//! The memory of adjustments.

use super::Adjustments;
use domain::ConnectionId;
use llm_types::Endpoint;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The maximum number of remembered models. Beyond it all are forgotten.
const MAX_REMEMBERED: usize = 1000;

/// What adjustments are remembered for. The address is part of it, because another server
/// rejects other fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdjustmentKey {
    pub connection_id: ConnectionId,
    pub base_url: String,
    pub model: String,
}

impl AdjustmentKey {
    #[must_use]
    pub fn new(endpoint: &Endpoint, model: &str) -> Self {
        Self {
            connection_id: endpoint.connection_id,
            base_url: endpoint.base_url.clone(),
            model: model.to_owned(),
        }
    }
}

/// Stores adjustments beyond the life of the process. The methods are called during model
/// calls, so they must not wait.
pub trait AdjustmentSink: Send + Sync {
    /// A request succeeded only with these adjustments.
    fn learned(&self, key: &AdjustmentKey, adjustments: &Adjustments);

    /// A connection was edited, so nothing is known about it.
    fn forgotten(&self, connection: ConnectionId);
}

/// What is known about the servers. Shared by all adapters.
#[derive(Clone, Default)]
pub struct Learned {
    known: Arc<Mutex<HashMap<AdjustmentKey, Adjustments>>>,
    sink: Option<Arc<dyn AdjustmentSink>>,
}

impl Learned {
    /// Continues with what earlier processes learned.
    #[must_use]
    pub fn restore(
        known: impl IntoIterator<Item = (AdjustmentKey, Adjustments)>,
        sink: Arc<dyn AdjustmentSink>,
    ) -> Self {
        let known = known.into_iter().take(MAX_REMEMBERED).collect();
        Self { known: Arc::new(Mutex::new(known)), sink: Some(sink) }
    }

    /// What is known; nothing by default.
    #[must_use]
    pub fn get(&self, key: &AdjustmentKey) -> Adjustments {
        self.known.lock().get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn remember(&self, key: &AdjustmentKey, adjustments: &Adjustments) {
        let mut known = self.known.lock();
        if known.len() >= MAX_REMEMBERED && !known.contains_key(key) {
            known.clear();
        }
        known.insert(key.clone(), adjustments.clone());
        drop(known);
        if let Some(sink) = &self.sink {
            sink.learned(key, adjustments);
        }
    }

    /// Forgets a connection, because it was edited.
    pub fn forget(&self, connection: ConnectionId) {
        self.known.lock().retain(|key, _| key.connection_id != connection);
        if let Some(sink) = &self.sink {
            sink.forgotten(connection);
        }
    }
}
