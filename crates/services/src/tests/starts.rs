//! Problems of connections that preflight and start report, with a real outbound
//! path and its circuits.

use super::{agent, connection, scenario};
use crate::connection_test::OutboundAccess;
use crate::endpoints::Endpoints;
use crate::secrets::Secrets;
use crate::suites::{Executor, SuiteLimits, Suites};
use crate::{Accounts, Catalog, SignUp};
use async_trait::async_trait;
use clock::{Clock, SharedClock};
use domain::error::AppError;
use domain::services::{
    AgentService, ConnectionService, ResultService, ScenarioService, SettingsService, SuiteService,
};
use domain::services::{Caller, IdempotentRequest, RerunScope};
use domain::{
    AgentId, ConnectionId, ErrorKind, ModelChoice, Preflight, RunId, ScenarioId, Settings,
    StartSuite, Timestamp, UserId, WaitReason, Waiting,
};
use futures::FutureExt;
use llm::outbound::{Call, CallLimits, CallOrder, NoHooks, Outbound};
use llm::testing::{chat_request, reply};
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, OutboundNetwork, Provider};
use parking_lot::Mutex;
use rand::SeedableRng;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::SharedQueue;
use store::queue::Claim;
use store::rows::ModelRef;
use store::transition::RunChange;

/// A clock that tests set.
struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// Fails for the configured models and succeeds for all others.
#[derive(Default)]
struct FailingModels(Mutex<Vec<(String, CallError)>>);

#[async_trait]
impl Provider for FailingModels {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let failures = self.0.lock();
        let failure = failures.iter().find(|(model, _)| *model == request.model);
        failure.map_or_else(|| Ok(reply(1, 1)), |(_, error)| Err(error.clone()))
    }
}

struct NoExecutor;

impl Executor for NoExecutor {
    fn wake(&self) {}
    fn cancel(&self, _: &[RunId]) {}
}

pub(super) struct Fixture {
    pub(super) catalog: Arc<Catalog>,
    pub(super) suites: Suites,
    pub(super) queue: SharedQueue,
    outbound: Arc<Outbound>,
    provider: Arc<FailingModels>,
    clock: Arc<SetClock>,
    pub(super) anna: Caller,
    pub(super) connection: ConnectionId,
    pub(super) agent: AgentId,
    pub(super) scenario: ScenarioId,
    /// Accepts connections at the address.
    listener: tokio::net::TcpListener,
    _folder: tempfile::TempDir,
}

pub(super) async fn fixture() -> Fixture {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let clock = Arc::new(SetClock(Mutex::new(Timestamp(1_700_000_000_000))));
    let shared: SharedClock = clock.clone();
    let provider = Arc::new(FailingModels::default());
    let rng = rand::rngs::SmallRng::seed_from_u64(1);
    let outbound = Arc::new(Outbound::new(provider.clone(), shared.clone(), rng));
    let (folder, store) = store_sqlite::testing::open().await;
    let store = Arc::new(store);
    let queue: SharedQueue = store.clone();
    let endpoints = Endpoints::new(store.clone(), Arc::new(Secrets::new(&[7; 32])), Vec::new());
    let provider_access = OutboundAccess {
        outbound: outbound.clone(),
        allow_private_urls: true,
        network: OutboundNetwork::default(),
    };
    let provider_access = Arc::new(provider_access);
    let catalog = Arc::new(Catalog::new(store.clone(), shared.clone(), endpoints, provider_access));
    let suites = Suites {
        store: store.clone(),
        catalog: catalog.clone(),
        executor: Arc::new(NoExecutor),
        clock: shared.clone(),
        limits: SuiteLimits::default(),
        event_cache: Arc::default(),
    };
    let accounts = Accounts::new(store.clone(), shared.clone(), SignUp::Closed);
    let anna = accounts.create_user("anna@example.org", "anna's password").await.unwrap();
    let ours = connection("Ours", &url, "sk-1234567890");
    let ours = catalog.create_connection(&anna, &ours).await.unwrap().id;
    let agent = catalog.create_agent(&anna, &agent("Desk", ours)).await.unwrap().id;
    let scenario = catalog.create_scenario(&anna, &scenario("Hours")).await.unwrap().id;
    Fixture {
        catalog,
        suites,
        queue,
        outbound,
        provider,
        clock,
        anna,
        connection: ours,
        agent,
        scenario,
        listener,
        _folder: folder,
    }
}

impl Fixture {
    /// Makes a call to this model that fails with this error.
    async fn call(&self, model: &str, error: CallError) {
        *self.provider.0.lock() = vec![(model.to_owned(), error)];
        let endpoint = self.catalog.endpoints.endpoint(self.connection).await.unwrap();
        let second = Duration::from_secs(1);
        let limits = CallLimits {
            call_timeout: second,
            active_left: second,
            max_wait: Duration::ZERO,
            circuit_wait: Duration::ZERO,
        };
        let request = ChatRequest { model: model.to_owned(), ..chat_request("Hello") };
        let call = Call {
            user_id: self.anna.user_id,
            order: CallOrder::default(),
            is_manual_probe: false,
            resolver: &endpoint,
            request: &request,
            limits,
            hooks: &NoHooks,
        };
        self.outbound.call(call).await.result.expect_err("it fails");
        self.provider.0.lock().clear();
    }

    pub(super) fn advance(&self, seconds: u64) {
        let mut now = self.clock.0.lock();
        *now = now.plus(Duration::from_secs(seconds));
    }

    pub(super) fn request(&self) -> StartSuite {
        let draft = json!({"agent_id": self.agent, "scenario_ids": [self.scenario]});
        StartSuite::parse(&domain::Draft(draft)).unwrap()
    }

    async fn preflight(&self) -> Preflight {
        self.suites.preflight(&self.anna, &self.request()).await.unwrap()
    }

    async fn start(&self) -> Result<(), AppError> {
        self.suites.start(&self.anna, &self.request(), &unkeyed("/suites")).await.map(drop)
    }
}

pub(super) fn unkeyed(path: &str) -> IdempotentRequest {
    IdempotentRequest { key: None, path: path.to_owned(), request: json!({}) }
}

fn refusal(kind: ErrorKind, status: u16, message: &str) -> CallError {
    CallError { status: Some(status), ..CallError::new(Decision::GiveUp(kind), message) }
}

fn no_key() -> CallError {
    refusal(ErrorKind::CredentialInvalid, 401, "The provider does not accept the key (401).")
}

fn down() -> CallError {
    CallError { status: Some(503), ..CallError::new(Decision::Retry, "The provider failed (503).") }
}

#[tokio::test]
async fn rejected_key_is_reported_before_start() {
    let fixture = fixture().await;
    assert_eq!(fixture.preflight().await.problems, []);
    fixture.call("m", no_key()).await;
    let preflight = fixture.preflight().await;
    let warnings = &preflight.connections;
    assert_eq!(
        (warnings.len(), preflight.problems.len()),
        (1, 1),
        "judge and agent share it: {preflight:?}"
    );
    assert_eq!(
        (warnings[0].name.as_str(), warnings[0].connection_id),
        ("Ours", fixture.connection)
    );
    assert!(warnings[0].prevents_start && warnings[0].message.contains("(401)"), "{warnings:?}");
    assert_eq!(preflight.problems[0].path, "agent.connection_id");
    assert_eq!(preflight.problems[0].message, warnings[0].message);

    let refused = fixture.start().await.unwrap_err();
    assert_eq!((refused.code.status(), &refused.problems), (422, &preflight.problems));
    let page = format!("/settings/connections/{}", fixture.connection);
    assert_eq!(refused.link, Some(page), "links to the connection to fix");

    // A successful test by the user ends it.
    let tested =
        fixture.catalog.test_connection(&fixture.anna, fixture.connection, None).await.unwrap();
    assert!(tested.ok, "{tested:?}");
    assert_eq!(fixture.preflight().await.connections, []);
    fixture.start().await.unwrap();
}

#[tokio::test]
async fn suspension_with_due_probe_is_reported_and_allows_start() {
    let fixture = fixture().await;
    fixture
        .call("m", refusal(ErrorKind::QuotaExhausted, 402, "Nothing left to spend (402)."))
        .await;
    assert_eq!(fixture.preflight().await.problems.len(), 1);
    fixture.advance(300);
    let preflight = fixture.preflight().await;
    assert_eq!(preflight.problems, [], "otherwise only a user could end the suspension");
    let warning = &preflight.connections[0];
    assert!(!warning.prevents_start && warning.message.contains("tries it again"), "{warning:?}");
    fixture.start().await.unwrap();
}

#[tokio::test]
async fn open_circuit_is_reported_with_next_probe_and_allows_start() {
    let fixture = fixture().await;
    for _ in 0..5 {
        fixture.call("m", down()).await;
    }
    let preflight = fixture.preflight().await;
    assert_eq!(preflight.problems, []);
    let warning = &preflight.connections[0];
    assert!(!warning.prevents_start && warning.message.contains("runs wait"), "{warning:?}");
    let until = fixture.clock.now().plus(Duration::from_secs(15));
    assert_eq!(warning.until, Some(until));
    fixture.start().await.unwrap();
}

#[tokio::test]
async fn suspended_model_affects_only_its_users() {
    let fixture = fixture().await;
    let closed = refusal(ErrorKind::ProviderRejected, 403, "May not use the model (403).");
    fixture.call("dear", closed).await;
    assert_eq!(fixture.preflight().await.connections, [], "the agent uses another model");
    let judge = ModelChoice::new(fixture.connection, "dear");
    let settings = Settings { judge: Some(judge), simulated_user: None };
    fixture.catalog.update_settings(&fixture.anna, &settings).await.unwrap();
    let preflight = fixture.preflight().await;
    let paths: Vec<_> = preflight.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["judge.connection_id"]);
}

#[tokio::test]
async fn rerun_reports_connection_problems_too() {
    let fixture = fixture().await;
    let key = unkeyed("/suites");
    let started = fixture.suites.start(&fixture.anna, &fixture.request(), &key).await.unwrap();
    fixture.suites.cancel_suite(&fixture.anna, started.suite_id).await.unwrap();
    fixture.call("m", no_key()).await;
    let again = fixture
        .suites
        .rerun(&fixture.anna, started.suite_id, RerunScope::All.into(), &unkeyed("/x"))
        .await;
    let refused = again.unwrap_err();
    assert_eq!(refused.problems[0].path, "agent.connection_id");
    assert!(refused.link.is_some(), "{refused:?}");
}

#[tokio::test]
async fn start_beyond_queue_limit_is_reported_before_start() {
    let mut fixture = fixture().await;
    fixture.suites.limits = SuiteLimits { queue_per_user: 2, ..SuiteLimits::default() };
    let request = StartSuite { repeats: 3, ..fixture.request() };
    let preflight = fixture.suites.preflight(&fixture.anna, &request).await.unwrap();
    let started = fixture.suites.start(&fixture.anna, &request, &unkeyed("/suites")).await;
    let refused = started.expect_err("too many").problems;
    assert_eq!(preflight.problems, refused);
    assert!(refused[0].message.contains("would be 3 runs; at most 2"), "{refused:?}");
}

#[tokio::test]
async fn start_of_another_number_of_runs_than_expected_is_refused() {
    let fixture = fixture().await;
    let request = StartSuite { repeats: 3, expected_runs: Some(1), ..fixture.request() };
    let start = async |request: &StartSuite| {
        fixture.suites.start(&fixture.anna, request, &unkeyed("/suites")).await
    };
    let refused = start(&request).await.unwrap_err();
    assert_eq!(refused.code.status(), 409);
    assert!(refused.detail.starts_with("This would run 3 conversations instead of 1"), "{refused}");
    let none = fixture.suites.suites(&fixture.anna, &Default::default(), &Default::default()).await;
    assert_eq!(none.unwrap().items, [], "nothing was started");
    start(&StartSuite { expected_runs: Some(3), ..request }).await.unwrap();
}

#[tokio::test]
async fn start_is_refused_when_transcripts_exceed_their_quota() {
    let mut fixture = fixture().await;
    fixture.suites.limits = SuiteLimits { transcript_bytes_per_user: 0, ..SuiteLimits::default() };
    let request = fixture.request();
    let started = fixture.suites.start(&fixture.anna, &request, &unkeyed("/suites")).await;
    let refused = started.expect_err("no space");
    assert_eq!(refused.code.status(), 409);
    assert!(refused.detail.contains("REHEARSAL_TRANSCRIPT_MB_PER_USER"), "{}", refused.detail);
    fixture.suites.limits = SuiteLimits { transcript_bytes_per_user: 1, ..SuiteLimits::default() };
    fixture.suites.start(&fixture.anna, &request, &unkeyed("/suites")).await.unwrap();
}

#[tokio::test]
async fn connection_of_several_roles_is_dialed_once() {
    let fixture = fixture().await;
    let another = |model: &str| Some(ModelChoice::new(fixture.connection, model));
    let request = StartSuite {
        judge: another("strict"),
        simulated_user: another("chatty"),
        ..fixture.request()
    };
    let preflight = fixture.suites.preflight(&fixture.anna, &request).await.unwrap();
    assert!(preflight.connections.is_empty(), "{:?}", preflight.connections);
    assert!(fixture.listener.accept().now_or_never().is_some_and(|taken| taken.is_ok()));
    assert!(fixture.listener.accept().now_or_never().is_none(), "once is enough");
}

/// An executor for which every pending run waits.
struct BlockingExecutor(Waiting);

impl Executor for BlockingExecutor {
    fn wake(&self) {}
    fn cancel(&self, _: &[RunId]) {}
    fn expected_wait(&self, _: UserId, _: &ModelRef) -> Option<Waiting> {
        Some(self.0)
    }
}

#[tokio::test]
async fn pending_run_shows_what_it_waits_for() {
    let mut fixture = fixture().await;
    fixture.start().await.unwrap();
    let waiting =
        Waiting { what: WaitReason::RateLimit, until: Some(Timestamp(1_700_000_300_000)) };
    fixture.suites.executor = Arc::new(BlockingExecutor(waiting));
    let page = fixture.suites.suites(&fixture.anna, &Default::default(), &Default::default()).await;
    let id = page.unwrap().items[0].id;
    let snapshot = fixture.suites.suite(&fixture.anna, id).await.unwrap();
    let runs = snapshot.suite.runs.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].waiting_on, Some(waiting));
    let run = fixture.suites.run(&fixture.anna, runs[0].id).await.unwrap();
    assert_eq!(run.waiting_on, Some(waiting));
}

/// A run stores the retry that was known when its wait began; a failed retry moves it.
#[tokio::test]
async fn running_run_shows_the_current_retry_of_its_provider() {
    let mut fixture = fixture().await;
    fixture.start().await.unwrap();
    let now = fixture.clock.now();
    let claim = Claim {
        owner: "worker".to_owned(),
        runs_per_user: 8,
        max_wait: Duration::from_secs(600),
        most: 1,
        admission_limits: Vec::new(),
        capacity: store::schedule::Capacity::unlimited(),
        now,
    };
    let row = fixture.queue.claim(claim).await.unwrap().remove(0);
    let stored = Waiting { what: WaitReason::Circuit, until: Some(Timestamp(1_700_000_015_000)) };
    let change = RunChange { waiting: Some(Some(stored)), ..RunChange::default() };
    let row = fixture.queue.commit(&row.lease(), change, now).await.unwrap();
    let shown = async |fixture: &Fixture| {
        let run = fixture.suites.run(&fixture.anna, row.id).await.unwrap();
        let snapshot = fixture.suites.suite(&fixture.anna, run.suite_id).await.unwrap();
        assert_eq!(snapshot.suite.runs.unwrap()[0].waiting_on, run.waiting_on);
        run.waiting_on
    };
    assert_eq!(shown(&fixture).await, Some(stored));
    let current = Waiting { what: WaitReason::Circuit, until: Some(Timestamp(1_700_000_060_000)) };
    fixture.suites.executor = Arc::new(BlockingExecutor(current));
    assert_eq!(shown(&fixture).await, Some(current));
}
