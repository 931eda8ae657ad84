//! The engine with the in-memory store and a scripted provider on paused time.
//! Each simulated server has its own runtime. Dropping the runtime drops all of
//! its tasks, as SIGKILL would; the store stays.

use async_trait::async_trait;
use clock::{Clock, TokioClock};
use domain::{
    AgentId, AgentRef, ConnectionId, ConnectionKind, ErrorKind, FinishReason, RunError, RunId,
    ScenarioId, ScenarioRef, SpaceId, SuiteId, Timestamp, UserId,
};
use engine::{Endpoints, Engine, EngineSettings};
use futures::FutureExt;
use futures::future::BoxFuture;
use llm::outbound::Outbound;
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use store::StoreResult;
use store::memory::{InMemoryQueue, InMemoryRevisions};
use store::queue::StoredProfile;
use store::rows::{ModelRef, ModelSnapshot, RunRow};
use store::suites::{NewRun, NewSuite, SuiteStore};
use uuid::Uuid;

/// The start of every simulation.
pub(crate) const T0: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) type ProviderReply = BoxFuture<'static, Result<ChatReply, CallError>>;
type ReplyFn = dyn Fn(TokioClock, ChatRequest) -> ProviderReply + Send + Sync;

/// A provider that replies by a function and logs the times of its requests.
struct ScriptedProvider {
    reply: Box<ReplyFn>,
    clock: Mutex<Option<TokioClock>>,
    request_times: Mutex<Vec<Timestamp>>,
}

#[async_trait]
impl Provider for ScriptedProvider {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let clock = self.clock.lock().expect("a server is running");
        self.request_times.lock().push(clock.now());
        (self.reply)(clock, request.clone()).await
    }
}

struct FixedEndpoint;

#[async_trait]
impl Endpoints for FixedEndpoint {
    async fn endpoint(&self, id: ConnectionId) -> StoreResult<Result<Endpoint, RunError>> {
        let base_url = "http://127.0.0.1:1".to_owned();
        Ok(Ok(Endpoint::new(id, ConnectionKind::OpenAi, base_url)))
    }

    fn profile_secrets(&self, _: &StoredProfile) -> Result<BTreeMap<String, String>, RunError> {
        Ok(BTreeMap::new())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// The only server: all leases are its own.
    Single,
    /// Other servers may hold leases until they expire.
    AmongOthers,
}

/// The parts that survive a restart of the simulated server.
pub(crate) struct Simulation {
    work: Arc<InMemoryQueue>,
    revisions: Arc<InMemoryRevisions>,
    provider: Arc<ScriptedProvider>,
    pub(crate) settings: EngineSettings,
    ids: AtomicU32,
}

pub(crate) struct SimulatedServer<'a> {
    simulation: &'a Simulation,
    _engine: Engine,
}

const OWNER: (UserId, SpaceId) = (UserId(Uuid::from_u128(1)), SpaceId(Uuid::from_u128(2)));

impl Simulation {
    pub(crate) fn new(
        reply: impl Fn(TokioClock, ChatRequest) -> ProviderReply + Send + Sync + 'static,
    ) -> Self {
        let revisions = Arc::new(InMemoryRevisions::default());
        let provider = ScriptedProvider {
            reply: Box::new(reply),
            clock: Mutex::default(),
            request_times: Mutex::default(),
        };
        Self {
            work: Arc::new(InMemoryQueue::new(revisions.clone())),
            revisions,
            provider: Arc::new(provider),
            settings: EngineSettings::default(),
            ids: AtomicU32::new(1),
        }
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(1000 + u128::from(self.ids.fetch_add(1, Ordering::SeqCst)))
    }

    /// Boots a server at this time, runs `body`, and kills the server.
    pub(crate) fn run_server<T>(
        &self,
        at: Timestamp,
        boot: Boot,
        body: impl AsyncFnOnce(SimulatedServer<'_>) -> T,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let clock = TokioClock::starting_at(at);
            *self.provider.clock.lock() = Some(clock);
            let rng = SmallRng::seed_from_u64(7);
            let outbound = Outbound::new(self.provider.clone(), Arc::new(clock), rng);
            let engine = Engine::start(
                self.work.clone(),
                Arc::new(outbound),
                Arc::new(FixedEndpoint),
                Arc::new(clock),
                EngineSettings { owner: self.id().to_string(), ..self.settings.clone() },
                boot == Boot::Single,
            );
            let engine = engine.await.expect("starts");
            body(SimulatedServer { simulation: self, _engine: engine }).await
        })
    }

    /// Creates a suite over these scenarios.
    pub(crate) fn create_suite(
        &self,
        at: Timestamp,
        concurrency: u32,
        scenarios: &[Value],
    ) -> SuiteId {
        let connection = ConnectionId(Uuid::from_u128(7));
        let agent = AgentId(self.id());
        let document = json!({"name": "A", "system_prompt": "Help.", "connection_id": connection, "model": "m"});
        self.revisions.put_agent(agent, document);
        let runs = scenarios.iter().map(|document| {
            let scenario = ScenarioId(self.id());
            self.revisions.put_scenario(scenario, document.clone());
            NewRun {
                id: RunId(self.id()),
                scenario: ScenarioRef { id: scenario, revision: 1, name: "S".into() },
                repetition: 1,
                timeout_ms: document["timeout_seconds"].as_u64().unwrap_or(300) * 1000,
                user_turns_planned: 1,
                source_run_id: None,
                error: None,
            }
        });
        let model = ModelRef { connection_id: connection, model: "m".into() };
        let suite = NewSuite {
            id: SuiteId(self.id()),
            space_id: OWNER.1,
            user_id: OWNER.0,
            agent: AgentRef { id: agent, revision: 1, name: "A".into() },
            model_snapshot: ModelSnapshot::all(&model),
            profile: None,
            variables_at: Some(at),
            concurrency,
            repeats: 1,
            note: String::new(),
            parent_id: None,
            part_of: None,
            runs: runs.collect(),
            allow_parallel: true,
            queue_per_user: 500,
            key: None,
            budget: store::spending::SuiteBudget::default(),
            at,
        };
        let id = suite.id;
        // The in-memory store never waits.
        self.work.create_suite(suite).now_or_never().expect("at once").expect("is created");
        id
    }

    /// The stored runs of a suite, in order.
    pub(crate) fn runs(&self, suite: SuiteId) -> Vec<RunRow> {
        let read = self.work.suite(OWNER.1, suite).now_or_never().expect("at once");
        read.expect("reads").expect("is there").1
    }

    /// The stored messages of a run.
    pub(crate) fn messages(&self, run: &RunRow) -> Vec<String> {
        let read = self.work.transcript(run.id).now_or_never().expect("at once");
        read.expect("reads").into_iter().map(|turn| turn.message).collect()
    }

    /// The times of all requests to the provider, in order.
    pub(crate) fn request_times(&self) -> Vec<Timestamp> {
        self.provider.request_times.lock().clone()
    }
}

impl SimulatedServer<'_> {
    /// Waits until a suite is final and returns its runs.
    pub(crate) async fn wait_for_suite(&self, suite: SuiteId, timeout: Duration) -> Vec<RunRow> {
        let start = tokio::time::Instant::now();
        loop {
            let runs = self.simulation.runs(suite);
            if runs.iter().all(|run| run.status.is_final()) {
                return runs;
            }
            assert!(start.elapsed() < timeout, "not final within {timeout:?}: {runs:#?}");
            tokio::time::sleep((timeout / 1000).max(Duration::from_millis(50))).await;
        }
    }
}

pub(crate) fn error_kind(run: &RunRow) -> Option<ErrorKind> {
    run.error.as_ref().map(|error| error.kind)
}

/// A scenario with `turns` user turns and this limit of active time.
pub(crate) fn scripted_scenario(turns: usize, timeout_seconds: u32) -> Value {
    let say = |i| json!({"speaker": "user", "message": format!("Question {i}")});
    let flow: Vec<_> = (0..turns).map(say).collect();
    json!({"name": "S", "category": "support", "conversation_flow": flow,
        "timeout_seconds": timeout_seconds, "expected_behaviors": [{"text": "is helpful"}]})
}

pub(crate) fn reply(text: impl Into<String>) -> Result<ChatReply, CallError> {
    Ok(ChatReply {
        text: text.into(),
        tool_calls: Vec::new(),
        finish: FinishReason::Stop,
        input_tokens: 10,
        output_tokens: 5,
        latency: Duration::ZERO,
        first_token: None,
        attempts: 1,
        rate_limits: None,
        adjustments: Vec::new(),
        token_parts: domain::TokenParts::default(),
        provider_state: None,
        http: None,
    })
}

/// A 429 with a `Retry-After`.
pub(crate) fn rate_limited_until(until: Timestamp) -> ProviderReply {
    let decision = Decision::Wait { until: Some(until), overloaded: false };
    Box::pin(async move { Err(CallError::new(decision, "not now")) })
}

/// Agents reply and judges pass, each after this delay.
pub(crate) fn helpful_reply(delay: Duration, request: ChatRequest) -> ProviderReply {
    Box::pin(async move {
        tokio::time::sleep(delay).await;
        if request.output.is_none() {
            return reply(format!("Answer {} of the agent.", request.messages.len()));
        }
        reply(mock_provider::judge_reply(true, "Answer 1 of the agent.").to_string())
    })
}
