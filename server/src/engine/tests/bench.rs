//! A whole engine in a box: store in memory, outbound path, scripted provider.

use crate::clock::{Clock, TokioClock};
use crate::engine::{Endpoints, Engine, EngineSettings};
use crate::llm::outbound::Outbound;
use crate::llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use crate::store::memory::work::{Documents, MemoryWork};
use crate::store::rows::{Frozen, ModelRef, RunRow};
use crate::store::suites::{NewRun, NewSuite, SuiteStore};
use crate::store::{SharedQueue, StoreError, Stored};
use app::domain::{
    AgentId, AgentRef, ConnectionId, ConnectionKind, ErrorKind, Finish, RunError, RunId,
    ScenarioId, ScenarioRef, SpaceId, SuiteId, Timestamp, Turn, UserId,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::SeedableRng;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

pub(super) const T0: Timestamp = Timestamp(1_700_000_000_000);

pub(super) fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}
pub(super) fn space(n: u128) -> SpaceId {
    SpaceId(Uuid::from_u128(100 + n))
}

/// What the provider saw of a call.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) call_id: String,
    /// `agent`, or the name of the asked-for form.
    pub(super) role: String,
    /// Where it went.
    pub(super) base_url: String,
    pub(super) at: Timestamp,
}

type Answer = BoxFuture<'static, Result<ChatReply, CallError>>;
pub(super) type Script = dyn Fn(usize, ChatRequest) -> Answer + Send + Sync;

/// A provider that answers by a function of the call's number and its request,
/// and writes down what it saw.
pub(super) struct Scripted {
    script: Mutex<Arc<Script>>,
    pub(super) seen: Mutex<Vec<Seen>>,
    pub(super) flying: AtomicU32,
    pub(super) most_flying: AtomicU32,
    clock: TokioClock,
}

/// Counts a call as in flight until it is answered or dropped.
struct Flight<'a>(&'a AtomicU32);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn complete(
        &self,
        endpoint: &Endpoint,
        request: &ChatRequest,
    ) -> Result<ChatReply, CallError> {
        let number = {
            let mut seen = self.seen.lock();
            seen.push(Seen {
                call_id: request.call_id.clone(),
                role: request.output.as_ref().map_or("agent".into(), |output| output.name.clone()),
                base_url: endpoint.base_url.clone(),
                at: self.clock.now(),
            });
            seen.len() - 1
        };
        let now = self.flying.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_flying.fetch_max(now, Ordering::SeqCst);
        let _flight = Flight(&self.flying);
        let script = self.script.lock().clone();
        script(number, request.clone()).await
    }
}

pub(super) fn reply(text: impl Into<String>) -> Result<ChatReply, CallError> {
    Ok(ChatReply {
        text: text.into(),
        tool_calls: Vec::new(),
        finish: Finish::Stop,
        input_tokens: 10,
        output_tokens: 5,
        latency: Duration::ZERO,
        attempts: 1,
        told: None,
    })
}

pub(super) fn failure(decision: Decision) -> Result<ChatReply, CallError> {
    Err(CallError::new(decision, "the provider's own words"))
}

pub(super) fn rejected() -> Result<ChatReply, CallError> {
    failure(Decision::GiveUp(ErrorKind::ProviderRejected))
}

/// A judge that finds every item met, quoting the given words of turn 1.
pub(super) fn verdict(request: &ChatRequest, met: bool, quote: &str) -> String {
    let schema = &request.output.as_ref().expect("asks for a form").schema;
    let count = schema.pointer("/properties/items/minItems").and_then(Value::as_u64).unwrap_or(1);
    let items: Vec<_> = (0..count)
        .map(|index| {
            json!({"index": index, "reason": "it says so", "met": met, "basis": "evidence",
                   "evidence": [{"turn": 1, "quote": quote}]})
        })
        .collect();
    json!({"items": items, "issues": [], "recommendations": [], "score": 90, "opinion": "fine"})
        .to_string()
}

/// Agents say "Answer n …", judges find it met.
pub(super) fn obliging(_: usize, request: ChatRequest) -> Answer {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match &request.output {
            None => reply(format!("Answer {} from the helpful agent.", request.messages.len())),
            Some(_) => reply(verdict(&request, true, "from the helpful agent")),
        }
    })
}

#[derive(Default)]
struct Papers {
    agents: Mutex<HashMap<Uuid, Value>>,
    scenarios: Mutex<HashMap<Uuid, Value>>,
}

impl Documents for Papers {
    fn agent(&self, id: AgentId, _: u32) -> Option<Value> {
        self.agents.lock().get(&id.0).cloned()
    }
    fn scenario(&self, id: ScenarioId, _: u32) -> Option<Value> {
        self.scenarios.lock().get(&id.0).cloned()
    }
}

/// All connections, at one place, which can be edited and be unreadable.
#[derive(Default)]
struct Anywhere {
    moved_to: Mutex<Option<String>>,
    away: AtomicBool,
}

#[async_trait]
impl Endpoints for Anywhere {
    async fn endpoint(&self, id: ConnectionId) -> Stored<Result<Endpoint, RunError>> {
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
    pub(super) work: Arc<MemoryWork>,
    pub(super) provider: Arc<Scripted>,
    pub(super) clock: TokioClock,
    pub(super) settings: EngineSettings,
    papers: Arc<Papers>,
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
        let papers = Arc::new(Papers::default());
        let script: Arc<Script> = Arc::new(script);
        let provider = Scripted {
            script: Mutex::new(script),
            seen: Mutex::default(),
            flying: AtomicU32::new(0),
            most_flying: AtomicU32::new(0),
            clock,
        };
        Self {
            work: Arc::new(MemoryWork::new(papers.clone())),
            provider: Arc::new(provider),
            clock,
            settings: EngineSettings::default(),
            papers,
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
        Engine::start(
            queue,
            outbound,
            self.places.clone(),
            Arc::new(self.clock),
            self.settings.clone(),
            true,
        )
        .await
        .expect("starts")
    }

    /// A suite of `owner` over these scenario documents, three at a time.
    pub(super) async fn suite(&self, owner: u128, scenarios: &[Value]) -> SuiteId {
        self.suite_with(owner, scenarios, |_| {}).await
    }

    pub(super) async fn suite_with(
        &self,
        owner: u128,
        scenarios: &[Value],
        change: impl FnOnce(&mut NewSuite),
    ) -> SuiteId {
        let connection = connection();
        let agent_id = AgentId(self.clock.uuid());
        let agent = json!({"name": "A", "system_prompt": "Help.", "connection_id": connection,
            "model": "m", "tools": [{"name": "look", "description": "looks",
            "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}]});
        self.papers.agents.lock().insert(agent_id.0, agent);
        let runs = scenarios.iter().map(|document| {
            let id = ScenarioId(self.clock.uuid());
            self.papers.scenarios.lock().insert(id.0, document.clone());
            let timeout = document["timeout_seconds"].as_u64().unwrap_or(300) * 1000;
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            NewRun {
                id: RunId(Uuid::from_u128(1_000_000 + u128::from(n))),
                scenario: ScenarioRef { id, revision: 1, name: "S".into() },
                repetition: 1,
                timeout_ms: timeout,
                user_turns_planned: 1,
                source_run_id: None,
                error: None,
            }
        });
        let model = ModelRef { connection_id: connection, model: "m".into() };
        let mut suite = NewSuite {
            id: SuiteId(self.clock.uuid()),
            space_id: space(owner),
            user_id: user(owner),
            agent: AgentRef { id: agent_id, revision: 1, name: "A".into() },
            frozen: Frozen::all(&model),
            concurrency: 3,
            repeats: 1,
            note: String::new(),
            parent_id: None,
            runs: runs.collect(),
            allow_parallel: false,
            queue_per_user: 500,
            key: None,
            at: self.clock.now(),
        };
        change(&mut suite);
        let id = suite.id;
        self.work.create_suite(suite).await.expect("is created");
        id
    }

    /// The suite's runs as they are.
    pub(super) async fn runs(&self, owner: u128, suite: SuiteId) -> Vec<RunRow> {
        self.work.suite(space(owner), suite).await.expect("reads").expect("is there").1
    }

    /// Waits until the suite is final, by its events; answers its runs.
    pub(super) async fn finished(&self, owner: u128, suite: SuiteId) -> Vec<RunRow> {
        let mut woken = self.work.watch(suite);
        loop {
            let (row, runs) =
                self.work.suite(space(owner), suite).await.expect("reads").expect("is there");
            if row.status.is_final() {
                return runs;
            }
            let changed = tokio::time::timeout(Duration::from_secs(7200), woken.changed());
            changed.await.expect("within two hours").expect("open");
        }
    }

    pub(super) async fn transcript(&self, run: RunId) -> Vec<Turn> {
        self.work.transcript(run).await.expect("reads")
    }

    /// What was said, as texts.
    pub(super) async fn said(&self, run: RunId) -> Vec<String> {
        self.transcript(run).await.into_iter().map(|turn| turn.message).collect()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.provider.seen.lock().clone()
    }

    /// Every call that the provider saw was noted before.
    pub(super) fn every_call_was_noted(&self) {
        let noted: Vec<String> =
            self.work.calls().iter().map(|(_, intent, _)| intent.id.to_string()).collect();
        for seen in self.seen() {
            assert!(noted.contains(&seen.call_id), "{seen:?} was not noted");
        }
    }
}
