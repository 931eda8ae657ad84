//! The port, as one thing: what people write ([`Rehearsal`]) and what runs
//! ([`Suites`]) behind `trait Backend`.

use super::Rehearsal;
use super::suites::Suites;
use domain::backend::{
    Answer, Backend, Caller, Cursor, Dashboard, HistoryFilter, ImportReport, Keyed, Page, Rejected,
    Started, Which,
};
use domain::{
    Agent, AgentId, ApiToken, BreakerState, Connection, ConnectionId, ConnectionTest, Draft,
    DraftId, Evaluation, NewToken, Preflight, Run, RunId, Scenario, ScenarioFilter, ScenarioId,
    Settings, StartSuite, Suite, SuiteId, SuiteSnapshot, TokenId, UserId,
};
use async_trait::async_trait;
use std::sync::Arc;

/// Everything behind the port.
#[derive(Clone)]
pub struct Port {
    /// Accounts, connections, agents, scenarios, settings, drafts.
    pub people: Arc<Rehearsal>,
    /// Suites and runs.
    pub suites: Suites,
}

/// Latest suites on the first page.
const LATEST: u32 = 10;
/// Agents and scenarios are counted up to so many.
const COUNTED: u32 = 200;

impl Port {
    async fn counted_scenarios(&self, caller: &Caller, built_in: bool) -> Answer<u32> {
        let filter = ScenarioFilter { built_in: Some(built_in), ..ScenarioFilter::default() };
        let page = self.people.scenarios(caller, &filter, &counted()).await?;
        Ok(u32::try_from(page.items.len()).unwrap_or(COUNTED))
    }
}

fn counted() -> Cursor {
    Cursor { after: None, limit: Some(COUNTED) }
}

#[async_trait]
impl Backend for Port {
    async fn sign_up_open(&self) -> Answer<bool> {
        self.people.sign_up_open().await
    }
    async fn sign_up(&self, email: &str, password: &str) -> Answer<Caller> {
        self.people.sign_up(email, password).await
    }
    async fn sign_in(&self, email: &str, password: &str) -> Answer<Caller> {
        self.people.sign_in(email, password).await
    }
    async fn caller_of_token(&self, token: &str) -> Answer<Caller> {
        self.people.caller_of_token(token).await
    }
    async fn caller_of_user(&self, user: UserId) -> Answer<Caller> {
        self.people.caller_of_user(user).await
    }
    async fn tokens(&self, caller: &Caller) -> Answer<Vec<ApiToken>> {
        self.people.tokens(caller).await
    }
    async fn create_token(&self, caller: &Caller, name: &str) -> Answer<NewToken> {
        self.people.create_token(caller, name).await
    }
    async fn delete_token(&self, caller: &Caller, id: TokenId) -> Answer<()> {
        self.people.delete_token(caller, id).await
    }

    async fn connections(&self, caller: &Caller) -> Answer<Vec<Connection>> {
        self.people.connections(caller).await
    }
    async fn connection(&self, caller: &Caller, id: ConnectionId) -> Answer<Connection> {
        self.people.connection(caller, id).await
    }
    async fn create_connection(&self, caller: &Caller, draft: &Draft) -> Answer<Connection> {
        self.people.create_connection(caller, draft).await
    }
    async fn update_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        draft: &Draft,
    ) -> Answer<Connection> {
        self.people.update_connection(caller, id, draft).await
    }
    async fn delete_connection(&self, caller: &Caller, id: ConnectionId) -> Answer<()> {
        self.people.delete_connection(caller, id).await
    }
    async fn test_connection(
        &self,
        caller: &Caller,
        id: ConnectionId,
        model: Option<String>,
    ) -> Answer<ConnectionTest> {
        self.people.test_connection(caller, id, model).await
    }
    async fn test_typed(
        &self,
        caller: &Caller,
        id: ConnectionId,
        typed: &Draft,
    ) -> Answer<ConnectionTest> {
        self.people.test_typed(caller, id, typed).await
    }

    async fn agents(&self, caller: &Caller, cursor: &Cursor) -> Answer<Page<Agent>> {
        self.people.agents(caller, cursor).await
    }
    async fn agent(&self, caller: &Caller, id: AgentId) -> Answer<Agent> {
        self.people.agent(caller, id).await
    }
    async fn agent_revisions(&self, caller: &Caller, id: AgentId) -> Answer<Vec<Agent>> {
        self.people.agent_revisions(caller, id).await
    }
    async fn create_agent(&self, caller: &Caller, draft: &Draft) -> Answer<Agent> {
        self.people.create_agent(caller, draft).await
    }
    async fn update_agent(
        &self,
        caller: &Caller,
        id: AgentId,
        revision: u32,
        draft: &Draft,
    ) -> Answer<Agent> {
        self.people.update_agent(caller, id, revision, draft).await
    }
    async fn delete_agent(&self, caller: &Caller, id: AgentId) -> Answer<()> {
        self.people.delete_agent(caller, id).await
    }
    async fn duplicate_agent(&self, caller: &Caller, id: AgentId) -> Answer<Agent> {
        self.people.duplicate_agent(caller, id).await
    }

    async fn scenarios(
        &self,
        caller: &Caller,
        filter: &ScenarioFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Scenario>> {
        self.people.scenarios(caller, filter, cursor).await
    }
    async fn scenario(&self, caller: &Caller, id: ScenarioId) -> Answer<Scenario> {
        self.people.scenario(caller, id).await
    }
    async fn scenario_revisions(&self, caller: &Caller, id: ScenarioId) -> Answer<Vec<Scenario>> {
        self.people.scenario_revisions(caller, id).await
    }
    async fn create_scenario(&self, caller: &Caller, draft: &Draft) -> Answer<Scenario> {
        self.people.create_scenario(caller, draft).await
    }
    async fn update_scenario(
        &self,
        caller: &Caller,
        id: ScenarioId,
        revision: u32,
        draft: &Draft,
    ) -> Answer<Scenario> {
        self.people.update_scenario(caller, id, revision, draft).await
    }
    async fn delete_scenario(&self, caller: &Caller, id: ScenarioId) -> Answer<()> {
        self.people.delete_scenario(caller, id).await
    }
    async fn duplicate_scenario(&self, caller: &Caller, id: ScenarioId) -> Answer<Scenario> {
        self.people.duplicate_scenario(caller, id).await
    }
    async fn import(
        &self,
        caller: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> Answer<ImportReport> {
        self.people.import(caller, documents, dry_run).await
    }

    async fn settings(&self, caller: &Caller) -> Answer<Settings> {
        self.people.settings(caller).await
    }
    async fn update_settings(&self, caller: &Caller, settings: &Settings) -> Answer<Settings> {
        self.people.update_settings(caller, settings).await
    }

    async fn preflight(&self, caller: &Caller, request: &StartSuite) -> Answer<Preflight> {
        self.suites.preflight(caller, request).await
    }
    async fn start(&self, caller: &Caller, request: &StartSuite, keyed: &Keyed) -> Answer<Started> {
        self.suites.start(caller, request, keyed).await
    }
    async fn start_demo(&self, caller: &Caller, keyed: &Keyed) -> Answer<Started> {
        let agent = self.people.demo_agent(caller).await?;
        let request = StartSuite {
            agent_id: agent.id,
            scenario_ids: None,
            filter: Some(ScenarioFilter { built_in: Some(true), ..ScenarioFilter::default() }),
            repeats: 1,
            concurrency: None,
            note: "Demo: the model is a stand-in. These results tell you nothing about a real one."
                .to_owned(),
            allow_parallel: false,
            skip_incompatible: true,
            judge: None,
            simulated_user: None,
        };
        self.suites.start(caller, &request, keyed).await
    }
    async fn suites(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Suite>> {
        self.suites.suites(caller, filter, cursor).await
    }
    async fn suite(&self, caller: &Caller, id: SuiteId) -> Answer<SuiteSnapshot> {
        self.suites.suite(caller, id).await
    }
    async fn cancel_suite(&self, caller: &Caller, id: SuiteId) -> Answer<Suite> {
        self.suites.cancel_suite(caller, id).await
    }
    async fn rerun(
        &self,
        caller: &Caller,
        id: SuiteId,
        which: Which,
        keyed: &Keyed,
    ) -> Answer<Started> {
        self.suites.rerun(caller, id, which, keyed).await
    }
    async fn runs(
        &self,
        caller: &Caller,
        filter: &HistoryFilter,
        cursor: &Cursor,
    ) -> Answer<Page<Run>> {
        self.suites.runs(caller, filter, cursor).await
    }
    async fn run(&self, caller: &Caller, id: RunId) -> Answer<Run> {
        self.suites.run(caller, id).await
    }
    async fn cancel_run(&self, caller: &Caller, id: RunId) -> Answer<Run> {
        self.suites.cancel_run(caller, id).await
    }
    async fn evaluate(&self, caller: &Caller, id: RunId, keyed: &Keyed) -> Answer<Started> {
        self.suites.evaluate(caller, id, keyed).await
    }
    async fn evaluations(&self, caller: &Caller, id: RunId) -> Answer<Vec<Evaluation>> {
        self.suites.evaluations(caller, id).await
    }

    async fn dashboard(&self, caller: &Caller) -> Answer<Dashboard> {
        let latest = Cursor { after: None, limit: Some(LATEST) };
        let troubled = self.people.connections(caller).await?;
        let agents = self.people.agents(caller, &counted()).await?.items.len();
        Ok(Dashboard {
            live: self.suites.unfinished(caller).await?,
            latest: self.suites.suites(caller, &HistoryFilter::default(), &latest).await?.items,
            agents: u32::try_from(agents).unwrap_or(COUNTED),
            scenarios: self.counted_scenarios(caller, false).await?,
            built_in_scenarios: self.counted_scenarios(caller, true).await?,
            troubled: troubled
                .into_iter()
                .filter(|one| one.breaker.state != BreakerState::Closed)
                .collect(),
        })
    }

    async fn keep_rejected(&self, caller: Option<&Caller>, rejected: &Rejected) -> Answer<DraftId> {
        self.people.keep_rejected(caller, rejected).await
    }
    async fn rejected(&self, caller: Option<&Caller>, id: DraftId) -> Answer<Rejected> {
        self.people.rejected(caller, id).await
    }
    fn hold_token(&self, caller: &Caller, secret: &str) -> DraftId {
        self.people.hold_token(caller, secret)
    }
    fn take_token(&self, caller: &Caller, id: DraftId) -> Option<String> {
        self.people.take_token(caller, id)
    }
    fn mint_key(&self) -> String {
        self.people.mint_key()
    }
}
