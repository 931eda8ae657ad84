//! Fake services with one account and scripted responses.

use async_trait::async_trait;
use domain::error::{AppError, ErrorCode};
use domain::services::{
    AccountService, AgentChat, AgentChatService, AgentService, AgentTrial, AppResult, AuthMethod,
    Caller, ChatSession, ConnectionService, CostService, Cursor, Dashboard, HistoryFilter,
    IdempotentRequest, ImportReport, ImportService, ListPage, ProfileService, RerunRequest,
    ResultService, SavedForm, SavedFormService, ScenarioService, Services, SettingsService,
    StartResponse, SuiteService,
};
use domain::{
    Agent, AgentCost, AgentId, AgentSpec, ApiToken, BrowserSession, Connection, ConnectionId,
    ConnectionPrices, ConnectionTest, DailyBudget, Draft, Evaluation, NanoUsd, NewToken,
    NewTokenId, NewestRevisions, Preflight, Profile, ProfileId, Run, RunId, SavedFormId, Scenario,
    ScenarioFilter, ScenarioId, Settings, SpaceId, Speaker, StartSuite, Suite, SuiteId,
    SuiteSnapshot, Timestamp, TokenId, TokenRequest, Turn, UserId,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// Records requests. The responses depend only on the input.
#[derive(Default)]
pub(super) struct FakeServices {
    pub(super) saved_forms: Mutex<Vec<SavedForm>>,
    pub(super) new_tokens: Mutex<Vec<String>>,
    pub(super) starts: Mutex<Vec<(StartSuite, IdempotentRequest)>>,
    pub(super) settings: Mutex<Option<Settings>>,
    pub(super) filters: Mutex<Vec<ScenarioFilter>>,
    pub(super) imported: Mutex<Vec<(Vec<Draft>, bool)>>,
    /// How often the dashboard was read.
    pub(super) dashboards: AtomicU64,
    next: AtomicU64,
    /// Whether the token `good` is revoked.
    pub(super) revoked: AtomicBool,
}

pub(super) fn id(n: u64) -> Uuid {
    Uuid::from_u64_pair(0x0190_a000_0000_7000, 0x8000_0000_0000_0000 | n)
}

pub(super) fn caller() -> Caller {
    let (user_id, space_id) = (UserId(id(1)), SpaceId(id(2)));
    let email = "ada@example.com".to_owned();
    Caller { user_id, space_id, email, auth: AuthMethod::Password }
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
            chats: self.clone(),
            scenarios: self.clone(),
            profiles: self.clone(),
            imports: self.clone(),
            settings: self.clone(),
            costs: self.clone(),
            suites: self.clone(),
            results: self.clone(),
            saved_forms: self.clone(),
        }
    }

    /// Parses the draft. Some names cause an error.
    #[allow(clippy::panic)] // tests the panic handler
    fn agent_of(&self, draft: &Draft, revision: u32) -> AppResult<Agent> {
        let spec = AgentSpec::parse(draft).map_err(AppError::invalid)?;
        match spec.name.as_str() {
            "Internal" => return Err(internal()),
            "Panic" => std::panic::panic_any("a secret path /var/lib/x".to_owned()),
            "Twice" => return Err(AppError::conflict("It exists.").with_link("/agents".into())),
            _ => {}
        }
        Ok(Agent { id: AgentId(id(10)), revision, updated_at: Timestamp(0), spec })
    }

    fn started(&self, key: &IdempotentRequest) -> AppResult<StartResponse> {
        match key.key.as_deref() {
            Some("reused") => Err(AppError {
                link: Some("/suites/1".to_owned()),
                ..AppError::new(ErrorCode::Invalid, "This key was used for another request.")
            }),
            Some("full") => Err(AppError {
                retry_after: Some(30),
                ..AppError::new(ErrorCode::TooMany, "500 runs wait already.")
            }),
            text => Ok(StartResponse {
                suite_id: SuiteId(id(20)),
                // Unusual spacing, to detect reformatting.
                body: "{ \"id\":\"the suite\" }".to_owned(),
                replayed: text == Some("repeated"),
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

    async fn caller_of_session(&self, user: UserId, _: Timestamp) -> AppResult<Caller> {
        if user == caller().user_id { Ok(caller()) } else { not_found() }
    }

    async fn change_password(&self, _: &Caller, current: &str, _: &str) -> AppResult<()> {
        match current {
            "right" => Ok(()),
            _ => Err(AppError::problem("current_password", "is not your current password")),
        }
    }

    async fn sessions(&self, _: &Caller) -> AppResult<Vec<BrowserSession>> {
        Ok(Vec::new())
    }

    async fn end_session(&self, _: &Caller, _: &str) -> AppResult<()> {
        not_found()
    }

    async fn log_throttled_sign_in(&self, _: &str) {}

    async fn end_sessions(&self, _: &Caller) -> AppResult<()> {
        Ok(())
    }

    async fn tokens(&self, _: &Caller) -> AppResult<Vec<ApiToken>> {
        Ok(Vec::new())
    }

    async fn create_token(&self, _: &Caller, request: &TokenRequest) -> AppResult<NewToken> {
        let listed = ApiToken {
            id: TokenId(id(30)),
            name: request.name.clone(),
            created_at: Timestamp(0),
            last_used_at: None,
            expires_at: None,
        };
        Ok(NewToken { listed, token: "rhs_secret".to_owned() })
    }

    async fn delete_token(&self, _: &Caller, _: TokenId) -> AppResult<()> {
        Ok(())
    }

    fn hold_new_token(&self, _: &Caller, secret: &str) -> NewTokenId {
        self.new_tokens.lock().push(secret.to_owned());
        NewTokenId(id(950))
    }

    fn take_new_token(&self, _: &Caller, _: NewTokenId) -> Option<String> {
        None
    }
}

/// Implements services whose methods have the caller as their first argument, one
/// line per method. `$fake` is the [`FakeServices`].
macro_rules! fake_services {
    ($fake:ident: $($service:ident {
        $($name:ident($($argument:ident: $kind:ty),*) -> $output:ty = $result:expr;)*
    } $(+ { $($method:tt)* })?)*) => {$(
        #[async_trait]
        impl $service for FakeServices {
            $(async fn $name(&self, _: &Caller $(, $argument: $kind)*) -> AppResult<$output> {
                let $fake = self;
                let _ = $fake;
                $result
            })*
            $($($method)*)?
        }
    )*};
}

fake_services! { fake:
    ConnectionService {
        connections() -> Vec<Connection> = Ok(Vec::new());
        connection(_id: ConnectionId) -> Connection = not_found();
        create_connection(_draft: &Draft) -> Connection =
            Err(AppError::problem("base_url", "must not be private"));
        update_connection(_id: ConnectionId, _draft: &Draft) -> Connection = not_found();
        delete_connection(_id: ConnectionId) -> () =
            Err(AppError::conflict("An agent uses it.").with_link("/agents/1".to_owned()));
        test_connection(_id: ConnectionId, model: Option<String>) -> ConnectionTest =
            Ok(ConnectionTest {
                ok: true,
                message: format!("{model:?} answers"),
                request: String::new(),
                answer: String::new(),
                latency_ms: 1,
                ..ConnectionTest::default()
            });
        test_unsaved_connection(_id: ConnectionId, _draft: &Draft) -> ConnectionTest = not_found();
    }
    AgentService {
        agents(cursor: &Cursor) -> ListPage<Agent> =
            Ok(ListPage { items: Vec::new(), next: cursor.after.clone() });
        agent(_id: AgentId) -> Agent = not_found();
        agent_revisions(_id: AgentId) -> Vec<Agent> = Ok(Vec::new());
        create_agent(draft: &Draft) -> Agent = fake.agent_of(draft, 1);
        update_agent(_id: AgentId, revision: u32, draft: &Draft) -> Agent = match revision {
            1 => fake.agent_of(draft, 2),
            _ => Err(AppError::conflict("There is a newer revision.")),
        };
        delete_agent(_id: AgentId) -> () = Ok(());
        duplicate_agent(_id: AgentId) -> Agent = not_found();
    }
    AgentChatService {
        answer(id: AgentId, turns: Vec<Turn>, message: &str, session: Option<ChatSession>) -> AgentChat = match message {
            _ if id != AgentId(self::id(10)) => not_found(),
            "" => Err(AppError::problem("message", "must not be empty")),
            "fail" => Ok(AgentChat {
                turns,
                error: Some("The provider answered 400.".to_owned()),
                ended: false,
                session,
            }),
            said => {
                let user = Turn::text(Speaker::User, said, Timestamp(0));
                let agent = Turn::text(Speaker::Agent, "Hello.", Timestamp(0));
                let turns = turns.into_iter().chain([user, agent]).collect();
                Ok(AgentChat { turns, error: None, ended: false, session })
            }
        };
        end(_id: AgentId, turns: Vec<Turn>, _session: Option<ChatSession>) -> AgentChat =
            Ok(AgentChat { turns, error: None, ended: true, session: None });
        try_message(_draft: &Draft, message: &str) -> AgentTrial = match message {
            "" => Err(AppError::problem("message", "must not be empty")),
            _ => Ok(AgentTrial { error: Some("It is down.".to_owned()), ..AgentTrial::default() }),
        };
    }
    ScenarioService {
        scenarios(filter: &ScenarioFilter, _cursor: &Cursor) -> ListPage<Scenario> = {
            fake.filters.lock().push(filter.clone());
            Ok(ListPage { items: Vec::new(), next: None })
        };
        scenario(_id: ScenarioId) -> Scenario = not_found();
        scenario_revisions(_id: ScenarioId) -> Vec<Scenario> = not_found();
        create_scenario(_draft: &Draft) -> Scenario = not_found();
        update_scenario(_id: ScenarioId, _revision: u32, _draft: &Draft) -> Scenario = not_found();
        delete_scenario(_id: ScenarioId) -> () = not_found();
        duplicate_scenario(_id: ScenarioId) -> Scenario = not_found();
    }
    ProfileService {
        profiles() -> Vec<Profile> = Ok(Vec::new());
        profile(_id: ProfileId) -> Profile = not_found();
        create_profile(_draft: &Draft) -> Profile =
            Err(AppError::problem("variables[0].value", "must not be empty"));
        update_profile(_id: ProfileId, _revision: u32, _draft: &Draft) -> Profile = not_found();
        delete_profile(_id: ProfileId) -> () = not_found();
    }
    ImportService {
        import(documents: Vec<Draft>, dry_run: bool) -> ImportReport = {
            fake.imported.lock().push((documents, dry_run));
            Ok(ImportReport { dry_run, ..ImportReport::default() })
        };
    }
    SettingsService {
        settings() -> Settings = Ok(Settings::default());
        update_settings(settings: &Settings) -> Settings = {
            *fake.settings.lock() = Some(settings.clone());
            Ok(settings.clone())
        };
    }
    CostService {
        prices(_id: ConnectionId) -> ConnectionPrices = not_found();
        update_prices(_id: ConnectionId, _draft: &Draft) -> ConnectionPrices = not_found();
        daily_budget() -> DailyBudget = Ok(DailyBudget::default());
        update_daily_budget(budget: Option<NanoUsd>) -> DailyBudget =
            Ok(DailyBudget { daily_budget_usd: budget, ..DailyBudget::default() });
        agent_cost(_id: AgentId) -> AgentCost = not_found();
    }
    SuiteService {
        preflight(_request: &StartSuite) -> Preflight = Ok(Preflight::default());
        start(request: &StartSuite, key: &IdempotentRequest) -> StartResponse = {
            fake.starts.lock().push((request.clone(), key.clone()));
            fake.started(key)
        };
        start_demo(key: &IdempotentRequest) -> StartResponse = fake.started(key);
        cancel_suite(_id: SuiteId) -> Suite = not_found();
        rerun(_id: SuiteId, _request: RerunRequest, key: &IdempotentRequest) -> StartResponse =
            fake.started(key);
        newest_revisions(_suite: &Suite) -> NewestRevisions = Ok(NewestRevisions::default());
        cancel_run(_id: RunId) -> Run = not_found();
        rejudge(_id: RunId, key: &IdempotentRequest) -> StartResponse = fake.started(key);
    } + {
        fn new_idempotency_key(&self) -> String {
            "generated".to_owned()
        }
    }
    ResultService {
        suites(_filter: &HistoryFilter, _cursor: &Cursor) -> ListPage<Suite> =
            Ok(ListPage { items: Vec::new(), next: None });
        suite(_id: SuiteId) -> SuiteSnapshot = not_found();
        runs(_filter: &HistoryFilter, _cursor: &Cursor) -> ListPage<Run> =
            Ok(ListPage { items: Vec::new(), next: None });
        run(_id: RunId) -> Run = not_found();
        evaluations(_id: RunId) -> Vec<Evaluation> = not_found();
        dashboard() -> Dashboard = {
            fake.dashboards.fetch_add(1, Ordering::SeqCst);
            Ok(Dashboard {
                unfinished_suites: Vec::new(),
                latest: Vec::new(),
                agents: 0,
                scenarios: 0,
                built_in_scenarios: 0,
                failing_connections: Vec::new(),
            })
        };
        unfinished_suites() -> Vec<Suite> = Ok(Vec::new());
    }
}

#[async_trait]
impl SavedFormService for FakeServices {
    async fn save_form(&self, _: Option<&Caller>, rejected: &SavedForm) -> AppResult<SavedFormId> {
        self.saved_forms.lock().push(rejected.clone());
        Ok(SavedFormId(id(900 + self.next.fetch_add(1, Ordering::SeqCst))))
    }

    /// Returns the first form only.
    async fn saved_form(&self, _: Option<&Caller>, form: SavedFormId) -> AppResult<SavedForm> {
        let forms = self.saved_forms.lock();
        let first = forms.first().filter(|_| form == SavedFormId(id(900)));
        first.cloned().ok_or_else(|| AppError::not_found("form"))
    }
}
