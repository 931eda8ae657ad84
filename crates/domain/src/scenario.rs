//! Scenarios: one conversation to have, and what a good one looks like.

use super::ids::ScenarioId;
use super::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A scenario as it is stored and shown: its spec at one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Scenario {
    /// Its id.
    pub id: ScenarioId,
    /// The revision shown, counted from 1.
    pub revision: u32,
    /// The stable key of a built-in scenario.
    pub slug: Option<String>,
    /// Built in: read, run and duplicated, never edited.
    pub is_built_in: bool,
    /// When this revision was saved.
    pub updated_at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub spec: ScenarioSpec,
}

/// What a person writes about a scenario; valid by construction through
/// [`ScenarioSpec::parse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ScenarioSpec {
    /// 1–200 characters.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it is about.
    pub category: Category,
    /// How hard.
    pub difficulty: Difficulty,
    /// Free labels.
    pub tags: Vec<String>,
    /// Who calls.
    pub persona: Persona,
    /// Whether "run all" takes it.
    pub is_active: bool,
    /// Scripted or simulated.
    pub mode: Mode,
    /// Scripted: the turns in order.
    pub conversation_flow: Vec<FlowTurn>,
    /// Simulated: what the persona wants.
    pub goal: String,
    /// Simulated: what the persona knows and tells when asked.
    pub known_facts: Vec<String>,
    /// Simulated: the fixed first message.
    pub opening_line: Option<String>,
    /// What a good agent does.
    pub expected_behaviors: Vec<Behavior>,
    /// What the agent must not do.
    pub failure_conditions: Vec<String>,
    /// What is checked by rule, and the bar.
    pub success_criteria: SuccessCriteria,
    /// Tools an agent must have to be given this scenario.
    pub required_tools: Vec<String>,
    /// Category an agent must have, compared without case.
    pub agent_category: Option<String>,
    /// Answers to tool calls; the first that matches answers.
    pub tool_mocks: Vec<ToolMock>,
    /// What answers a call that no mock matches.
    pub on_unmocked: OnUnmocked,
    /// Most user turns, 1–200.
    pub max_turns: u32,
    /// Active time of the conversation, 10–3600 s.
    pub timeout_seconds: u32,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal / $label:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),* }
        impl $name {
            /// Every value with its word on the wire.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),*];
            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),* } }
            /// The word a person reads.
            #[must_use]
            pub fn label(self) -> &'static str { match self { $(Self::$variant => $label),* } }
            /// Reads the word on the wire.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().find(|(w, _)| *w == word).map(|(_, v)| *v)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
pub(crate) use words;

words! {
    /// What a scenario is about.
    Category {
        /// Saying hello.
        Greeting = "greeting" / "Greeting",
        /// Making an appointment or a reservation.
        Booking = "booking" / "Booking",
        /// Doubts and refusals.
        Objection = "objection" / "Objection",
        /// Something does not work.
        Support = "support" / "Support",
        /// Rules that must hold.
        Compliance = "compliance" / "Compliance",
        /// The unusual.
        EdgeCase = "edge_case" / "Edge case",
        /// Handing over to a human.
        Transfer = "transfer" / "Transfer",
        /// Answering questions.
        Information = "information" / "Information",
        /// All goes well.
        HappyPath = "happy_path" / "Happy path",
        /// Long, fast or hostile.
        Stress = "stress" / "Stress",
    }
}

words! {
    /// How hard; sorted in this order.
    Difficulty {
        /// Any agent should pass.
        Easy = "easy" / "Easy",
        /// The usual day.
        Medium = "medium" / "Medium",
        /// Meant to hurt.
        Hard = "hard" / "Hard",
    }
}

words! {
    /// Where user turns come from.
    Mode {
        /// From the conversation flow, in order.
        Scripted = "scripted" / "Scripted",
        /// From a model that plays the persona.
        Simulated = "simulated" / "Simulated",
    }
}

words! {
    /// What answers a tool call without a mock.
    OnUnmocked {
        /// An error result.
        Error = "error" / "Answer with an error",
        /// A plausible result, invented by the simulated-user model.
        Simulate = "simulate" / "Invent a plausible result",
    }
}

words! {
    /// Whether a behaviour must be shown by a quote.
    EvidenceRule {
        /// Absence is accepted ("did not argue").
        Optional = "optional" / "Quote or absence",
        /// Only a verified quote counts.
        Required = "required" / "Quote required",
    }
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Persona {
    /// Their name.
    pub name: String,
    /// How they feel.
    pub mood: String,
    /// How they talk.
    pub communication_style: String,
    /// What one should know of them.
    pub background: String,
}

/// One turn of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FlowTurn {
    /// `user` turns are sent; `agent` turns are reference answers for the judge.
    pub speaker: super::Speaker,
    /// What is said.
    pub message: String,
}

/// What a good agent does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Behavior {
    /// In words.
    pub text: String,
    /// Counts double; not met means failed.
    pub required: bool,
    /// What counts as shown.
    pub evidence: EvidenceRule,
}

/// What is checked by rule, and the bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SuccessCriteria {
    /// Least score for a pass, 0–100.
    pub min_score: u32,
    /// Literal texts that an agent turn must contain (folded).
    pub must_include: Vec<String>,
    /// Literal texts that no agent turn may contain (folded).
    pub must_not_include: Vec<String>,
    /// Tools the agent must have called.
    pub must_call_tools: Vec<String>,
    /// Slowest allowed agent answer, in seconds.
    pub max_response_seconds: Option<f64>,
    /// Free text for the judge.
    pub criteria: Vec<String>,
}

/// A prepared answer to a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ToolMock {
    /// The tool.
    pub tool: String,
    /// A subset of the arguments that must be equal; absent matches every call.
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub when: Option<Map<String, Value>>,
    /// The result; exactly one of `result` and `error` is there.
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
    /// The error.
    pub error: Option<String>,
    /// How long the answer takes, at most 60 000 ms.
    pub delay_ms: Option<u32>,
}

impl ScenarioSpec {
    /// The user turns of the script, in order.
    pub fn script(&self) -> impl Iterator<Item = &FlowTurn> {
        self.conversation_flow.iter().filter(|turn| turn.speaker == super::Speaker::User)
    }
}
