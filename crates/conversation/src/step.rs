//! Derives the next step of a run from its stored state.

use domain::{END_CONVERSATION, EndReason, Mode, ScenarioSpec, Speaker, ToolCall, Turn};

/// Maximum rounds of tool calls per user turn. After the last round the model is called
/// once more without tools.
pub const MAX_TOOL_ROUNDS: usize = 8;

/// Stored progress of judging a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JudgingState {
    #[default]
    NotStarted,
    /// A reply of the judge, the first or the second one, is stored but not parsed.
    ReplyStored,
    /// A verdict or an error is stored.
    Done,
}

/// The next step of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Store this user turn, taken from the script or the opening line. Calls no model.
    SendUserMessage { message: String },
    /// Call the model that plays the user.
    CallSimulatedUser,
    /// Call the agent's model.
    CallAgent {
        /// False after [`MAX_TOOL_ROUNDS`] rounds of tool calls.
        allow_tools: bool,
    },
    /// Answer these tool calls of the last agent turn with
    /// [`answer_call`](super::answer_call) and store each result as a tool turn.
    AnswerTools {
        /// Unanswered calls in order.
        calls: Vec<ToolCall>,
    },
    /// The model called tools although none were allowed. Answer each call with
    /// [`refuse_call`](super::refuse_call) and store the result as a tool turn.
    RefuseTools {
        /// Unanswered calls in order.
        calls: Vec<ToolCall>,
    },
    /// The conversation ended: store the reason.
    End(EndReason),
    /// Judge the conversation (`judge::judge_step`).
    Judge,
    /// Parse the latest stored reply of the judge. Requires another call only if it is the
    /// first reply and unreadable, incomplete or misquoted.
    ParseReply,
    /// Nothing to do: a verdict or an error is stored.
    Finished,
}

/// Derives the next step of a run from its stored state alone, so that a run resumes
/// after a crash exactly where it stopped.
///
/// The last turn of a simulated user and its `end_reason` are stored in one transaction
/// ([`UserDecision::end_reason`](super::UserDecision::end_reason)), so the agent is not
/// called again.
#[must_use]
pub fn next_step(
    scenario: &ScenarioSpec,
    transcript: &[Turn],
    end_reason: Option<EndReason>,
    judging: JudgingState,
) -> Step {
    match (judging, end_reason, next_speaker(transcript)) {
        (JudgingState::Done, _, _) => Step::Finished,
        (JudgingState::ReplyStored, _, _) => Step::ParseReply,
        (JudgingState::NotStarted, Some(_), _) => Step::Judge,
        (JudgingState::NotStarted, None, NextSpeaker::User) => user_turn(scenario, transcript),
        (JudgingState::NotStarted, None, NextSpeaker::Agent { rounds }) => {
            Step::CallAgent { allow_tools: rounds < MAX_TOOL_ROUNDS }
        }
        (JudgingState::NotStarted, None, NextSpeaker::Tools { calls, rounds })
            if rounds > MAX_TOOL_ROUNDS =>
        {
            Step::RefuseTools { calls }
        }
        (JudgingState::NotStarted, None, NextSpeaker::Tools { calls, .. }) => {
            Step::AnswerTools { calls }
        }
        (JudgingState::NotStarted, None, NextSpeaker::Ended) => Step::End(EndReason::AgentEnded),
    }
}

/// Who acts next. `rounds` counts agent turns with tool calls since the last user turn.
enum NextSpeaker {
    User,
    Agent { rounds: usize },
    Tools { calls: Vec<ToolCall>, rounds: usize },
    Ended,
}

fn next_speaker(transcript: &[Turn]) -> NextSpeaker {
    let last_user = transcript.iter().rposition(|turn| turn.speaker == Speaker::User);
    let since_user = &transcript[last_user.map_or(0, |at| at + 1)..];
    let Some(at) = since_user.iter().rposition(|turn| turn.speaker == Speaker::Agent) else {
        return if last_user.is_some() {
            NextSpeaker::Agent { rounds: 0 }
        } else {
            NextSpeaker::User
        };
    };
    let (agent, answers) = (&since_user[at], &since_user[at + 1..]);
    let rounds = since_user
        .iter()
        .filter(|turn| turn.speaker == Speaker::Agent && !turn.tool_calls.is_empty())
        .count();
    let calls = unanswered_calls(agent, answers);
    if !calls.is_empty() {
        NextSpeaker::Tools { calls, rounds }
    } else if agent.tool_calls.iter().any(|call| call.name == END_CONVERSATION) {
        NextSpeaker::Ended
    } else if agent.tool_calls.is_empty() || rounds > MAX_TOOL_ROUNDS {
        NextSpeaker::User
    } else {
        NextSpeaker::Agent { rounds }
    }
}

/// Returns the calls without a result. Each result answers only one call, because some
/// servers reuse ids or leave them empty.
fn unanswered_calls(agent: &Turn, answers: &[Turn]) -> Vec<ToolCall> {
    let mut ids: Vec<&str> =
        answers.iter().filter_map(|turn| turn.tool.as_ref()).map(|t| t.call_id.as_str()).collect();
    let mut unanswered = Vec::new();
    for call in &agent.tool_calls {
        match ids.iter().position(|id| *id == call.id) {
            Some(answered) => {
                ids.swap_remove(answered);
            }
            None => unanswered.push(call.clone()),
        }
    }
    unanswered
}

fn user_turn(scenario: &ScenarioSpec, transcript: &[Turn]) -> Step {
    let user_turns = transcript.iter().filter(|turn| turn.speaker == Speaker::User).count();
    let limit_reached = u32::try_from(user_turns).unwrap_or(u32::MAX) >= scenario.max_turns;
    match scenario.mode {
        Mode::Scripted => match scenario.script().nth(user_turns) {
            None => Step::End(EndReason::ScriptFinished),
            Some(_) if limit_reached => Step::End(EndReason::MaxTurns),
            Some(turn) => Step::SendUserMessage { message: turn.message.clone() },
        },
        Mode::Simulated if limit_reached => Step::End(EndReason::MaxTurns),
        Mode::Simulated => match &scenario.opening_line {
            Some(line) if user_turns == 0 => Step::SendUserMessage { message: line.clone() },
            _ => Step::CallSimulatedUser,
        },
    }
}
