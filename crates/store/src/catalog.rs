//! What people write: connections, agents, scenarios, settings, drafts.

use super::Stored;
use domain::{
    Agent, AgentId, AgentSpec, ConnectionId, ConnectionKind, Difficulty, DraftId, Scenario,
    ScenarioFilter, ScenarioId, ScenarioSpec, Settings, SpaceId, Timestamp,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

/// A connection as it is stored; the key only encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its id.
    pub id: ConnectionId,
    /// Whose; server-wide ones are not stored.
    pub space_id: SpaceId,
    /// Its name.
    pub name: String,
    /// The protocol.
    pub kind: ConnectionKind,
    /// Where.
    pub base_url: String,
    /// Extra headers.
    pub headers: BTreeMap<String, String>,
    /// Key id, nonce and ciphertext; see `secrets`.
    pub key_ciphertext: Option<Vec<u8>>,
    /// The last four characters.
    pub key_last4: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What an edit of a connection does with its stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEdit {
    /// None was typed in: the stored one stays, whoever stored it meanwhile.
    Keep,
    /// The row's takes its place; a row without one removes it.
    Replace,
}

/// Keyset of a list ordered by a text and an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The order's text.
    pub key: String,
    /// The id.
    pub id: uuid::Uuid,
}

/// Where a scenario stands in lists: category, difficulty, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// The word of the category.
    pub category: String,
    /// 0 easy, 1 medium, 2 hard.
    pub difficulty: u8,
    /// The name.
    pub name: String,
}

impl OrderKey {
    /// The place of a spec.
    #[must_use]
    pub fn of(spec: &ScenarioSpec) -> Self {
        Self {
            category: spec.category.as_str().to_owned(),
            difficulty: rank(spec.difficulty),
            name: spec.name.clone(),
        }
    }

    /// As the text of an [`After`].
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}/{}", self.category, self.difficulty, self.name)
    }

    /// Reads that text again.
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
pub fn rank(difficulty: Difficulty) -> u8 {
    match difficulty {
        Difficulty::Easy => 0,
        Difficulty::Medium => 1,
        Difficulty::Hard => 2,
    }
}

/// Whether the words of a search stand in name or description, taken
/// literally and without regard to case. One rule for every store: what
/// databases call case-insensitive ends at ASCII.
#[must_use]
pub fn says(q: Option<&str>, name: &str, description: &str) -> bool {
    let q = q.map_or_else(String::new, |q| q.trim().to_lowercase());
    q.is_empty() || name.to_lowercase().contains(&q) || description.to_lowercase().contains(&q)
}

/// Connections.
#[async_trait]
pub trait ConnectionStore: Send + Sync + 'static {
    /// Makes one.
    async fn create_connection(&self, row: &ConnectionRow) -> Stored<()>;
    /// Changes one of the space; answers it as it is stored then, `None` if
    /// there is none. `Stale` if it was changed since `based_on`, where that is
    /// said.
    async fn update_connection(
        &self,
        row: &ConnectionRow,
        key: KeyEdit,
        based_on: Option<Timestamp>,
    ) -> Stored<Option<ConnectionRow>>;
    /// Of a space, by name.
    async fn connections(&self, space: SpaceId) -> Stored<Vec<ConnectionRow>>;
    /// One of a space.
    async fn connection(&self, space: SpaceId, id: ConnectionId) -> Stored<Option<ConnectionRow>>;
    /// One by id alone: for the engine, whose runs were checked when queued.
    async fn connection_for_engine(&self, id: ConnectionId) -> Stored<Option<ConnectionRow>>;
    /// Removes one; `false` if there is none.
    ///
    /// # Errors
    /// `InUse` with words: agents, settings or unfinished runs use it. Look
    /// and delete are one transaction.
    async fn delete_connection(&self, space: SpaceId, id: ConnectionId) -> Stored<bool>;
}

/// Agents.
#[async_trait]
pub trait AgentStore: Send + Sync + 'static {
    /// Makes one at revision 1.
    async fn create_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> Stored<Agent>;
    /// Saves a new revision; `None` if there is no such agent.
    ///
    /// # Errors
    /// `Stale` if `based_on` is not the newest.
    async fn update_agent(
        &self,
        space: SpaceId,
        id: AgentId,
        based_on: u32,
        spec: &AgentSpec,
        now: Timestamp,
    ) -> Stored<Option<Agent>>;
    /// One at its newest revision, not deleted.
    async fn agent(&self, space: SpaceId, id: AgentId) -> Stored<Option<Agent>>;
    /// By name, not deleted. A damaged row is left out and logged, and the
    /// page is filled from those that follow.
    async fn agents(&self, space: SpaceId, after: Option<After>, limit: u32) -> Stored<Vec<Agent>>;
    /// Newest first; also those of a deleted agent, because runs point at them.
    async fn agent_revisions(&self, space: SpaceId, id: AgentId) -> Stored<Vec<Agent>>;
    /// How many there are, deleted ones left out.
    async fn count_agents(&self, space: SpaceId) -> Stored<u32>;
    /// Hides one; its history stays. `false` if there is none.
    async fn delete_agent(&self, space: SpaceId, id: AgentId, now: Timestamp) -> Stored<bool>;
}

/// Scenarios.
#[async_trait]
pub trait ScenarioStore: Send + Sync + 'static {
    /// Makes one at revision 1.
    async fn create_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<Scenario>;
    /// Saves a new revision; `None` if there is no such scenario of the space
    /// (built-in ones belong to nobody).
    ///
    /// # Errors
    /// `Stale` if `based_on` is not the newest.
    async fn update_scenario(
        &self,
        space: SpaceId,
        id: ScenarioId,
        based_on: u32,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<Option<Scenario>>;
    /// One of the space or built in, at its newest revision, not deleted.
    async fn scenario(&self, space: SpaceId, id: ScenarioId) -> Stored<Option<Scenario>>;
    /// Several of them, in the order of `ids`; missing ones left out.
    async fn scenarios_by_id(&self, space: SpaceId, ids: &[ScenarioId]) -> Stored<Vec<Scenario>>;
    /// Own and built-in ones of a filter, by category, difficulty, name. The
    /// keyset's text is that of [`OrderKey`].
    async fn scenarios(
        &self,
        space: SpaceId,
        filter: &ScenarioFilter,
        after: Option<After>,
        limit: u32,
    ) -> Stored<Vec<Scenario>>;
    /// Newest first; also those of a deleted scenario, because runs point at them.
    async fn scenario_revisions(&self, space: SpaceId, id: ScenarioId) -> Stored<Vec<Scenario>>;
    /// How many there are of the space, and how many built-in ones.
    async fn count_scenarios(&self, space: SpaceId) -> Stored<(u32, u32)>;
    /// Hides one of the space; its history stays. `false` if there is none.
    async fn delete_scenario(&self, space: SpaceId, id: ScenarioId, now: Timestamp)
    -> Stored<bool>;
    /// Makes or updates the built-in scenario of a slug; a new revision only
    /// when its content changed. Answers its id.
    async fn put_built_in(
        &self,
        slug: &str,
        id: ScenarioId,
        spec: &ScenarioSpec,
        now: Timestamp,
    ) -> Stored<ScenarioId>;
}

/// Rejected form input is kept so long.
pub const KEPT_DRAFTS: Duration = Duration::from_secs(24 * 3600);

/// Settings, rejected form input, and small facts about the database.
#[async_trait]
pub trait SettingStore: Send + Sync + 'static {
    /// Of a space; defaults if never set.
    async fn settings(&self, space: SpaceId) -> Stored<Settings>;
    /// Changes them.
    async fn put_settings(&self, space: SpaceId, settings: &Settings) -> Stored<()>;
    /// Keeps a rejected form. `space` is `None` before sign-in.
    async fn put_draft(
        &self,
        space: Option<SpaceId>,
        id: DraftId,
        body: &str,
        now: Timestamp,
    ) -> Stored<()>;
    /// Reads it, if it is that space's and not older than a day.
    async fn draft(
        &self,
        space: Option<SpaceId>,
        id: DraftId,
        now: Timestamp,
    ) -> Stored<Option<String>>;
    /// A fact by name (the key's canary).
    async fn fact(&self, name: &str) -> Stored<Option<Vec<u8>>>;
    /// Writes a fact.
    async fn put_fact(&self, name: &str, value: &[u8]) -> Stored<()>;
    /// Whether a write goes through now: for readiness.
    async fn writable(&self, now: Timestamp) -> Stored<()>;
    /// Whether the newest write that anybody made did not go through: what
    /// went well before says nothing then.
    fn in_trouble(&self) -> bool {
        false
    }
}

/// A document that is saved together with others, under an id of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum NewDocument {
    /// An agent.
    Agent(AgentId, Box<AgentSpec>),
    /// A scenario.
    Scenario(ScenarioId, Box<ScenarioSpec>),
}

/// Saving many documents at once.
#[async_trait]
pub trait ImportStore: Send + Sync + 'static {
    /// Saves all of them, or none.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`](super::StoreError::Duplicate) when one of the
    /// ids is there already.
    async fn save_all(
        &self,
        space: SpaceId,
        documents: Vec<NewDocument>,
        now: Timestamp,
    ) -> Stored<()>;
}
