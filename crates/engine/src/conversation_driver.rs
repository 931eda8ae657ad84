//! The steps of a conversation. Each function makes one step and returns the change
//! to commit.

use super::registry::StopSignal;
use super::run_steps::{ActiveRun, RunInterrupted};
use conversation::{
    ToolOutcome, ToolReply, agent_request, answer_call, parse_simulated_result,
    parse_simulated_user, refuse_call, simulated_result_request, simulated_user_request,
    with_schema_bounds,
};
use domain::{
    ErrorKind, FinishReason, NanoUsd, RunError, Speaker, Timestamp, ToolCall, Turn, is_blank,
    replace_nul,
};
use llm::reasoning::USER_FLOOR;
use llm::{CallError, ChatReply, ChatRequest, Message};
use std::time::Duration;
use store::rows::{CallDone, Intent, Role};
use store::transition::RunChange;

/// How often a simulated user or a simulated tool result is requested until the
/// reply can be parsed.
const TRIES: u32 = 3;

/// A user turn of the script.
pub(super) fn user_turn(message: String, transcript: &[Turn], at: Timestamp) -> Turn {
    let index = u32::try_from(transcript.len()).unwrap_or(u32::MAX);
    Turn { index, ..Turn::text(Speaker::User, message, at) }
}

/// The outcome of a call as it is stored.
pub(super) fn call_done(
    intent: &Intent,
    done: Result<&ChatReply, &CallError>,
    cost: Option<NanoUsd>,
) -> CallDone {
    match done {
        Ok(reply) => CallDone {
            id: intent.id,
            outcome: "ok".to_owned(),
            attempts: reply.attempts,
            latency_ms: Some(millis(reply.latency)),
            cost,
        },
        Err(error) => CallDone {
            id: intent.id,
            outcome: error.kind().as_str().to_owned(),
            attempts: 0,
            latency_ms: None,
            cost: None,
        },
    }
}

pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Calls the agent's model. If the token limit was used up before the first word, calls it
/// once more with twice the limit, unless the user chose the limit.
pub(super) async fn agent(
    run: &mut ActiveRun,
    allow_tools: bool,
) -> Result<RunChange, RunInterrupted> {
    let mut request = agent_request(&run.agent, &run.transcript, allow_tools);
    let agent = &run.row.agent;
    request.cache_key = Some(format!("agent-{}-{}", agent.id, agent.revision));
    let (reply, mut change) = ask_agent(run, request.clone()).await?;
    if reply.is_cut_off_blank() {
        let Some(longer) = request.with_doubled_limit() else {
            return Err(truncated(change, "The agent's model", "the agent"));
        };
        let transcript = run.transcript.clone();
        run.record_intent(&mut change, Role::Agent, &transcript);
        run.commit(change).await?;
        let (again, change) = ask_agent(run, longer).await?;
        if again.is_cut_off_blank() {
            return Err(truncated(change, "The agent's model", "the agent"));
        }
        return Ok(agent_turn(run, again, change));
    }
    Ok(agent_turn(run, reply, change))
}

/// Makes the call whose intent is stored.
async fn ask_agent(
    run: &ActiveRun,
    mut request: ChatRequest,
) -> Result<(ChatReply, RunChange), RunInterrupted> {
    request.call_id = run.call_id();
    let connection = run.row.model_snapshot.agent.connection_id;
    let (reply, mut change) = run.call(false, connection, &request).await?;
    change.usage = Some(run.usage_with(&reply));
    Ok((reply, change))
}

/// The end of a run whose model used up its token limit without an answer. The usage of the
/// call is stored with it.
fn truncated(change: RunChange, model: &str, whose: &str) -> RunInterrupted {
    let message = format!(
        "{model} used up its token limit before it said anything, which happens to models that reason. Raise the max tokens of {whose}, then re-run."
    );
    RunInterrupted::ErrorAfterCall(RunError::new(ErrorKind::Truncated, message), Box::new(change))
}

/// The end of a run whose simulated user (or simulated tool result) was cut off at the limit.
fn cut_off_user(change: RunChange, reply: &str) -> RunInterrupted {
    if is_blank(reply) {
        let whose = "the simulated user in the settings";
        return truncated(change, "The model of the simulated user", whose);
    }
    let message = format!(
        "The reply of the model that simulates the user and the tools was cut off at the token limit. Raise the max tokens of the simulated user in the settings, then re-run. {}",
        quoted_reply(reply)
    );
    RunInterrupted::ErrorAfterCall(RunError::new(ErrorKind::Truncated, message), Box::new(change))
}

/// The words of a model whose reply is not stored in a turn, for an error message.
fn quoted_reply(reply: &str) -> String {
    const MAX_CHARS: usize = 1000;
    let mut rest = reply.chars();
    let start: String = rest.by_ref().take(MAX_CHARS).collect();
    let end = if rest.next().is_some() { "…" } else { "" };
    format!("It replied: {}{end}", replace_nul(start))
}

fn agent_turn(run: &ActiveRun, reply: ChatReply, mut change: RunChange) -> RunChange {
    let text = replace_nul(reply.text.clone());
    let turn = Turn::text(Speaker::Agent, text, run.shared.clock.now());
    let turn = Turn {
        finish: Some(reply.finish),
        provider_state: reply.provider_state.clone(),
        ..with_usage(turn, &reply)
    };
    let tool_calls = reply.tool_calls.into_iter().map(without_nul).collect();
    change.turns.push(Turn { tool_calls, ..turn });
    change
}

/// Adds the latency and the tokens of the reply that the turn came with.
fn with_usage(turn: Turn, reply: &ChatReply) -> Turn {
    Turn {
        latency_ms: Some(millis(reply.latency)),
        first_token_ms: reply.first_token.map(millis),
        input_tokens: Some(reply.input_tokens),
        output_tokens: Some(reply.output_tokens),
        adjustments: reply.adjustments.clone(),
        token_parts: reply.token_parts,
        ..turn
    }
}

/// Replaces U+0000 in the texts of a call; [`replace_nul`] says why.
fn without_nul(call: ToolCall) -> ToolCall {
    let arguments =
        serde_json::from_str(&call.arguments.to_string().replace("\\u0000", "\u{FFFD}"));
    ToolCall {
        id: replace_nul(call.id),
        name: replace_nul(call.name),
        arguments: arguments.unwrap_or(call.arguments),
    }
}

/// Calls the model that simulates the user.
pub(super) async fn simulated_user(run: &mut ActiveRun) -> Result<RunChange, RunInterrupted> {
    let user = &run.row.model_snapshot.simulated_user;
    let mut request = simulated_user_request(&run.scenario, &user.model, &run.transcript)
        .with_options(&user.options, USER_FLOOR);
    let scenario = &run.row.scenario;
    request.cache_key = Some(format!("user-{}-{}", scenario.id, scenario.revision));
    let (mut change, reply, (message, done)) =
        ask_until_readable(run, request, parse_simulated_user).await?;
    change.end_reason = done.end_reason(&run.transcript);
    let turn = Turn::text(Speaker::User, replace_nul(message), run.shared.clock.now());
    change.turns.push(with_usage(turn, &reply));
    Ok(change)
}

/// Calls the simulated-user model for a structured reply, and again with the
/// problem named if it cannot be parsed. The intent of each call is stored before
/// the call, so that calls lost in a crash are known.
async fn ask_until_readable<T>(
    run: &mut ActiveRun,
    mut request: ChatRequest,
    parse: fn(&str) -> Result<T, String>,
) -> Result<(RunChange, ChatReply, T), RunInterrupted> {
    let connection = run.row.model_snapshot.simulated_user.connection_id;
    let (mut unusable, mut doubled) = (String::new(), false);
    for tried in 1..=TRIES {
        request.call_id = run.call_id();
        let (reply, mut change) = run.call(false, connection, &request).await?;
        change.usage = Some(run.usage_with(&reply));
        match parse(&reply.text) {
            Ok(parsed) => return Ok((change, reply, parsed)),
            Err(_) if reply.finish == FinishReason::Length => {
                let longer =
                    request.clone().with_doubled_limit().filter(|_| !doubled && tried < TRIES);
                let Some(longer) = longer else {
                    return Err(cut_off_user(change, &reply.text));
                };
                (request, doubled) = (with_schema_bounds(longer), true);
                let transcript = run.transcript.clone();
                run.record_intent(&mut change, Role::SimulatedUser, &transcript);
                run.commit(change).await?;
            }
            Err(why) => {
                if tried < TRIES {
                    let transcript = run.transcript.clone();
                    run.record_intent(&mut change, Role::SimulatedUser, &transcript);
                }
                run.commit(change).await?;
                unusable = format!("{why} {}", quoted_reply(&reply.text));
                request.messages.push(Message::assistant(reply.text));
                request.messages.push(Message::User(why));
            }
        }
    }
    let message = format!(
        "The model that simulates the user and the tools did not reply in the required format. Select another model in the settings. {unusable}"
    );
    Err(RunInterrupted::Error(RunError::new(ErrorKind::ProviderRejected, message)))
}

/// Answers a tool call on a thread for blocking work, because the validation of the
/// arguments may take a fraction of a second.
async fn reply_to(run: &ActiveRun, call: &ToolCall) -> ToolReply {
    let secrets = &run.variables.secrets;
    let (scenario, agent) = (run.sent_scenario.clone(), run.agent.clone());
    let call = secrets.reveal_call(call);
    let answered = tokio::task::spawn_blocking(move || answer_call(&scenario, &agent, &call));
    match answered.await {
        Ok(ToolReply::Answer(outcome)) => {
            let message = secrets.conceal(&outcome.message);
            ToolReply::Answer(ToolOutcome { message, ..outcome })
        }
        Ok(reply) => reply,
        Err(error) => match error.try_into_panic() {
            // It ends this run, as on its own thread.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Whether a model has to answer the first open tool call.
pub(super) async fn needs_simulation(run: &ActiveRun, calls: &[ToolCall]) -> bool {
    match calls.first() {
        Some(call) => reply_to(run, call).await == ToolReply::NeedsSimulation,
        None => false,
    }
}

/// Answers open tool calls: mocked ones together, a simulated one by itself.
pub(super) async fn answer(
    run: &mut ActiveRun,
    calls: &[ToolCall],
) -> Result<RunChange, RunInterrupted> {
    let mut change = RunChange::default();
    for call in calls {
        match reply_to(run, call).await {
            ToolReply::Answer(outcome) => {
                let delay = Duration::from_millis(outcome.delay_ms.into());
                if !delay.is_zero() {
                    let left = run.call_context(false).active_left.saturating_sub(change.active);
                    wait(&run.stop_signal, delay, left).await?;
                    change.active += delay;
                }
                change.turns.push(tool_turn(run, call, &outcome));
            }
            // What is answered so far is stored first: the intent of the
            // model's call goes with it.
            ToolReply::NeedsSimulation if !change.turns.is_empty() => break,
            ToolReply::NeedsSimulation => return simulate_result(run, call).await,
        }
    }
    Ok(change)
}

/// A mock's delay, which counts as active time.
async fn wait(
    stop_signal: &StopSignal,
    delay: Duration,
    left: Duration,
) -> Result<(), RunInterrupted> {
    tokio::select! {
        why = stop_signal.wait_for_stop() => Err(RunInterrupted::Stopped(why)),
        () = tokio::time::sleep(delay.min(left)) => {
            if delay <= left {
                return Ok(());
            }
            let message = "The run reached its time limit during the delay of a tool mock. Increase timeout_seconds.";
            Err(RunInterrupted::Error(RunError::new(ErrorKind::Timeout, message)))
        }
    }
}

async fn simulate_result(
    run: &mut ActiveRun,
    call: &ToolCall,
) -> Result<RunChange, RunInterrupted> {
    let user = &run.row.model_snapshot.simulated_user;
    let (scenario, agent) = (&run.scenario, &run.agent);
    let request = simulated_result_request(scenario, agent, &run.transcript, call, &user.model)
        .with_options(&user.options, USER_FLOOR);
    let (mut change, reply, result) =
        ask_until_readable(run, request, parse_simulated_result).await?;
    let turn = tool_turn(run, call, &ToolOutcome::simulated(result));
    change.turns.push(with_usage(turn, &reply));
    Ok(change)
}

/// Refuses the tool calls of a model that exceeded the limit of rounds.
pub(super) fn refuse(run: &ActiveRun, calls: &[ToolCall]) -> RunChange {
    let turns = calls.iter().map(|call| tool_turn(run, call, &refuse_call(call))).collect();
    RunChange { turns, ..RunChange::default() }
}

fn tool_turn(run: &ActiveRun, call: &ToolCall, outcome: &ToolOutcome) -> Turn {
    Turn {
        tool: Some(outcome.result_of(call)),
        ..Turn::text(Speaker::Tool, replace_nul(outcome.message.clone()), run.shared.clock.now())
    }
}
