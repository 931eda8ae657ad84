//! A whole engine in a box: store in memory, outbound path, scripted provider.

mod provider;
mod suites;

pub(super) use provider::{Scripted, Seen, failure, obliging, rejected, reply};

use crate::{Endpoints, Engine, EngineSettings};
use async_trait::async_trait;
use clock::{SharedClock, TokioClock};
use domain::{ConnectionId, ConnectionKind, RunError, SpaceId, Timestamp, UserId};
use llm::outbound::Outbound;
use llm::{ChatRequest, Endpoint};
use parking_lot::Mutex;
use provider::{Answer, Script};
use rand::SeedableRng;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use store::memory::{InMemoryQueue, InMemoryRevisions};
use store::{SharedQueue, StoreError, StoreResult};
use uuid::Uuid;

pub(super) const T0: Timestamp = Timestamp(1_700_000_000_000);

pub(super) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}
pub(super) fn space(n: u128) -> SpaceId {
    SpaceId(Uuid::from_u128(100 + n))
}

/// All connections, at one place, which can be edited and be unreadable.
#[derive(Default)]
struct Anywhere {
    moved_to: Mutex<Option<String>>,
    away: AtomicBool,
}

#[async_trait]
impl Endpoints for Anywhere {
    async fn endpoint(&self, id: ConnectionId) -> StoreResult<Result<Endpoint, RunError>> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is slow".into()));
        }
        let endpoint = endpoint(id);
        let base_url = self.moved_to.lock().clone().unwrap_or(endpoint.base_url);
        Ok(Ok(Endpoint { base_url, ..endpoint }))
    }
}

/// Where the provider of a bench is said to be.
pub(super) fn endpoint(id: ConnectionId) -> Endpoint {
    let (base_url, headers) = ("http://127.0.0.1:1".to_owned(), Default::default());
    Endpoint { connection_id: id, kind: ConnectionKind::OpenAi, base_url, headers, key: None }
}

/// The connection of every suite of a bench.
pub(super) fn connection() -> ConnectionId {
    ConnectionId(Uuid::from_u128(7))
}

pub(super) struct Bench {
    pub(super) work: Arc<InMemoryQueue>,
    pub(super) provider: Arc<Scripted>,
    pub(super) clock: TokioClock,
    pub(super) settings: EngineSettings,
    revisions: Arc<InMemoryRevisions>,
    places: Arc<Anywhere>,
    next: AtomicU32,
}

/// A script of `n` user turns.
pub(super) fn scripted(n: usize) -> Value {
    let flow: Vec<_> =
        (0..n).map(|i| json!({"speaker": "user", "message": format!("Question {i}")})).collect();
    json!({"name": "S", "category": "support", "conversation_flow": flow,
           "expected_behaviors": [{"text": "is helpful"}]})
}

impl Bench {
    pub(super) fn new(
        script: impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let clock = TokioClock::starting_at(T0);
        let revisions = Arc::new(InMemoryRevisions::default());
        let script: Arc<Script> = Arc::new(script);
        let provider = Scripted {
            script: Mutex::new(script),
            seen: Mutex::default(),
            flying: AtomicU32::new(0),
            most_flying: AtomicU32::new(0),
            clock,
        };
        Self {
            work: Arc::new(InMemoryQueue::new(revisions.clone())),
            provider: Arc::new(provider),
            clock,
            settings: EngineSettings::default(),
            revisions,
            places: Arc::default(),
            next: AtomicU32::new(1),
        }
    }

    /// From now on it answers otherwise.
    pub(super) fn answers(
        &self,
        script: impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static,
    ) {
        *self.provider.script.lock() = Arc::new(script);
    }

    /// The connections are edited: their calls go there from now on.
    pub(super) fn moves_to(&self, base_url: &str) {
        *self.places.moved_to.lock() = Some(base_url.to_owned());
    }

    /// Whether the store can say where calls go.
    pub(super) fn connections_readable(&self, readable: bool) {
        self.places.away.store(!readable, Ordering::SeqCst);
    }

    /// A process: an engine over this store.
    pub(super) async fn engine(&self) -> Engine {
        self.engine_with(self.work.clone(), self.outbound()).await
    }

    /// An outbound path to this provider that has learned nothing yet.
    pub(super) fn outbound(&self) -> Arc<Outbound> {
        let rng = rand::rngs::SmallRng::seed_from_u64(1);
        Arc::new(Outbound::new(self.provider.clone(), Arc::new(self.clock), rng))
    }

    /// A process over a store that stands before this one.
    pub(super) async fn engine_on(&self, queue: SharedQueue) -> Engine {
        self.engine_with(queue, self.outbound()).await
    }

    /// A process with an outbound path that knows something.
    pub(super) async fn engine_over(&self, outbound: Arc<Outbound>) -> Engine {
        self.engine_with(self.work.clone(), outbound).await
    }

    async fn engine_with(&self, queue: SharedQueue, outbound: Arc<Outbound>) -> Engine {
        self.engine_by(Arc::new(self.clock), queue, outbound).await
    }

    /// A process with another clock than the bench's.
    pub(super) async fn engine_by(
        &self,
        clock: SharedClock,
        queue: SharedQueue,
        outbound: Arc<Outbound>,
    ) -> Engine {
        Engine::start(queue, outbound, self.places.clone(), clock, self.settings.clone(), true)
            .await
            .expect("starts")
    }
}
