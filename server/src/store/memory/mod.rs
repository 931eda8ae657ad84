//! The stores in memory: for tests on paused time.
//!
//! [`MemoryStore`] holds people and what they write; [`work::MemoryWork`]
//! holds suites and the queue, and reads its documents from the former.

mod agents;
mod clean;
mod connections;
mod imports;
mod people;
mod scenarios;
mod settings;
pub mod work;

use crate::store::accounts::UserRow;
use crate::store::catalog::ConnectionRow;
use app::domain::{
    Agent, AgentId, ApiToken, ConnectionId, DraftId, Scenario, ScenarioId, Settings, SpaceId,
    Timestamp, TokenId, UserId,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Whether unfinished runs hold a connection: asked before one is deleted.
pub trait Unfinished: Send + Sync + 'static {
    /// Whether an unfinished suite or evaluation froze this connection.
    fn uses(&self, connection: ConnectionId) -> bool;
}

/// People and what they write, in memory.
#[derive(Clone, Default)]
pub struct MemoryStore {
    pub(super) state: Arc<Mutex<State>>,
    unfinished: Arc<OnceLock<Arc<dyn Unfinished>>>,
}

impl MemoryStore {
    /// Who is asked whether unfinished runs hold a connection; the first
    /// answer stays. Without one, no run holds any.
    pub fn ask_about_runs(&self, unfinished: Arc<dyn Unfinished>) {
        let _ = self.unfinished.set(unfinished);
    }

    fn held_by_runs(&self, id: ConnectionId) -> bool {
        self.unfinished.get().is_some_and(|unfinished| unfinished.uses(id))
    }
}

#[derive(Default)]
pub(super) struct State {
    people: People,
    catalog: Catalog,
    settings: Facts,
}

#[derive(Default)]
struct People {
    users: BTreeMap<UserId, UserRow>,
    tokens: BTreeMap<TokenId, Token>,
}

struct Token {
    user: UserId,
    hash: Vec<u8>,
    listed: ApiToken,
}

#[derive(Default)]
struct Catalog {
    connections: BTreeMap<ConnectionId, ConnectionRow>,
    agents: BTreeMap<AgentId, Kept<Agent>>,
    scenarios: BTreeMap<ScenarioId, Kept<Scenario>>,
}

/// Something with revisions: the newest is the last; never empty.
#[derive(Clone)]
struct Kept<T> {
    /// `None` for what is built in.
    space: Option<SpaceId>,
    revisions: Vec<T>,
    deleted: bool,
}

impl<T> Kept<T> {
    fn new(space: Option<SpaceId>, first: T) -> Self {
        Self { space, revisions: vec![first], deleted: false }
    }

    fn newest(&self) -> Option<&T> {
        self.revisions.last().filter(|_| !self.deleted)
    }
}

#[derive(Default)]
struct Facts {
    settings: BTreeMap<SpaceId, Settings>,
    drafts: BTreeMap<DraftId, (Option<SpaceId>, String, Timestamp)>,
    facts: BTreeMap<String, Vec<u8>>,
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
