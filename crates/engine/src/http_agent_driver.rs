//! Conversations with a deployed agent: its session, its messages, and what a crash in the
//! middle of a call means.
//!
//! The session id is stored before the first message. A call is stored as unconfirmed
//! before it is sent; a run that finds an unconfirmed call repeats it with the same
//! idempotency key, or ends if the endpoint does not promise to execute it once.

use super::calling::UnconfirmedCall;
use super::run_steps::{ActiveRun, RunInterrupted};
use domain::http_agent::{HttpAgent, SessionMode};
use domain::{ErrorKind, RunError, Turn};
use http_agent::{
    Context, end_request, greeting_turn, message_request, reply_turns, start_request,
};
use llm::{ChatReply, ChatRequest, HttpCall};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use store::rows::Role;
use store::transition::RunChange;

/// How long the request that ends a session may take.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Adds the id of a session that Rehearsal makes.
pub(super) fn prepare_session(run: &ActiveRun, change: &mut RunChange) {
    let Some(http) = &run.agent.http else { return };
    if http.session.mode == SessionMode::Client && run.row.session_id.is_none() {
        change.session_id = Some(run.shared.clock.uuid().to_string());
    }
}

/// Sends the newest message of the user, after starting the session if there is none.
pub(super) async fn send_message(run: &mut ActiveRun) -> Result<RunChange, RunInterrupted> {
    let agent = deployed(run)?;
    if run.row.unconfirmed_call.is_some() && !agent.idempotent {
        return Err(RunInterrupted::Error(RunError::new(
            ErrorKind::OutcomeUnknown,
            "The server stopped while the agent was answering. It is unknown whether the agent acted on this message, so it was not sent again. Re-run the scenario, or declare the agent idempotent if its endpoint honors Idempotency-Key.",
        )));
    }
    if agent.starts_session() && run.row.session_id.is_none() {
        let mut change = start_session(run, &agent).await?;
        // The agent began: the user is next.
        if !change.turns.is_empty() {
            return Ok(change);
        }
        let transcript = run.transcript.clone();
        run.record_intent(&mut change, Role::Agent, &transcript);
        run.commit(change).await?;
    }
    let intent = run.intent.as_ref().map(|intent| intent.id).unwrap_or_default();
    let id = run.row.unconfirmed_call.unwrap_or(intent);
    let call =
        message_request(&agent, &template_context(run, &sent_transcript(run), &id.to_string()));
    let is_repeatable = call.is_repeatable();
    let unconfirmed_call = Some(UnconfirmedCall { id, is_repeatable });
    let call_context = super::calling::CallContext { unconfirmed_call, ..run.call_context(false) };
    let connection = run.row.model_snapshot.agent.connection_id;
    match run.call_in(&call_context, connection, &request(run, call)).await {
        Ok((reply, change)) => Ok(answered(run, reply, change)),
        // Either the message was not executed, or the error is `outcome_unknown`. Only a budget
        // may drop a call that the agent acts on.
        Err(RunInterrupted::ErrorAfterCall(error, mut change))
            if !is_repeatable && error.kind != ErrorKind::BudgetExhausted =>
        {
            change.unconfirmed_call = Some(None);
            Err(RunInterrupted::ErrorAfterCall(error, change))
        }
        Err(other) => Err(other),
    }
}

/// Starts the session. The change contains its id, and the greeting as a turn.
async fn start_session(
    run: &ActiveRun,
    agent: &Arc<HttpAgent>,
) -> Result<RunChange, RunInterrupted> {
    let Some(call) =
        start_request(agent, &template_context(run, &sent_transcript(run), &run.call_id()))
    else {
        return Ok(RunChange::default());
    };
    let connection = run.row.model_snapshot.agent.connection_id;
    let (reply, mut change) = run.call(false, connection, &request(run, call)).await?;
    if agent.session.greeting.is_some() {
        change.turns.push(greeting_turn(&reply, run.shared.clock.now()));
    }
    change.session_id = reply.http.and_then(|http| http.session_id);
    Ok(change)
}

/// Ends the session, after the end of the conversation is stored. A failure does not
/// matter to the run.
pub(super) async fn end_session(run: &ActiveRun) -> Result<RunChange, RunInterrupted> {
    let agent = deployed(run)?;
    let Some(call) =
        end_request(&agent, &template_context(run, &sent_transcript(run), &run.call_id()))
    else {
        return Ok(RunChange::default());
    };
    let mut limits = run.call_context(false);
    limits.active_left = limits.active_left.min(END_TIMEOUT);
    (limits.max_wait, limits.circuit_left) = (Duration::ZERO, Duration::ZERO);
    let connection = run.row.model_snapshot.agent.connection_id;
    match run.call_in(&limits, connection, &request(run, call)).await {
        Ok((_, change)) => Ok(change),
        Err(RunInterrupted::ErrorAfterCall(error, change)) => {
            tracing::debug!(kind = error.kind.as_str(), "the session was not ended");
            Ok(*change)
        }
        Err(other) => Err(other),
    }
}

fn deployed(run: &ActiveRun) -> Result<Arc<HttpAgent>, RunInterrupted> {
    let http = run.agent.http.as_deref().cloned().map(Arc::new);
    http.ok_or_else(|| {
        let message = "The agent has no endpoint: its part `http` is missing.";
        RunInterrupted::Error(RunError::new(ErrorKind::InvalidAgent, message))
    })
}

/// A request to the endpoint. The limits of a connection apply to all of its agents
/// together, so there is no model.
fn request(run: &ActiveRun, call: HttpCall) -> ChatRequest {
    ChatRequest { call_id: run.call_id(), http: Some(Box::new(call)), ..ChatRequest::default() }
}

/// The transcript with secret values.
fn sent_transcript(run: &ActiveRun) -> Cow<'_, [Turn]> {
    let secrets = &run.variables.secrets;
    if secrets.is_empty() {
        Cow::Borrowed(&run.transcript)
    } else {
        Cow::Owned(secrets.reveal_turns(&run.transcript))
    }
}

fn template_context<'a>(
    run: &'a ActiveRun,
    transcript: &'a [Turn],
    call_id: &'a str,
) -> Context<'a> {
    Context {
        scenario: &run.sent_scenario,
        variables: &run.variables.sent,
        transcript,
        session_id: run.row.session_id.as_deref().unwrap_or_default(),
        run_id: run.row.id,
        call_id,
    }
}

/// The reply as turns, with its usage and session id.
fn answered(run: &ActiveRun, reply: ChatReply, mut change: RunChange) -> RunChange {
    change.usage = Some(run.usage_with(&reply));
    change.unconfirmed_call = Some(None);
    change.session_id = reply.http.as_ref().and_then(|http| http.session_id.clone());
    change.turns.extend(reply_turns(reply, run.shared.clock.now()));
    change
}
