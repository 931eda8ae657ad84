//! Fake services with one account and scripted responses.

use async_trait::async_trait;
use domain::error::{AppError, ErrorCode};
use domain::services::{
    AccountService, AgentService, AppResult, Caller, ConnectionService, Cursor, Dashboard,
    DraftService, HistoryFilter, IdempotentRequest, ImportReport, ImportService, Page,
    RejectedForm, RerunScope, ResultService, ScenarioService, Services, SettingsService,
    StartResponse, SuiteService,
};
use domain::{
    Agent, AgentId, AgentSpec, ApiToken, Connection, ConnectionId, ConnectionTest, Draft, DraftId,
    Evaluation, NewToken, Preflight, Run, RunId, Scenario, ScenarioFilter, ScenarioId, Settings,
    SpaceId, StartSuite, Suite, SuiteId, SuiteSnapshot, Timestamp, TokenId, UserId,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// Records requests. The responses depend only on the input.
#[derive(Default)]
pub(super) struct FakeServices {
    pub(super) drafts: Mutex<Vec<RejectedForm>>,
    pub(super) new_tokens: Mutex<Vec<String>>,
    pub(super) starts: Mutex<Vec<(StartSuite, IdempotentRequest)>>,
    pub(super) settings: Mutex<Option<Settings>>,
    pub(super) filters: Mutex<Vec<ScenarioFilter>>,
    pub(super) imported: Mutex<Vec<(Vec<Draft>, bool)>>,
    next: AtomicU64,
    /// Whether the token `good` is revoked.
    pub(super) revoked: AtomicBool,
}

pub(super) fn id(n: u64) -> Uuid {
    Uuid::from_u64_pair(0x0190_a000_0000_7000, 0x8000_0000_0000_0000 | n)
}

pub(super) fn caller() -> Caller {
    let (user_id, space_id) = (UserId(id(1)), SpaceId(id(2)));
    Caller { user_id, space_id, email: "ada@example.com".to_owned() }
}

fn not_found<T>() -> AppResult<T> {
    Err(AppError::not_found("thing"))
}

fn internal() -> AppError {
    AppError {
        log_id: Some(id(77).to_string()),
        ..AppError::new(ErrorCode::Internal, "Something went wrong on our side.")
    }
}

impl FakeServices {
    pub(super) fn services(self: &Arc<Self>) -> Services {
        Services {
            accounts: self.clone(),
            connections: self.clone(),
            agents: self.clone(),
            scenarios: self.clone(),
            imports: self.clone(),
            settings: self.clone(),
            suites: self.clone(),
            results: self.clone(),
            drafts: self.clone(),
        }
    }

    /// Parses the draft. Some names cause an error.
    #[allow(clippy::panic)] // tests the panic handler
    fn agent_of(&self, draft: &Draft, revision: u32) -> AppResult<Agent> {
        let spec = AgentSpec::parse(draft).map_err(AppError::invalid)?;
        match spec.name.as_str() {
            "Internal" => return Err(internal()),
            "Panic" => std::panic::panic_any("a secret path /var/lib/x".to_owned()),
            "Twice" => return Err(AppError::conflict("It is there.").with_link("/agents".into())),
            _ => {}
        }
        Ok(Agent { id: AgentId(id(10)), revision, updated_at: Timestamp(0), spec })
    }

    fn started(&self, keyed: &IdempotentRequest) -> AppResult<StartResponse> {
        match keyed.key.as_deref() {
            Some("reused") => Err(AppError {
                link: Some("/suites/1".to_owned()),
                ..AppError::new(ErrorCode::Invalid, "This key was used for another request.")
            }),
            Some("full") => Err(AppError {
                retry_after: Some(30),
                ..AppError::new(ErrorCode::TooMany, "500 runs wait already.")
            }),
            key => Ok(StartResponse {
                suite_id: SuiteId(id(20)),
                // Unusual spacing, to detect reformatting.
                body: "{ \"id\":\"the suite\" }".to_owned(),
                replayed: key == Some("again"),
            }),
        }
    }
}

#[async_trait]
impl AccountService for FakeServices {
    async fn sign_up_open(&self) -> AppResult<bool> {
        Ok(true)
    }

    async fn sign_up(&self, email: &str, password: &str) -> AppResult<Caller> {
        if password.len() < 3 {
            return Err(AppError::problem("password", "must have at least 3 characters"));
        }
        Ok(Caller { email: email.to_owned(), ..caller() })
    }

    async fn sign_in(&self, email: &str, password: &str) -> AppResult<Caller> {
        if email == "ada@example.com" && password == "right" {
            return Ok(caller());
        }
        Err(AppError::new(ErrorCode::Unauthenticated, "E-mail or password is not right."))
    }

    async fn caller_of_token(&self, token: &str) -> AppResult<Caller> {
        match token {
            "good" if !self.revoked.load(Ordering::SeqCst) => Ok(caller()),
            "broken" => Err(AppError::new(ErrorCode::Unavailable, "Not now.")),
            _ => not_found(),
        }
    }

    async fn caller_of_user(&self, user: UserId) -> AppResult<Caller> {
        if user == caller().user_id { Ok(caller()) } else { not_found() }
    }

    async fn tokens(&self, _: &Caller) -> AppResult<Vec<ApiToken>> {
        Ok(Vec::new())
    }

    async fn create_token(&self, _: &Caller, name: &str) -> AppResult<NewToken> {
        let listed = ApiToken {
            id: TokenId(id(30)),
            name: name.to_owned(),
            created_at: Timestamp(0),
            last_used_at: None,
        };
        Ok(NewToken { listed, token: "rhs_secret".to_owned() })
    }

    async fn delete_token(&self, _: &Caller, _: TokenId) -> AppResult<()> {
        Ok(())
    }

    fn hold_new_token(&self, _: &Caller, secret: &str) -> DraftId {
        self.new_tokens.lock().push(secret.to_owned());
        DraftId(id(950))
    }

    fn take_new_token(&self, _: &Caller, _: DraftId) -> Option<String> {
        None
    }
}

#[async_trait]
impl ConnectionService for FakeServices {
    async fn connections(&self, _: &Caller) -> AppResult<Vec<Connection>> {
        Ok(Vec::new())
    }

    async fn connection(&self, _: &Caller, _: ConnectionId) -> AppResult<Connection> {
        not_found()
    }

    async fn create_connection(&self, _: &Caller, _: &Draft) -> AppResult<Connection> {
        Err(AppError::problem("base_url", "must not be private"))
    }

    async fn update_connection(
        &self,
        _: &Caller,
        _: ConnectionId,
        _: &Draft,
    ) -> AppResult<Connection> {
        not_found()
    }

    async fn delete_connection(&self, _: &Caller, _: ConnectionId) -> AppResult<()> {
        Err(AppError::conflict("An agent uses it.").with_link("/agents/1".to_owned()))
    }

    async fn test_connection(
        &self,
        _: &Caller,
        _: ConnectionId,
        model: Option<String>,
    ) -> AppResult<ConnectionTest> {
        Ok(ConnectionTest {
            ok: true,
            message: format!("{model:?} answers"),
            request: String::new(),
            answer: String::new(),
            latency_ms: 1,
        })
    }

    async fn test_unsaved_connection(
        &self,
        _: &Caller,
        _: ConnectionId,
        _: &Draft,
    ) -> AppResult<ConnectionTest> {
        not_found()
    }
}

#[async_trait]
impl AgentService for FakeServices {
    async fn agents(&self, _: &Caller, cursor: &Cursor) -> AppResult<Page<Agent>> {
        Ok(Page { items: Vec::new(), next: cursor.after.clone() })
    }

    async fn agent(&self, _: &Caller, _: AgentId) -> AppResult<Agent> {
        not_found()
    }

    async fn agent_revisions(&self, _: &Caller, _: AgentId) -> AppResult<Vec<Agent>> {
        Ok(Vec::new())
    }

    async fn create_agent(&self, _: &Caller, draft: &Draft) -> AppResult<Agent> {
        self.agent_of(draft, 1)
    }

    async fn update_agent(
        &self,
        _: &Caller,
        _: AgentId,
        revision: u32,
        draft: &Draft,
    ) -> AppResult<Agent> {
        if revision != 1 {
            return Err(AppError::conflict("There is a newer revision."));
        }
        self.agent_of(draft, 2)
    }

    async fn delete_agent(&self, _: &Caller, _: AgentId) -> AppResult<()> {
        Ok(())
    }

    async fn duplicate_agent(&self, _: &Caller, _: AgentId) -> AppResult<Agent> {
        not_found()
    }
}

#[async_trait]
impl ScenarioService for FakeServices {
    async fn scenarios(
        &self,
        _: &Caller,
        filter: &ScenarioFilter,
        _: &Cursor,
    ) -> AppResult<Page<Scenario>> {
        self.filters.lock().push(filter.clone());
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn scenario(&self, _: &Caller, _: ScenarioId) -> AppResult<Scenario> {
        not_found()
    }

    async fn scenario_revisions(&self, _: &Caller, _: ScenarioId) -> AppResult<Vec<Scenario>> {
        not_found()
    }

    async fn create_scenario(&self, _: &Caller, _: &Draft) -> AppResult<Scenario> {
        not_found()
    }

    async fn update_scenario(
        &self,
        _: &Caller,
        _: ScenarioId,
        _: u32,
        _: &Draft,
    ) -> AppResult<Scenario> {
        not_found()
    }

    async fn delete_scenario(&self, _: &Caller, _: ScenarioId) -> AppResult<()> {
        not_found()
    }

    async fn duplicate_scenario(&self, _: &Caller, _: ScenarioId) -> AppResult<Scenario> {
        not_found()
    }
}

#[async_trait]
impl ImportService for FakeServices {
    async fn import(
        &self,
        _: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> AppResult<ImportReport> {
        self.imported.lock().push((documents, dry_run));
        Ok(ImportReport { dry_run, documents: Vec::new() })
    }
}

#[async_trait]
impl SettingsService for FakeServices {
    async fn settings(&self, _: &Caller) -> AppResult<Settings> {
        Ok(Settings::default())
    }

    async fn update_settings(&self, _: &Caller, settings: &Settings) -> AppResult<Settings> {
        *self.settings.lock() = Some(settings.clone());
        Ok(settings.clone())
    }
}

#[async_trait]
impl SuiteService for FakeServices {
    async fn preflight(&self, _: &Caller, _: &StartSuite) -> AppResult<Preflight> {
        Ok(Preflight::default())
    }

    async fn start(
        &self,
        _: &Caller,
        request: &StartSuite,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        self.starts.lock().push((request.clone(), keyed.clone()));
        self.started(keyed)
    }

    async fn start_demo(&self, _: &Caller, keyed: &IdempotentRequest) -> AppResult<StartResponse> {
        self.started(keyed)
    }

    async fn cancel_suite(&self, _: &Caller, _: SuiteId) -> AppResult<Suite> {
        not_found()
    }

    async fn rerun(
        &self,
        _: &Caller,
        _: SuiteId,
        _: RerunScope,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        self.started(keyed)
    }

    async fn cancel_run(&self, _: &Caller, _: RunId) -> AppResult<Run> {
        not_found()
    }

    async fn evaluate(
        &self,
        _: &Caller,
        _: RunId,
        keyed: &IdempotentRequest,
    ) -> AppResult<StartResponse> {
        self.started(keyed)
    }

    fn new_idempotency_key(&self) -> String {
        "minted".to_owned()
    }
}

#[async_trait]
impl ResultService for FakeServices {
    async fn suites(&self, _: &Caller, _: &HistoryFilter, _: &Cursor) -> AppResult<Page<Suite>> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn suite(&self, _: &Caller, _: SuiteId) -> AppResult<SuiteSnapshot> {
        not_found()
    }

    async fn runs(&self, _: &Caller, _: &HistoryFilter, _: &Cursor) -> AppResult<Page<Run>> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn run(&self, _: &Caller, _: RunId) -> AppResult<Run> {
        not_found()
    }

    async fn evaluations(&self, _: &Caller, _: RunId) -> AppResult<Vec<Evaluation>> {
        not_found()
    }

    async fn dashboard(&self, _: &Caller) -> AppResult<Dashboard> {
        Ok(Dashboard {
            live: Vec::new(),
            latest: Vec::new(),
            agents: 0,
            scenarios: 0,
            built_in_scenarios: 0,
            failing_connections: Vec::new(),
        })
    }
}

#[async_trait]
impl DraftService for FakeServices {
    async fn keep_draft(&self, _: Option<&Caller>, rejected: &RejectedForm) -> AppResult<DraftId> {
        self.drafts.lock().push(rejected.clone());
        Ok(DraftId(id(900 + self.next.fetch_add(1, Ordering::SeqCst))))
    }

    async fn draft(&self, _: Option<&Caller>, _: DraftId) -> AppResult<RejectedForm> {
        not_found()
    }
}
