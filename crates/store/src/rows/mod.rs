//! The rows of suites, runs, evaluations and events. Fields without a comment
//! mean what they mean in `domain`.

mod evaluation;
mod run;
mod suite;

pub use evaluation::{EvaluationRow, RejudgeLease};
pub use run::{RunRow, RunState};
pub use suite::SuiteRow;

use domain::{
    ConnectionId, FinishedEvent, ModelChoice, ModelOptions, NanoUsd, Run, RunId, TokenPrice, Turn,
};
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// A model and the connection that serves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelRef {
    pub connection_id: ConnectionId,
    pub model: String,
}

/// A model in the role of judge or simulated user, with what the user chose for it. The
/// options of an agent are part of its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleModel {
    #[serde(flatten)]
    pub model_ref: ModelRef,
    #[serde(default, skip_serializing_if = "ModelOptions::is_empty")]
    pub options: ModelOptions,
    /// What its tokens cost when it was selected; `None` if that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<TokenPrice>,
}

impl Deref for RoleModel {
    type Target = ModelRef;

    fn deref(&self) -> &ModelRef {
        &self.model_ref
    }
}

impl From<ModelRef> for RoleModel {
    fn from(model_ref: ModelRef) -> Self {
        Self { model_ref, options: ModelOptions::default(), price: None }
    }
}

impl From<ModelChoice> for RoleModel {
    fn from(choice: ModelChoice) -> Self {
        let ModelChoice { connection_id, model, options } = choice;
        Self { model_ref: ModelRef { connection_id, model }, options, price: None }
    }
}

impl From<&RoleModel> for ModelChoice {
    fn from(role: &RoleModel) -> Self {
        let ModelRef { connection_id, model } = role.model_ref.clone();
        Self { connection_id, model, options: role.options.clone() }
    }
}

/// The models of a suite, fixed when it is created: later edits of the agent or
/// the settings do not change them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSnapshot {
    /// The model under test.
    pub agent: ModelRef,
    pub judge: RoleModel,
    /// Simulates users and the results of tools.
    pub simulated_user: RoleModel,
    /// What the tokens of the model under test cost when the suite was created; `None` if
    /// that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_price: Option<TokenPrice>,
    #[serde(default, rename = "own")]
    pub requested: RequestedModels,
}

/// Whether the request named a model. A rerun keeps such models and takes the
/// others from the current settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestedModels {
    pub judge: bool,
    pub simulated_user: bool,
}

impl ModelSnapshot {
    /// One model in every role, none of them named by the request.
    #[must_use]
    pub fn all(model: &ModelRef) -> Self {
        let model = || model.clone();
        let requested = RequestedModels::default();
        Self {
            agent: model(),
            judge: model().into(),
            simulated_user: model().into(),
            agent_price: None,
            requested,
        }
    }

    /// What the tokens of a role cost; `None` if that is unknown.
    #[must_use]
    pub fn price(&self, role: Role) -> Option<&TokenPrice> {
        match role {
            Role::Agent => self.agent_price.as_ref(),
            Role::SimulatedUser => self.simulated_user.price.as_ref(),
            Role::Judge => self.judge.price.as_ref(),
        }
    }

    /// Replaces a snapshot that cannot be read: no connection has these models.
    pub fn unreadable() -> Self {
        let connection_id = ConnectionId(uuid::Uuid::nil());
        Self::all(&ModelRef { connection_id, model: String::new() })
    }
}

/// The model that a provider call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Agent,
    SimulatedUser,
    Judge,
}

impl Role {
    /// The value in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::SimulatedUser => "simulated_user",
            Self::Judge => "judge",
        }
    }
}

/// A provider call, stored before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The call id, which the provider receives.
    pub id: uuid::Uuid,
    pub role: Role,
    /// The number of turns that were stored before the call.
    pub turn: u32,
}

/// The result of a provider call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDone {
    /// The id of the [`Intent`].
    pub id: uuid::Uuid,
    /// `ok`, or the kind of error.
    pub outcome: String,
    /// HTTP attempts.
    pub attempts: u32,
    /// Milliseconds of the successful attempt.
    pub latency_ms: Option<u32>,
    /// `None` if it is unknown, or if the call was not answered.
    pub cost: Option<NanoUsd>,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq)]
pub enum EventRow {
    /// A run changed: its state at that time.
    Run(Box<Run>),
    /// A turn was stored. Readers join it with the transcript.
    Turn { run_id: RunId, index: u32 },
    /// The suite is final.
    Finished(FinishedEvent),
}

impl EventRow {
    /// Whether a run or the suite became final.
    #[must_use]
    pub fn is_completion(&self) -> bool {
        match self {
            Self::Run(run) => run.status.is_final(),
            Self::Finished(_) => true,
            Self::Turn { .. } => false,
        }
    }
}

/// An event with its number in the log of its suite, and its turn if it announces one.
pub type StoredEvent = (i64, EventRow, Option<Turn>);

/// The turns of one run, in order.
pub type Transcript = Vec<Turn>;
