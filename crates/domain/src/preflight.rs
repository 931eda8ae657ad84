//! What a start would do, found out before anything starts.

use super::ids::{ConnectionId, ScenarioId, SuiteId};
use super::problem::Problem;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// A pair that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Incompatibility {
    /// The scenario.
    pub scenario_id: ScenarioId,
    /// Its name.
    pub scenario: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// What is the matter with a connection that runs would use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionTrouble {
    /// Who would use it: `agent.connection_id`, `judge.connection_id`,
    /// `simulated_user.connection_id`.
    pub path: String,
    /// Which one.
    pub connection_id: ConnectionId,
    /// Its name; empty if it is gone.
    pub name: String,
    /// What is wrong, in words that follow its name.
    pub message: String,
    /// No call would get through, so that nothing starts; it stands among the
    /// problems too. Otherwise runs wait, or try.
    pub stops: bool,
    /// When it is tried again, where that is known.
    pub until: Option<Timestamp>,
}

/// What would run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// Runs that would be made.
    pub jobs: u32,
    /// Scenarios that were chosen.
    pub scenarios: u32,
    /// Pairs that cannot work.
    pub incompatible: Vec<Incompatibility>,
    /// Tools that scenarios need or the agent has and no mock answers, by scenario.
    pub unmocked_tools: Vec<Incompatibility>,
    /// What stops the start: a missing key, an agent without a prompt.
    pub problems: Vec<Problem>,
    /// What is the matter with the connections that would be used: what stops the
    /// start (a dead one), and what only holds it up (an open circuit).
    #[serde(default)]
    pub connections: Vec<ConnectionTrouble>,
    /// Model calls that are expected at most.
    pub expected_calls: u32,
    /// Seconds expected, from past durations; `None` where there are none.
    pub expected_seconds: Option<u32>,
    /// US dollars expected; `None` where no price is known.
    pub expected_cost_usd: Option<f64>,
    /// The unfinished suite over one of them, which a start would be refused for.
    pub unfinished_suite: Option<SuiteId>,
}
