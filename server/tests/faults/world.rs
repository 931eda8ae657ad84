//! An engine over the store in memory on paused time, seen through the
//! library's public doors. Each life has a runtime of its own; when its story
//! ends the runtime is dropped and every task with it, as at a kill -9. The
//! store stays.

use domain::{
    AgentId, AgentRef, ConnectionId, ConnectionKind, ErrorKind, Finish, RunError, RunId,
    ScenarioId, ScenarioRef, SpaceId, SuiteId, Timestamp, UserId,
};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use clock::{Clock, TokioClock};
use engine::{Endpoints, Engine, EngineSettings};
use llm::outbound::Outbound;
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use store::Stored;
use store::memory::{MemoryWork, Papers};
use store::rows::{Frozen, ModelRef, RunRow};
use store::suites::{NewRun, NewSuite, SuiteStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// When every story begins.
pub(crate) const T0: Timestamp = Timestamp(1_700_000_000_000);

/// What a provider answers.
pub(crate) type Answer = BoxFuture<'static, Result<ChatReply, CallError>>;
type Answers = dyn Fn(TokioClock, ChatRequest) -> Answer + Send + Sync;

/// A provider that answers by a function and writes down when it was asked.
struct Scripted {
    answers: Box<Answers>,
    clock: Mutex<Option<TokioClock>>,
    seen: Mutex<Vec<Timestamp>>,
}

#[async_trait]
impl Provider for Scripted {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let clock = self.clock.lock().expect("asked within a life");
        self.seen.lock().push(clock.now());
        (self.answers)(clock, request.clone()).await
    }
}

struct Anywhere;

#[async_trait]
impl Endpoints for Anywhere {
    async fn endpoint(&self, id: ConnectionId) -> Stored<Result<Endpoint, RunError>> {
        Ok(Ok(Endpoint {
            connection_id: id,
            kind: ConnectionKind::OpenAi,
            base_url: "http://127.0.0.1:1".to_owned(),
            headers: Default::default(),
            key: None,
        }))
    }
}

/// How a process boots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// As the only one: what was held is its own.
    Alone,
    /// Beside others: what is held is theirs until its lease lapses.
    Beside,
}

/// The store, the provider, and the settings of every life.
pub(crate) struct World {
    work: Arc<MemoryWork>,
    papers: Arc<Papers>,
    provider: Arc<Scripted>,
    pub(crate) settings: EngineSettings,
    ids: AtomicU32,
}

/// A process at work.
pub(crate) struct Life<'a> {
    world: &'a World,
    _engine: Engine,
}

/// One person is enough here.
const OWNER: (UserId, SpaceId) = (UserId(Uuid::from_u128(1)), SpaceId(Uuid::from_u128(2)));

impl World {
    pub(crate) fn new(
        answers: impl Fn(TokioClock, ChatRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let papers = Arc::new(Papers::default());
        let provider = Scripted {
            answers: Box::new(answers),
            clock: Mutex::default(),
            seen: Mutex::default(),
        };
        Self {
            work: Arc::new(MemoryWork::new(papers.clone())),
            papers,
            provider: Arc::new(provider),
            settings: EngineSettings::default(),
            ids: AtomicU32::new(1),
        }
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(1000 + u128::from(self.ids.fetch_add(1, Ordering::SeqCst)))
    }

    /// One life of a process that boots at this time: its story, then death
    /// without a word.
    pub(crate) fn live<T>(
        &self,
        at: Timestamp,
        boot: Boot,
        story: impl AsyncFnOnce(Life<'_>) -> T,
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
                Arc::new(Anywhere),
                Arc::new(clock),
                EngineSettings { owner: self.id().to_string(), ..self.settings.clone() },
                boot == Boot::Alone,
            );
            let engine = engine.await.expect("starts");
            story(Life { world: self, _engine: engine }).await
        })
    }

    /// Asks for a suite over these scenario documents.
    pub(crate) fn suite(&self, at: Timestamp, concurrency: u32, scenarios: &[Value]) -> SuiteId {
        let connection = ConnectionId(Uuid::from_u128(7));
        let agent = AgentId(self.id());
        let document = json!({"name": "A", "system_prompt": "Help.", "connection_id": connection, "model": "m"});
        self.papers.put_agent(agent, document);
        let runs = scenarios.iter().map(|document| {
            let scenario = ScenarioId(self.id());
            self.papers.put_scenario(scenario, document.clone());
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
            frozen: Frozen::all(&model),
            concurrency,
            repeats: 1,
            note: String::new(),
            parent_id: None,
            runs: runs.collect(),
            allow_parallel: true,
            queue_per_user: 500,
            key: None,
            at,
        };
        let id = suite.id;
        // Nothing in memory is waited for.
        self.work.create_suite(suite).now_or_never().expect("at once").expect("is created");
        id
    }

    /// The runs of a suite, in order, as they are stored.
    pub(crate) fn runs(&self, suite: SuiteId) -> Vec<RunRow> {
        let read = self.work.suite(OWNER.1, suite).now_or_never().expect("at once");
        read.expect("reads").expect("is there").1
    }

    /// What was said in a run.
    pub(crate) fn said(&self, run: &RunRow) -> Vec<String> {
        let read = self.work.transcript(run.id).now_or_never().expect("at once");
        read.expect("reads").into_iter().map(|turn| turn.message).collect()
    }

    /// When the provider was asked, in order.
    pub(crate) fn seen(&self) -> Vec<Timestamp> {
        self.provider.seen.lock().clone()
    }
}

impl Life<'_> {
    /// Waits until a suite is final, at most so long; answers its runs.
    pub(crate) async fn finished(&self, suite: SuiteId, longest: Duration) -> Vec<RunRow> {
        let began = tokio::time::Instant::now();
        loop {
            let runs = self.world.runs(suite);
            if runs.iter().all(|run| run.status.is_final()) {
                return runs;
            }
            assert!(began.elapsed() < longest, "not final within {longest:?}: {runs:#?}");
            tokio::time::sleep((longest / 1000).max(Duration::from_millis(50))).await;
        }
    }
}

/// The kind of a run's error.
pub(crate) fn kind(run: &RunRow) -> Option<ErrorKind> {
    run.error.as_ref().map(|error| error.kind)
}

/// A script of `turns` user turns with this much active time.
pub(crate) fn scripted(turns: usize, timeout_seconds: u32) -> Value {
    let say = |i| json!({"speaker": "user", "message": format!("Question {i}")});
    let flow: Vec<_> = (0..turns).map(say).collect();
    json!({"name": "S", "category": "support", "conversation_flow": flow,
        "timeout_seconds": timeout_seconds, "expected_behaviors": [{"text": "is helpful"}]})
}

pub(crate) fn reply(text: impl Into<String>) -> Result<ChatReply, CallError> {
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

/// A 429 that says when to come back.
pub(crate) fn not_before(until: Timestamp) -> Answer {
    let decision = Decision::Wait { until: Some(until), overloaded: false };
    Box::pin(async move { Err(CallError::new(decision, "not now")) })
}

/// Agents answer, and judges find it met, each after this long.
pub(crate) fn obliging(after: Duration, request: ChatRequest) -> Answer {
    Box::pin(async move {
        tokio::time::sleep(after).await;
        if request.output.is_none() {
            return reply(format!("Answer {} of the agent.", request.messages.len()));
        }
        reply(mock_provider::judged(true, "Answer 1 of the agent.").to_string())
    })
}
