//! Scenarios: a conversation and the criteria by which it is judged.

use super::ids::ScenarioId;
use super::string_enum::string_enum;
use super::text_to_find::TextToFind;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One revision of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Scenario {
    pub id: ScenarioId,
    /// Starts at 1; every save creates a new revision.
    pub revision: u32,
    pub slug: Option<String>,
    /// Built-in scenarios can be run and duplicated but not edited.
    pub is_built_in: bool,
    pub updated_at: Timestamp,
    #[serde(flatten)]
    pub spec: ScenarioSpec,
}

/// The user-supplied part of a scenario, validated by [`ScenarioSpec::parse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ScenarioSpec {
    /// 1–200 characters.
    pub name: String,
    pub description: String,
    pub category: Category,
    pub difficulty: Difficulty,
    pub tags: Vec<String>,
    /// The simulated person.
    pub persona: Persona,
    /// Whether "run all" includes the scenario.
    pub is_active: bool,
    pub mode: Mode,
    /// Scripted mode: the turns in order.
    pub conversation_flow: Vec<FlowTurn>,
    /// Simulated mode: what the user wants to achieve.
    pub goal: String,
    /// Simulated mode: facts that the user reveals when asked.
    pub known_facts: Vec<String>,
    /// Simulated mode: the fixed first message.
    pub opening_line: Option<String>,
    /// Behavior that a good agent shows.
    pub expected_behaviors: Vec<Behavior>,
    pub failure_conditions: Vec<String>,
    /// Rules, criteria for the judge and the minimum score.
    pub success_criteria: SuccessCriteria,
    /// Tools that a compatible agent must have.
    pub required_tools: Vec<String>,
    /// Category that a compatible agent must have, compared case-insensitively.
    pub agent_category: Option<String>,
    /// Mocked tool results; the first match is used.
    pub tool_mocks: Vec<ToolMock>,
    /// How to answer a tool call that no mock matches.
    pub on_unmocked: OnUnmocked,
    /// Maximum number of user turns, 1–200.
    pub max_turns: u32,
    /// Maximum active time of the conversation in seconds, 10–3600.
    pub timeout_seconds: u32,
}

string_enum! {
    Category {
        Greeting = "greeting" / "Greeting",
        /// Appointments and reservations.
        Booking = "booking" / "Booking",
        /// The user hesitates or declines.
        Objection = "objection" / "Objection",
        /// The user needs technical help.
        Support = "support" / "Support",
        /// Legal and company rules that the agent must follow.
        Compliance = "compliance" / "Compliance",
        /// Unusual requests.
        EdgeCase = "edge_case" / "Edge case",
        /// Handover to a human.
        Transfer = "transfer" / "Transfer",
        /// The user asks questions.
        Information = "information" / "Information",
        /// Everything goes as expected.
        HappyPath = "happy_path" / "Happy path",
        /// Long, fast or hostile conversations.
        Stress = "stress" / "Stress",
    }
}

string_enum! {
    /// Variants are in sort order.
    Difficulty {
        Easy = "easy" / "Easy",
        Medium = "medium" / "Medium",
        /// Challenges even good agents.
        Hard = "hard" / "Hard",
    }
}

string_enum! {
    /// Source of the user turns.
    Mode {
        /// The conversation flow, in order.
        Scripted = "scripted" / "Scripted",
        /// A model that plays the persona.
        Simulated = "simulated" / "Simulated",
    }
}

string_enum! {
    /// How to answer a tool call without a mock.
    OnUnmocked {
        Error = "error" / "Return an error",
        /// A plausible result that the model for simulated users simulates.
        Simulate = "simulate" / "Simulate a result",
    }
}

string_enum! {
    /// Whether a quote must prove the behavior, and where it may stand.
    EvidenceRule {
        /// The absence of contrary evidence suffices ("did not argue").
        Optional = "optional" / "Quote optional",
        /// A verified quote of the agent's turns or tool calls is required.
        Required = "required" / "Quote required",
        /// A verified quote is required; it may also stand in a tool result.
        Tool = "tool" / "Quote required, tool results count",
    }
}

/// The simulated person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Persona {
    pub name: String,
    pub mood: String,
    pub communication_style: String,
    pub background: String,
}

/// A turn of a conversation flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FlowTurn {
    /// `user` turns are sent to the agent; `agent` turns are reference answers for the judge.
    pub speaker: super::Speaker,
    pub message: String,
}

/// Behavior that a good agent shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Behavior {
    /// Description of the behavior.
    pub text: String,
    /// Counts double in the score; if not met, the run fails.
    pub required: bool,
    /// What counts as proof.
    pub evidence: EvidenceRule,
}

/// Rules, criteria for the judge and the minimum score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SuccessCriteria {
    /// Minimum score for a pass, 0–100.
    pub min_score: u32,
    /// Texts that at least one agent turn must contain, literally except for case, Unicode
    /// form, quotation marks, dashes and white space. Matched as `word` unless a text says
    /// otherwise.
    pub must_include: Vec<TextToFind>,
    /// Texts that no agent turn may contain, compared in the same way. Matched as `part`
    /// unless a text says otherwise.
    pub must_not_include: Vec<TextToFind>,
    /// Tools that the agent must call.
    pub must_call_tools: Vec<String>,
    /// Maximum response time of the agent, in seconds.
    pub max_response_seconds: Option<f64>,
    /// Criteria: items as free text, which are not required.
    pub criteria: Vec<String>,
}

/// A mocked tool result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolMock {
    /// Name of the tool.
    pub tool: String,
    /// Arguments that must be equal (a subset suffices); absent matches every call.
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub when: Option<Map<String, Value>>,
    /// The result; exactly one of `result` and `error` is set.
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
    /// The error message.
    pub error: Option<String>,
    /// Delay of the result, at most 60,000 ms.
    pub delay_ms: Option<u32>,
}

impl ScenarioSpec {
    /// Whether a run has nothing to decide its verdict by: no behavior, failure condition,
    /// criterion or rule. Such a run ends as inconclusive.
    #[must_use]
    pub fn checks_nothing(&self) -> bool {
        let SuccessCriteria {
            min_score: _,
            must_include,
            must_not_include,
            must_call_tools,
            max_response_seconds,
            criteria,
        } = &self.success_criteria;
        let has_items = !self.expected_behaviors.is_empty()
            || !self.failure_conditions.is_empty()
            || !criteria.is_empty();
        let has_rules = !must_include.is_empty()
            || !must_not_include.is_empty()
            || !must_call_tools.is_empty()
            || max_response_seconds.is_some();
        !has_items && !has_rules
    }

    /// The user turns of the script, in order.
    pub fn script(&self) -> impl Iterator<Item = &FlowTurn> {
        self.conversation_flow.iter().filter(|turn| turn.speaker == super::Speaker::User)
    }
}
