//! The resume table: from what is durable to the next step.

use domain::{END_CONVERSATION, EndReason, Mode, ScenarioSpec, Speaker, ToolCall, Turn};

/// Most rounds of tool calls in one agent turn; after that the model is
/// called once more without tools.
pub const MAX_TOOL_ROUNDS: usize = 8;

/// How far the judging of a run has come, by what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JudgingState {
    /// No reply of the judge is stored.
    #[default]
    NotAsked,
    /// The first reply is stored, and nothing is made of it yet.
    RawReply,
    /// The reply to the repair request is stored too, nothing made of it yet.
    Repaired,
    /// There is a verdict, or an error in its place.
    Done,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The user says these words, from script or opening line: store them as
    /// a turn. No model is called.
    SayUser {
        /// The words.
        message: String,
    },
    /// The simulated user is asked what it says.
    CallSimulatedUser,
    /// The agent's model is called.
    CallAgent {
        /// Whether it is told of its tools; not any more after
        /// [`MAX_TOOL_ROUNDS`] rounds in this turn.
        allow_tools: bool,
    },
    /// These calls of the last agent turn have no answer yet: give each one
    /// with [`answer_call`](super::answer_call) and store it as a tool turn.
    AnswerTools {
        /// The calls, in the order they were made.
        calls: Vec<ToolCall>,
    },
    /// The model called tools though it was given none any more: give each
    /// call a [`refuse_call`](super::refuse_call), store it as a tool turn.
    RefuseTools {
        /// The calls, in the order they were made.
        calls: Vec<ToolCall>,
    },
    /// The conversation is over: store why.
    End(EndReason),
    /// Ask the judge, or decide without it: see
    /// [`judge::judge_step`](judge::judge_step).
    Judge,
    /// A raw reply is stored: parse the newest one. No call, unless it is the
    /// first and cannot be read.
    ParseReply {
        /// Whether it is the reply to the repair request, so that there is
        /// no further one.
        repaired: bool,
    },
    /// Nothing: there is a verdict or an error.
    Finished,
}

/// The next step of a run, from what is stored of it and nothing else: so a
/// run that is taken up again after a crash goes on as if nothing had been.
///
/// A simulated user that ends the conversation does so with its last turn:
/// turn and `end_reason` are one transaction ([`Done::end_reason`]
/// (super::Done::end_reason)), so the agent is not called again.
#[must_use]
pub fn next_step(
    scenario: &ScenarioSpec,
    transcript: &[Turn],
    end_reason: Option<EndReason>,
    judging: JudgingState,
) -> Step {
    match (judging, end_reason, floor(transcript)) {
        (JudgingState::Done, _, _) => Step::Finished,
        (JudgingState::Repaired, _, _) => Step::ParseReply { repaired: true },
        (JudgingState::RawReply, _, _) => Step::ParseReply { repaired: false },
        (JudgingState::NotAsked, Some(_), _) => Step::Judge,
        (JudgingState::NotAsked, None, Floor::User) => user_turn(scenario, transcript),
        (JudgingState::NotAsked, None, Floor::Agent { rounds }) => {
            Step::CallAgent { allow_tools: rounds < MAX_TOOL_ROUNDS }
        }
        (JudgingState::NotAsked, None, Floor::Tools { calls, rounds })
            if rounds > MAX_TOOL_ROUNDS =>
        {
            Step::RefuseTools { calls }
        }
        (JudgingState::NotAsked, None, Floor::Tools { calls, .. }) => Step::AnswerTools { calls },
        (JudgingState::NotAsked, None, Floor::HungUp) => Step::End(EndReason::AgentEnded),
    }
}

/// Whose turn it is. `rounds` counts the agent's turns with calls since the
/// user last spoke.
enum Floor {
    User,
    Agent { rounds: usize },
    Tools { calls: Vec<ToolCall>, rounds: usize },
    HungUp,
}

fn floor(transcript: &[Turn]) -> Floor {
    let spoken = transcript.iter().rposition(|turn| turn.speaker == Speaker::User);
    let since_user = &transcript[spoken.map_or(0, |at| at + 1)..];
    let Some(at) = since_user.iter().rposition(|turn| turn.speaker == Speaker::Agent) else {
        return if spoken.is_some() { Floor::Agent { rounds: 0 } } else { Floor::User };
    };
    let (agent, answers) = (&since_user[at], &since_user[at + 1..]);
    let rounds = since_user
        .iter()
        .filter(|turn| turn.speaker == Speaker::Agent && !turn.tool_calls.is_empty())
        .count();
    let calls = open_calls(agent, answers);
    if !calls.is_empty() {
        Floor::Tools { calls, rounds }
    } else if agent.tool_calls.iter().any(|call| call.name == END_CONVERSATION) {
        Floor::HungUp
    } else if agent.tool_calls.is_empty() || rounds > MAX_TOOL_ROUNDS {
        Floor::User
    } else {
        Floor::Agent { rounds }
    }
}

/// Calls without an answer. Each answer counts for one call only: some
/// servers give several calls the same id, or none.
fn open_calls(agent: &Turn, answers: &[Turn]) -> Vec<ToolCall> {
    let mut ids: Vec<&str> =
        answers.iter().filter_map(|turn| turn.tool.as_ref()).map(|t| t.call_id.as_str()).collect();
    let mut open = Vec::new();
    for call in &agent.tool_calls {
        match ids.iter().position(|id| *id == call.id) {
            Some(answered) => {
                ids.swap_remove(answered);
            }
            None => open.push(call.clone()),
        }
    }
    open
}

fn user_turn(scenario: &ScenarioSpec, transcript: &[Turn]) -> Step {
    let said = transcript.iter().filter(|turn| turn.speaker == Speaker::User).count();
    let full = u32::try_from(said).unwrap_or(u32::MAX) >= scenario.max_turns;
    match scenario.mode {
        Mode::Scripted => match scenario.script().nth(said) {
            None => Step::End(EndReason::ScriptFinished),
            Some(_) if full => Step::End(EndReason::MaxTurns),
            Some(turn) => Step::SayUser { message: turn.message.clone() },
        },
        Mode::Simulated if full => Step::End(EndReason::MaxTurns),
        Mode::Simulated => match &scenario.opening_line {
            Some(line) if said == 0 => Step::SayUser { message: line.clone() },
            _ => Step::CallSimulatedUser,
        },
    }
}
