//! A chat with a deployed agent: its session, its messages and its end, as in a run.

use super::Catalog;
use super::agent_chat::{ANSWER_TIMEOUT, chat_variables, next, open_scenario, with_message};
use conversation::{Step, conversation_ended};
use domain::error::{AppError, ErrorCode};
use domain::http_agent::{Begins, HttpAgent, SessionMode};
use domain::services::{AgentChat, AppResult, Caller, ChatSession};
use domain::variables::Variables;
use domain::{AgentSpec, ConnectionId, END_CONVERSATION, ScenarioSpec, Speaker, Turn, is_blank};
use http_agent::{
    Context, end_request, greeting_turn, message_request, reply_turns, start_request,
};
use llm::{CallError, ChatReply, ChatRequest, HttpCall};
use std::sync::Arc;
use std::time::Duration;

/// How long the request that ends a session may take.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// A longer session id is none that an agent returned.
const MAX_SESSION_ID: usize = 1024;

pub(super) struct DeployedChat<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) caller: &'a Caller,
    pub(super) http: Arc<HttpAgent>,
    connection: ConnectionId,
    scenario: ScenarioSpec,
    variables: Variables,
    session: ChatSession,
    /// The remaining time for calls.
    time: Duration,
}

impl<'a> DeployedChat<'a> {
    /// `None` for an agent with a prompt and a model.
    pub(super) fn of(
        catalog: &'a Catalog,
        caller: &'a Caller,
        spec: &AgentSpec,
        session: Option<ChatSession>,
    ) -> AppResult<Option<Self>> {
        let Some(http) = spec.http.as_deref() else { return Ok(None) };
        let mut session = session.unwrap_or_else(|| ChatSession {
            run_id: catalog.clock.uuid().into(),
            id: String::new(),
        });
        if session.id.len() > MAX_SESSION_ID || session.id.chars().any(char::is_control) {
            let detail = "The session of this chat could not be read. Start over.";
            return Err(AppError::new(ErrorCode::Malformed, detail));
        }
        if http.session.mode == SessionMode::Client && session.id.is_empty() {
            session.id = catalog.clock.uuid().to_string();
        }
        Ok(Some(Self {
            catalog,
            caller,
            http: Arc::new(http.clone()),
            connection: spec.connection_id,
            scenario: open_scenario()?,
            variables: chat_variables(catalog.clock.now()),
            session,
            time: ANSWER_TIMEOUT,
        }))
    }

    /// Adds the message and the answer to the conversation.
    pub(super) async fn answer(
        mut self,
        conversation: Vec<Turn>,
        message: &str,
    ) -> AppResult<AgentChat> {
        let begins = conversation.is_empty() && self.http.begins == Begins::Agent;
        let mut turns = if begins && is_blank(message) {
            conversation
        } else {
            with_message(&self.scenario, conversation, message, self.catalog.clock.now())?
        };
        let _active = self.catalog.active_chats.begin(self.caller.user_id)?;
        let error = self.advance(&mut turns).await?.err().map(|error| error.message);
        let ended = matches!(next(&self.scenario, &turns), Step::End(_));
        Ok(AgentChat { turns, error, ended, session: Some(self.session) })
    }

    /// Adds the answer of the agent. The session is kept if the message fails.
    async fn advance(&mut self, turns: &mut Vec<Turn>) -> AppResult<Result<(), CallError>> {
        if let Some(call) = self.start_call(turns) {
            let reply = match self.call(call).await? {
                Ok(reply) => reply,
                Err(error) => return Ok(Err(error)),
            };
            if self.started(&reply, turns) {
                return Ok(Ok(()));
            }
        }
        let call = self.message_call(turns);
        Ok(self.call(call).await?.map(|reply| self.answered(reply, turns)))
    }

    /// The request that starts the session, if that is needed.
    pub(super) fn start_call(&self, turns: &[Turn]) -> Option<HttpCall> {
        let id = self.call_id();
        start_request(&self.http, &self.context(turns, &id)).filter(|_| self.session.id.is_empty())
    }

    pub(super) fn message_call(&self, turns: &[Turn]) -> HttpCall {
        let id = self.call_id();
        message_request(&self.http, &self.context(turns, &id))
    }

    /// Keeps the session id. Adds the greeting of an agent that begins, and returns whether
    /// the user is next.
    pub(super) fn started(&mut self, reply: &ChatReply, turns: &mut Vec<Turn>) -> bool {
        if let Some(id) = reply.http.as_ref().and_then(|http| http.session_id.clone()) {
            self.session.id = id;
        }
        if self.http.session.greeting.is_none() || !turns.is_empty() {
            return false;
        }
        add(turns, greeting_turn(reply, self.catalog.clock.now()));
        true
    }

    pub(super) fn answered(&mut self, reply: ChatReply, turns: &mut Vec<Turn>) {
        if let Some(id) = reply.http.as_ref().and_then(|http| http.session_id.clone()) {
            self.session.id = id;
        }
        let at = self.catalog.clock.now();
        for turn in reply_turns(reply, at) {
            add(turns, turn);
        }
        // As in a run, a conversation is over when the call that ends it has its result.
        let mut calls = turns.last().into_iter().flat_map(|turn| &turn.tool_calls);
        if let Some(call) = calls.find(|call| call.name == END_CONVERSATION).cloned() {
            let outcome = conversation_ended();
            let tool = Some(outcome.result_of(&call));
            add(turns, Turn { tool, ..Turn::text(Speaker::Tool, outcome.message, at) });
        }
    }

    /// Ends the session. A failure does not matter.
    pub(super) async fn end(&mut self, turns: &[Turn]) -> AppResult<()> {
        let id = self.call_id();
        let Some(call) = end_request(&self.http, &self.context(turns, &id)) else {
            return Ok(());
        };
        self.time = END_TIMEOUT;
        self.call(call).await.map(drop)
    }

    /// Makes one call over the connection of the agent.
    pub(super) async fn call(&mut self, call: HttpCall) -> AppResult<Result<ChatReply, CallError>> {
        let call_id = call.idempotency_key.clone();
        let request = ChatRequest { call_id, http: Some(Box::new(call)), ..ChatRequest::default() };
        self.catalog.call_within(self.caller, self.connection, &request, &mut self.time).await
    }

    fn call_id(&self) -> String {
        self.catalog.clock.uuid().to_string()
    }

    fn context<'b>(&'b self, transcript: &'b [Turn], call_id: &'b str) -> Context<'b> {
        Context {
            scenario: &self.scenario,
            variables: &self.variables,
            transcript,
            session_id: &self.session.id,
            run_id: self.session.run_id,
            call_id,
        }
    }

    pub(super) fn user_turn(&self, message: &str) -> AppResult<Vec<Turn>> {
        with_message(&self.scenario, Vec::new(), message, self.catalog.clock.now())
    }
}

fn add(turns: &mut Vec<Turn>, turn: Turn) {
    let index = u32::try_from(turns.len()).unwrap_or(u32::MAX);
    turns.push(Turn { index, ..turn });
}
