//! What users write: connections, agents, scenarios, settings, saved forms.

use super::StoreResult;
use super::profiles::NewProfile;
use async_trait::async_trait;
use domain::{
    Agent, AgentId, AgentSpec, ConnectionAuth, ConnectionId, ConnectionKind, ConnectionPreset,
    ConnectionSpec, Difficulty, ProfileId, SavedFormId, Scenario, ScenarioFilter, ScenarioId,
    ScenarioSpec, Settings, SpaceId, Timestamp,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A connection of a space. Connections from the server's configuration are not
/// stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    pub id: ConnectionId,
    pub space_id: SpaceId,
    pub name: String,
    pub kind: ConnectionKind,
    pub base_url: String,
    /// Extra headers of every request. Secret values are masked.
    pub headers: BTreeMap<String, String>,
    /// The secret headers with their values, encrypted.
    pub secret_headers: Option<Vec<u8>>,
    /// How the key authenticates.
    pub auth: ConnectionAuth,
    /// Query parameters of every request. Secret values are masked.
    pub query: BTreeMap<String, String>,
    /// The secret query parameters with their values, encrypted.
    pub secret_query: Option<Vec<u8>>,
    /// The timeout of one attempt of a call; `None` for the server's default.
    pub timeout_seconds: Option<u32>,
    pub preset: Option<ConnectionPreset>,
    /// The models that the server listed at the last test.
    pub models: Vec<String>,
    /// Key id, nonce and ciphertext of the encrypted API key.
    pub key_ciphertext: Option<Vec<u8>>,
    /// The last four characters of the API key.
    pub key_last4: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl ConnectionRow {
    /// A new connection without headers, query parameters and secrets, which are encrypted
    /// before they are added.
    #[must_use]
    pub fn new(id: ConnectionId, space_id: SpaceId, spec: &ConnectionSpec, at: Timestamp) -> Self {
        Self {
            id,
            space_id,
            name: spec.name.clone(),
            kind: spec.kind,
            base_url: spec.base_url.clone(),
            headers: BTreeMap::new(),
            secret_headers: None,
            auth: spec.auth.clone(),
            query: BTreeMap::new(),
            secret_query: None,
            timeout_seconds: spec.timeout_seconds,
            preset: spec.preset,
            models: Vec::new(),
            key_ciphertext: None,
            key_last4: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// The stored connection with what a user saved, except headers, query parameters and
    /// secrets.
    #[must_use]
    pub fn edited(self, spec: &ConnectionSpec, at: Timestamp) -> Self {
        Self {
            name: spec.name.clone(),
            kind: spec.kind,
            base_url: spec.base_url.clone(),
            auth: spec.auth.clone(),
            timeout_seconds: spec.timeout_seconds,
            preset: spec.preset,
            updated_at: at,
            ..self
        }
    }
}

/// What an update of a connection does with the stored API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEdit {
    /// The stored key stays, even if it changed since the row was read.
    Keep,
    /// The key of the row replaces it; a row without a key removes it.
    Replace,
}

/// Keyset cursor of a list that is ordered by a text and an id: the last row of
/// the previous page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameCursor {
    pub key: String,
    pub id: uuid::Uuid,
}

/// The order of scenario lists: category, difficulty, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    pub category: String,
    /// See [`difficulty_rank`].
    pub difficulty: u8,
    pub name: String,
}

impl OrderKey {
    #[must_use]
    pub fn of(spec: &ScenarioSpec) -> Self {
        Self {
            category: spec.category.as_str().to_owned(),
            difficulty: difficulty_rank(spec.difficulty),
            name: spec.name.clone(),
        }
    }

    /// The key of a [`NameCursor`].
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}/{}", self.category, self.difficulty, self.name)
    }

    /// Parses the result of [`OrderKey::text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (category, difficulty, name) = (parts.next()?, parts.next()?, parts.next()?);
        let difficulty = difficulty.parse().ok()?;
        Some(Self { category: category.to_owned(), difficulty, name: name.to_owned() })
    }
}

/// The number by which a difficulty is sorted and stored.
#[must_use]
pub fn difficulty_rank(difficulty: Difficulty) -> u8 {
    match difficulty {
        Difficulty::Easy => 0,
        Difficulty::Medium => 1,
        Difficulty::Hard => 2,
    }
}

/// Whether name or description contains the search text. Matches literally and
/// ignores case, also outside ASCII, which databases do not.
#[must_use]
pub fn matches_search(q: Option<&str>, name: &str, description: &str) -> bool {
    let q = q.map_or_else(String::new, |q| q.trim().to_lowercase());
    q.is_empty() || name.to_lowercase().contains(&q) || description.to_lowercase().contains(&q)
}

#[async_trait]
pub trait ConnectionStore: Send + Sync + 'static {
    async fn create_connection(&self, row: &ConnectionRow) -> StoreResult<()>;
    /// Updates a connection and returns the stored row; `None` if the space has
    /// no such connection.
    ///
    /// # Errors
    /// `Stale` if it was updated since `based_on`, or if the stored key would be kept
    /// although the stored kind, base URL or token URL differs from that of the row: a key
    /// must not be sent to another address than the one that it was entered for.
    async fn update_connection(
        &self,
        row: &ConnectionRow,
        key: KeyEdit,
        based_on: Option<Timestamp>,
    ) -> StoreResult<Option<ConnectionRow>>;
    /// Stores the models that the server of a connection listed. Unlike an edit, keeps
    /// `updated_at`. Does nothing if the space has no such connection.
    async fn put_connection_models(
        &self,
        space: SpaceId,
        id: ConnectionId,
        models: &[String],
    ) -> StoreResult<()>;
    /// By name.
    async fn connections(&self, space: SpaceId) -> StoreResult<Vec<ConnectionRow>>;
    async fn connection(
        &self,
        space: SpaceId,
        id: ConnectionId,
    ) -> StoreResult<Option<ConnectionRow>>;
    /// The connections of all spaces, for the start of the server.
    async fn all_connections(&self) -> StoreResult<Vec<ConnectionRow>>;
    /// A connection of any space, for the engine: ownership was checked when the
    /// suite was created.
    async fn connection_for_engine(&self, id: ConnectionId) -> StoreResult<Option<ConnectionRow>>;
    /// `false` if the space has no such connection.
    ///
    /// # Errors
    /// `InUse` with a sentence for the user: agents, settings or unfinished runs
    /// use it. The check is in the same transaction.
    async fn delete_connection(&self, space: SpaceId, id: ConnectionId) -> StoreResult<bool>;
}

#[async_trait]
pub trait AgentStore: Send + Sync + 'static {
    /// Creates an agent at revision 1.
    async fn create_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> StoreResult<Agent>;
    /// Creates a new revision; `None` if the space has no such agent.
    ///
    /// # Errors
    /// `Stale` if `based_on` is not the newest revision.
    async fn update_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        based_on: u32,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> StoreResult<Option<Agent>>;
    /// The newest revision, unless the agent is deleted.
    async fn agent(&self, space: SpaceId, id: AgentId) -> StoreResult<Option<Agent>>;
    /// Agents by name, without deleted ones. A corrupt row is left out and
    /// logged, and the next row takes its place on the page.
    async fn agents(
        &self,
        space: SpaceId,
        after: Option<NameCursor>,
        limit: u32,
    ) -> StoreResult<Vec<Agent>>;
    /// Newest first. Includes those of a deleted agent, because runs refer to them.
    async fn agent_revisions(&self, space: SpaceId, id: AgentId) -> StoreResult<Vec<Agent>>;
    /// Without deleted agents.
    async fn count_agents(&self, space: SpaceId) -> StoreResult<u32>;
    /// Hides an agent and keeps its revisions; `false` if the space has no such
    /// agent.
    async fn delete_agent(&self, space: SpaceId, id: AgentId, now: Timestamp) -> StoreResult<bool>;
}

#[async_trait]
pub trait ScenarioStore: Send + Sync + 'static {
    /// Creates a scenario at revision 1.
    async fn create_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> StoreResult<Scenario>;
    /// Creates a new revision; `None` if the space has no such scenario. No space
    /// owns the built-in ones.
    ///
    /// # Errors
    /// `Stale` if `based_on` is not the newest revision.
    async fn update_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        based_on: u32,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> StoreResult<Option<Scenario>>;
    /// The newest revision of a scenario of the space or a built-in one, unless it
    /// is deleted.
    async fn scenario(&self, space: SpaceId, id: ScenarioId) -> StoreResult<Option<Scenario>>;
    /// Scenarios in the order of `ids`, without missing ones.
    async fn scenarios_by_id(
        &self,
        space: SpaceId,
        ids: &[ScenarioId],
    ) -> StoreResult<Vec<Scenario>>;
    /// Scenarios of the space and built-in ones, in the order of [`OrderKey`].
    async fn scenarios(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<NameCursor>,
        limit: u32,
    ) -> StoreResult<Vec<Scenario>>;
    /// Newest first. Includes those of a deleted scenario, because runs refer to
    /// them.
    async fn scenario_revisions(
        &self,
        space: SpaceId,
        id: ScenarioId,
    ) -> StoreResult<Vec<Scenario>>;
    /// The number of scenarios of the space and of built-in ones.
    async fn count_scenarios(&self, space: SpaceId) -> StoreResult<(u32, u32)>;
    /// Hides a scenario and keeps its revisions; `false` if the space has no such
    /// scenario.
    async fn delete_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        now: Timestamp,
    ) -> StoreResult<bool>;
    /// Creates or updates the built-in scenario with this slug and returns its id.
    /// Unchanged content creates no revision.
    async fn put_built_in(
        &self,
        slug: &str,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> StoreResult<ScenarioId>;
}

/// How long rejected form input is kept.
pub const SAVED_FORM_TTL: Duration = Duration::from_secs(24 * 3600);

/// Settings, rejected form input, and metadata of the database.
#[async_trait]
pub trait SettingStore: Send + Sync + 'static {
    /// The defaults if the space has none.
    async fn settings(&self, space: SpaceId) -> StoreResult<Settings>;
    async fn put_settings(&self, space: SpaceId, settings: &Settings) -> StoreResult<()>;
    /// Stores rejected form input. `space` is `None` before sign-in.
    async fn put_saved_form(
        &self,
        space: Option<SpaceId>,
        id: SavedFormId,
        body: &str,
        now: Timestamp,
    ) -> StoreResult<()>;
    /// A form of the space that is younger than [`SAVED_FORM_TTL`].
    async fn saved_form(
        &self,
        space: Option<SpaceId>,
        id: SavedFormId,
        now: Timestamp,
    ) -> StoreResult<Option<String>>;
    async fn metadata(&self, name: &str) -> StoreResult<Option<Vec<u8>>>;
    async fn put_metadata(&self, name: &str, value: &[u8]) -> StoreResult<()>;
    /// Succeeds if a write succeeds now, for readiness.
    async fn check_writable(&self, now: Timestamp) -> StoreResult<()>;
    /// Whether the latest write failed, which outdates an earlier
    /// [`check_writable`](Self::check_writable).
    fn is_failing(&self) -> bool {
        false
    }
}

/// A document of an import.
#[derive(Clone, Debug, PartialEq)]
pub enum NewDocument {
    Agent(AgentId, Box<AgentSpec>),
    Scenario(ScenarioId, Box<ScenarioSpec>),
    Profile(ProfileId, Box<NewProfile>),
}

#[async_trait]
pub trait ImportStore: Send + Sync + 'static {
    /// Creates all documents or none.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`](super::StoreError::Duplicate) if an id exists.
    async fn save_all(
        &self,
        space: SpaceId,
        documents: Vec<NewDocument>,
        now: Timestamp,
    ) -> StoreResult<()>;
}
