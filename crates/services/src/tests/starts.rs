//! Problems of connections that preflight and start report, with a real outbound
//! path and its circuits.

use super::{agent, connection, scenario};
use crate::connection_test::OutboundTester;
use crate::endpoints::Endpoints;
use crate::secrets::Secrets;
use crate::suites::{Executor, SuiteLimits, Suites};
use crate::{Accounts, Catalog, CatalogStores, SignUp};
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
use llm::outbound::{Call, CallLimits, NoopWatcher, Outbound};
use llm::testing::{ask, reply};
use llm::{CallError, ChatReply, ChatRequest, Decision, Endpoint, Provider};
use parking_lot::Mutex;
use rand::SeedableRng;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::rows::ModelRef;

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
    async fn complete(&self, _: &Endpoint, asked: &ChatRequest) -> Result<ChatReply, CallError> {
        let moods = self.0.lock();
        let mood = moods.iter().find(|(model, _)| *model == asked.model);
        mood.map_or_else(|| Ok(reply(1, 1)), |(_, error)| Err(error.clone()))
    }
}

struct Nobody;

impl Executor for Nobody {
    fn wake(&self) {}
    fn cancel(&self, _: &[RunId]) {}
}

struct World {
    catalog: Arc<Catalog>,
    suites: Suites,
    outbound: Arc<Outbound>,
    provider: Arc<FailingModels>,
    clock: Arc<SetClock>,
    anna: Caller,
    connection: ConnectionId,
    agent: AgentId,
    scenario: ScenarioId,
    /// Accepts connections at the address.
    listener: tokio::net::TcpListener,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let clock = Arc::new(SetClock(Mutex::new(Timestamp(1_700_000_000_000))));
    let shared: SharedClock = clock.clone();
    let provider = Arc::new(FailingModels::default());
    let rng = rand::rngs::SmallRng::seed_from_u64(1);
    let outbound = Arc::new(Outbound::new(provider.clone(), shared.clone(), rng));
    let (folder, store) = store_sqlite::testing::open().await;
    let store = Arc::new(store);
    let endpoints = Endpoints::new(store.clone(), Arc::new(Secrets::new(&[7; 32])), Vec::new());
    let tester = OutboundTester { outbound: outbound.clone(), allow_private_urls: true };
    let catalog = Arc::new(Catalog::new(
        CatalogStores::of(&store),
        shared.clone(),
        endpoints,
        Arc::new(tester),
    ));
    let suites = Suites {
        suites: store.clone(),
        agents: store.clone(),
        scenarios: store.clone(),
        settings: store.clone(),
        catalog: catalog.clone(),
        connection_check: catalog.clone(),
        executor: Arc::new(Nobody),
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
    World {
        catalog,
        suites,
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

impl World {
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
        let request = ChatRequest { model: model.to_owned(), ..ask("Hello") };
        let call = Call {
            user_id: self.anna.user_id,
            probe: false,
            resolver: &endpoint,
            request: &request,
            limits,
            watcher: &NoopWatcher,
        };
        self.outbound.call(call).await.result.expect_err("it fails");
        self.provider.0.lock().clear();
    }

    fn later(&self, seconds: u64) {
        let mut now = self.clock.0.lock();
        *now = now.plus(Duration::from_secs(seconds));
    }

    fn request(&self) -> StartSuite {
        let draft = json!({"agent_id": self.agent, "scenario_ids": [self.scenario]});
        StartSuite::parse(&domain::Draft(draft)).unwrap()
    }

    async fn flight(&self) -> Preflight {
        self.suites.preflight(&self.anna, &self.request()).await.unwrap()
    }

    async fn start(&self) -> Result<(), AppError> {
        self.suites.start(&self.anna, &self.request(), &unkeyed("/suites")).await.map(drop)
    }
}

fn unkeyed(path: &str) -> IdempotentRequest {
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
    let world = world().await;
    assert_eq!(world.flight().await.problems, []);
    world.call("m", no_key()).await;
    let flight = world.flight().await;
    let told = &flight.connections;
    assert_eq!((told.len(), flight.problems.len()), (1, 1), "judge and agent share it: {flight:?}");
    assert_eq!((told[0].name.as_str(), told[0].connection_id), ("Ours", world.connection));
    assert!(told[0].stops && told[0].message.contains("(401)"), "{told:?}");
    assert_eq!(flight.problems[0].path, "agent.connection_id");
    assert_eq!(flight.problems[0].message, told[0].message);

    let refused = world.start().await.unwrap_err();
    assert_eq!((refused.code.status(), &refused.problems), (422, &flight.problems));
    let page = format!("/settings/connections/{}", world.connection);
    assert_eq!(refused.link, Some(page), "where it can be mended");

    // A successful test by the user ends it.
    let tested = world.catalog.test_connection(&world.anna, world.connection, None).await.unwrap();
    assert!(tested.ok, "{tested:?}");
    assert_eq!(world.flight().await.connections, []);
    world.start().await.unwrap();
}

#[tokio::test]
async fn suspension_with_due_trial_is_reported_and_allows_start() {
    let world = world().await;
    world.call("m", refusal(ErrorKind::QuotaExhausted, 402, "Nothing left to spend (402).")).await;
    assert_eq!(world.flight().await.problems.len(), 1);
    world.later(300);
    let flight = world.flight().await;
    assert_eq!(flight.problems, [], "or nobody but a person could ever end it");
    let told = &flight.connections[0];
    assert!(!told.stops && told.message.contains("tries it again"), "{told:?}");
    world.start().await.unwrap();
}

#[tokio::test]
async fn open_circuit_is_reported_with_next_probe_and_allows_start() {
    let world = world().await;
    for _ in 0..5 {
        world.call("m", down()).await;
    }
    let flight = world.flight().await;
    assert_eq!(flight.problems, []);
    let told = &flight.connections[0];
    assert!(!told.stops && told.message.contains("runs wait"), "{told:?}");
    let until = world.clock.now().plus(Duration::from_secs(15));
    assert_eq!(told.until, Some(until));
    world.start().await.unwrap();
}

#[tokio::test]
async fn suspended_model_affects_only_its_users() {
    let world = world().await;
    let closed = refusal(ErrorKind::ProviderRejected, 403, "May not use the model (403).");
    world.call("dear", closed).await;
    assert_eq!(world.flight().await.connections, [], "the agent asks another one");
    let judge = ModelChoice { connection_id: world.connection, model: "dear".to_owned() };
    let settings = Settings { judge: Some(judge), simulated_user: None };
    world.catalog.update_settings(&world.anna, &settings).await.unwrap();
    let flight = world.flight().await;
    let paths: Vec<_> = flight.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["judge.connection_id"]);
}

#[tokio::test]
async fn rerun_reports_connection_problems_too() {
    let world = world().await;
    let request = json!({"agent_id": world.agent, "scenario_ids": [world.scenario]});
    let request = StartSuite::parse(&domain::Draft(request)).unwrap();
    let key = unkeyed("/suites");
    let started = world.suites.start(&world.anna, &request, &key).await.unwrap();
    world.suites.cancel_suite(&world.anna, started.suite_id).await.unwrap();
    world.call("m", no_key()).await;
    let again =
        world.suites.rerun(&world.anna, started.suite_id, RerunScope::All, &unkeyed("/x")).await;
    let refused = again.unwrap_err();
    assert_eq!(refused.problems[0].path, "agent.connection_id");
    assert!(refused.link.is_some(), "{refused:?}");
}

#[tokio::test]
async fn start_beyond_queue_limit_is_reported_before_start() {
    let mut world = world().await;
    world.suites.limits = SuiteLimits { queue_per_user: 2, ..SuiteLimits::default() };
    let request = StartSuite { repeats: 3, ..world.request() };
    let flight = world.suites.preflight(&world.anna, &request).await.unwrap();
    let started = world.suites.start(&world.anna, &request, &unkeyed("/suites")).await;
    let refused = started.expect_err("too many").problems;
    assert_eq!(flight.problems, refused);
    assert!(refused[0].message.contains("would be 3 runs; at most 2"), "{refused:?}");
}

#[tokio::test]
async fn connection_of_several_roles_is_dialed_once() {
    let world = world().await;
    let another = |model: &str| {
        Some(ModelChoice { connection_id: world.connection, model: model.to_owned() })
    };
    let request = StartSuite {
        judge: another("strict"),
        simulated_user: another("chatty"),
        ..world.request()
    };
    let flight = world.suites.preflight(&world.anna, &request).await.unwrap();
    assert!(flight.connections.is_empty(), "{:?}", flight.connections);
    assert!(world.listener.accept().now_or_never().is_some_and(|taken| taken.is_ok()));
    assert!(world.listener.accept().now_or_never().is_none(), "once is enough");
}

/// An executor for which every pending run waits.
struct HoldingBack(Waiting);

impl Executor for HoldingBack {
    fn wake(&self) {}
    fn cancel(&self, _: &[RunId]) {}
    fn held_back(&self, _: UserId, _: &ModelRef) -> Option<Waiting> {
        Some(self.0)
    }
}

#[tokio::test]
async fn pending_run_shows_what_it_waits_for() {
    let mut world = world().await;
    world.start().await.unwrap();
    let waiting =
        Waiting { what: WaitReason::RateLimit, until: Some(Timestamp(1_700_000_300_000)) };
    world.suites.executor = Arc::new(HoldingBack(waiting));
    let page = world.suites.suites(&world.anna, &Default::default(), &Default::default()).await;
    let id = page.unwrap().items[0].id;
    let snapshot = world.suites.suite(&world.anna, id).await.unwrap();
    let runs = snapshot.suite.runs.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].waiting_on, Some(waiting));
    let run = world.suites.run(&world.anna, runs[0].id).await.unwrap();
    assert_eq!(run.waiting_on, Some(waiting));
}
