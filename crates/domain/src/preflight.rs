//! Preflight: what a request to start a suite would do.

use super::ids::{ConnectionId, ScenarioId, SuiteId};
use super::problem::Problem;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// A scenario of a preflight, and what was found about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema), schema(as = Incompatibility))]
pub struct ScenarioFinding {
    pub scenario_id: ScenarioId,
    /// Name of the scenario.
    pub scenario: String,
    /// What was found: a sentence, or the names of the tools.
    pub reason: String,
}

/// A problem of a connection that the runs would use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionWarning {
    /// The field that selects the connection: `agent.connection_id`,
    /// `judge.connection_id` or `simulated_user.connection_id`.
    pub path: String,
    pub connection_id: ConnectionId,
    /// Name of the connection; empty if the connection was deleted.
    pub name: String,
    /// What is wrong; reads as a continuation of the connection's name.
    pub message: String,
    /// Whether the problem prevents the start; if so, `problems` contains it too.
    /// Otherwise runs start and wait or retry.
    // The name in the API is older and kept.
    #[serde(rename = "stops")]
    pub prevents_start: bool,
    /// When the next call is allowed, if known.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// Number of runs that would be created.
    // The name in the API is older and kept.
    #[serde(rename = "jobs")]
    pub runs: u32,
    /// Number of selected scenarios.
    pub scenarios: u32,
    /// Scenarios that do not fit the agent.
    pub incompatible: Vec<ScenarioFinding>,
    /// Tools of the agent or required by a scenario that no mock of the scenario answers.
    pub unmocked_tools: Vec<ScenarioFinding>,
    /// Scenarios without a behavior, failure condition, criterion or rule: their runs end as
    /// inconclusive.
    #[serde(default)]
    pub nothing_to_check: Vec<ScenarioFinding>,
    /// Problems that prevent the start, such as a missing API key.
    pub problems: Vec<Problem>,
    /// Problems of the connections that would be used.
    #[serde(default)]
    pub connections: Vec<ConnectionWarning>,
    /// Upper bound of model calls.
    // The name in the API is older and kept.
    #[serde(rename = "expected_calls")]
    pub max_model_calls: u32,
    /// Expected duration, derived from past runs; `None` without past runs.
    pub expected_seconds: Option<u32>,
    /// Expected cost in US dollars, derived from past runs of the agent and the scenarios;
    /// `None` without past runs of known cost.
    pub expected_cost_usd: Option<f64>,
    /// Number of past runs from which the cost was derived.
    #[serde(default)]
    pub cost_runs: u32,
    /// Number of selected scenarios without a past run of known cost. They are not included
    /// in `expected_cost_usd`.
    #[serde(default)]
    pub scenarios_without_cost: u32,
    /// An unfinished suite of this agent that makes a start fail with a conflict.
    pub unfinished_suite: Option<SuiteId>,
}
