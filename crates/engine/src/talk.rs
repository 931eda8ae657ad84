//! The calls and turns of a conversation: each function makes one step and
//! answers what it leaves to be stored.

use super::calling::Cut;
use super::registry::Stopper;
use super::run::{Ended, Live};
use conversation::{
    ToolOutcome, ToolReply, agent_request, answer_call, invented_result_request,
    parse_invented_result, parse_simulated_user, refuse_call, simulated_user_request,
};
use llm::outbound::CallTimes;
use llm::{CallError, ChatReply, ChatRequest, Message};
use store::rows::{CallDone, Intent, Role};
use store::transition::Change;
use domain::{ErrorKind, RunError, Speaker, Timestamp, ToolCall, Turn, replace_nul};
use std::time::Duration;

/// How often a stand-in (simulated user, invented result) is asked until its
/// answer can be read.
const TRIES: u32 = 3;

/// A user's turn of the script.
pub(super) fn user_turn(message: String, transcript: &[Turn], at: Timestamp) -> Turn {
    let index = u32::try_from(transcript.len()).unwrap_or(u32::MAX);
    Turn { index, ..Turn::said(Speaker::User, message, at) }
}

/// What became of a call.
pub(super) fn call_done(intent: &Intent, done: Result<&ChatReply, &CallError>) -> CallDone {
    match done {
        Ok(reply) => CallDone {
            id: intent.id,
            outcome: "ok".to_owned(),
            attempts: reply.attempts,
            latency_ms: Some(millis(reply.latency)),
        },
        Err(error) => CallDone {
            id: intent.id,
            outcome: error.kind().as_str().to_owned(),
            attempts: 0,
            latency_ms: None,
        },
    }
}

pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Asks the agent's model.
pub(super) async fn agent(live: &Live, allow_tools: bool) -> Result<Change, Ended> {
    let mut request = agent_request(&live.agent, &live.transcript, allow_tools);
    request.call_id = live.call_id();
    let mut times = CallTimes::default();
    let connection = live.row.frozen.agent.connection_id;
    let reply = live.ask(false, connection, &request, &mut times).await?;
    let mut change = live.accounted(&times, Ok(&reply));
    let mut usage = live.usage;
    usage.agent.add(reply.input_tokens, reply.output_tokens);
    change.usage = Some(usage);
    change.turns.push(Turn {
        tool_calls: reply.tool_calls.into_iter().map(without_nul).collect(),
        finish: Some(reply.finish),
        latency_ms: Some(millis(reply.latency)),
        input_tokens: Some(reply.input_tokens),
        output_tokens: Some(reply.output_tokens),
        ..Turn::said(Speaker::Agent, replace_nul(reply.text), live.shared.clock.now())
    });
    Ok(change)
}

/// A call's texts without U+0000, which no database of ours can search.
fn without_nul(call: ToolCall) -> ToolCall {
    let arguments =
        serde_json::from_str(&call.arguments.to_string().replace("\\u0000", "\u{FFFD}"));
    ToolCall {
        id: replace_nul(call.id),
        name: replace_nul(call.name),
        arguments: arguments.unwrap_or(call.arguments),
    }
}

/// Asks the model that plays the user.
pub(super) async fn simulated_user(live: &mut Live) -> Result<Change, Ended> {
    let model = live.row.frozen.simulated_user.model.clone();
    let request = simulated_user_request(&live.scenario, &model, &live.transcript);
    let (mut change, reply, (message, done)) =
        stand_in(live, request, parse_simulated_user).await?;
    change.end_reason = done.end_reason(&live.transcript);
    change.turns.push(Turn {
        latency_ms: Some(millis(reply.latency)),
        input_tokens: Some(reply.input_tokens),
        output_tokens: Some(reply.output_tokens),
        ..Turn::said(Speaker::User, replace_nul(message), live.shared.clock.now())
    });
    Ok(change)
}

/// Asks the simulated-user model for something in a given form, and again
/// with the problem named when it cannot be read. Each question is noted
/// before it is asked: what a crash may have paid for is known.
async fn stand_in<T>(
    live: &mut Live,
    mut request: ChatRequest,
    parse: fn(&str) -> Result<T, String>,
) -> Result<(Change, ChatReply, T), Ended> {
    let connection = live.row.frozen.simulated_user.connection_id;
    let mut problem = String::new();
    for tried in 1..=TRIES {
        request.call_id = live.call_id();
        let mut times = CallTimes::default();
        let reply = live.ask(false, connection, &request, &mut times).await?;
        let mut change = live.accounted(&times, Ok(&reply));
        let mut usage = live.usage;
        usage.simulated_user.add(reply.input_tokens, reply.output_tokens);
        change.usage = Some(usage);
        match parse(&reply.text) {
            Ok(parsed) => return Ok((change, reply, parsed)),
            Err(why) => {
                if tried < TRIES {
                    let transcript = live.transcript.clone();
                    live.intend(&mut change, Role::SimulatedUser, &transcript);
                }
                live.commit(change).await?;
                let text = reply.text;
                request.messages.push(Message::Assistant { text, tool_calls: Vec::new() });
                request.messages.push(Message::User(why.clone()));
                problem = why;
            }
        }
    }
    let message = format!(
        "The model that plays the user did not answer in the form asked for ({problem}) Choose another model for it in the settings."
    );
    Err(Ended::Error(RunError::new(ErrorKind::ProviderRejected, message)))
}

/// Whether the first open call has to be answered by a model.
pub(super) fn needs_simulation(live: &Live, calls: &[ToolCall]) -> bool {
    calls.first().is_some_and(|call| {
        answer_call(&live.scenario, &live.agent, call) == ToolReply::NeedsSimulation
    })
}

/// Answers open calls: mocked ones together, an invented one by itself.
pub(super) async fn answer(live: &mut Live, calls: &[ToolCall]) -> Result<Change, Ended> {
    let mut change = Change::default();
    for call in calls {
        match answer_call(&live.scenario, &live.agent, call) {
            ToolReply::Answer(outcome) => {
                let delay = Duration::from_millis(outcome.delay_ms.into());
                if !delay.is_zero() {
                    let left = live.line(false).active_left.saturating_sub(change.active);
                    wait(&live.stopper, delay, left).await?;
                    change.active += delay;
                }
                change.turns.push(tool_turn(live, call, &outcome));
            }
            // What is answered so far is stored first: the intent of the
            // model's call goes with it.
            ToolReply::NeedsSimulation if !change.turns.is_empty() => break,
            ToolReply::NeedsSimulation => return invent(live, call).await,
        }
    }
    Ok(change)
}

/// A mock's delay, which counts as active time.
async fn wait(stopper: &Stopper, delay: Duration, left: Duration) -> Result<(), Ended> {
    tokio::select! {
        why = stopper.told() => Err(Ended::Stopped(why)),
        () = tokio::time::sleep(delay.min(left)) => {
            if delay <= left {
                return Ok(());
            }
            let message = "Its active time was used up while a tool answered. Raise timeout_seconds.";
            Err(Ended::Error(RunError::new(ErrorKind::Timeout, message)))
        }
    }
}

async fn invent(live: &mut Live, call: &ToolCall) -> Result<Change, Ended> {
    let model = live.row.frozen.simulated_user.model.clone();
    let request =
        invented_result_request(&live.scenario, &live.agent, &live.transcript, call, &model);
    let (mut change, reply, result) = stand_in(live, request, parse_invented_result).await?;
    let outcome = ToolOutcome::invented(result);
    change.turns.push(Turn {
        latency_ms: Some(millis(reply.latency)),
        input_tokens: Some(reply.input_tokens),
        output_tokens: Some(reply.output_tokens),
        ..tool_turn(live, call, &outcome)
    });
    Ok(change)
}

/// Tells a model that called too often to stop.
pub(super) fn refuse(live: &Live, calls: &[ToolCall]) -> Change {
    let turns = calls.iter().map(|call| tool_turn(live, call, &refuse_call(call))).collect();
    Change { turns, ..Change::default() }
}

fn tool_turn(live: &Live, call: &ToolCall, outcome: &ToolOutcome) -> Turn {
    Turn {
        tool: Some(outcome.answer_to(call)),
        ..Turn::said(Speaker::Tool, replace_nul(outcome.message.clone()), live.shared.clock.now())
    }
}

impl From<CallError> for Cut {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}
