//! A chat with an agent in the browser, without a run. The client holds the conversation; a
//! request contributes one message and gets the agent's answer, with the results of its
//! tools.

use super::Catalog;
use super::deployed_chat::DeployedChat;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use conversation::{
    JudgingState, RunVariables, Step, ToolOutcome, ToolReply, agent_request, answer_call,
    next_step, parse_simulated_result, refuse_call, simulated_result_request,
};
use domain::error::{AppError, ErrorCode};
use domain::services::{AgentChat, AgentChatService, AgentTrial, AppResult, Caller, ChatSession};
use domain::variables::Variables;
use domain::{
    Agent, AgentId, AgentSpec, ConnectionId, Draft, ErrorKind, ModelChoice, ModelOptions,
    ScenarioSpec, Speaker, Timestamp, ToolCall, Turn, UserId, is_blank, limits, replace_nul,
};
use llm::{CallError, ChatReply, ChatRequest, Decision};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// The time for all calls of one answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Users for whom an agent is answering.
#[derive(Default)]
pub(crate) struct ActiveChats(Mutex<HashSet<UserId>>);

/// Removes the user when the answer is complete or its request is dropped.
pub(super) struct ActiveChat<'a> {
    all: &'a ActiveChats,
    user: UserId,
}

impl ActiveChats {
    pub(super) fn begin(&self, user: UserId) -> AppResult<ActiveChat<'_>> {
        if self.0.lock().insert(user) {
            return Ok(ActiveChat { all: self, user });
        }
        let detail = "An agent is still answering another message of yours. Wait for it, then \
                      send this one again.";
        Err(AppError::conflict(detail))
    }
}

impl Drop for ActiveChat<'_> {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.user);
    }
}

#[async_trait]
impl AgentChatService for Catalog {
    async fn answer(
        &self,
        caller: &Caller,
        id: AgentId,
        conversation: Vec<Turn>,
        message: &str,
        session: Option<ChatSession>,
    ) -> AppResult<AgentChat> {
        let agent = self.chat_agent(caller, id).await?;
        let agent = Agent { spec: with_variables(&agent.spec, self.clock.now())?, ..agent };
        if let Some(deployed) = DeployedChat::of(self, caller, &agent.spec, session)? {
            return deployed.answer(conversation, message).await;
        }
        let scenario = open_scenario()?;
        let conversation = begin(&agent, conversation, self.clock.now());
        let turns = with_message(&scenario, conversation, message, self.clock.now())?;
        let _active = self.active_chats.begin(caller.user_id)?;
        let mut chat =
            Chat { catalog: self, caller, agent: &agent, scenario, turns, time: ANSWER_TIMEOUT };
        let error = chat.advance().await?.err().map(|error| error.message);
        let turns = chat.turns;
        let ended = matches!(next(&chat.scenario, &turns), Step::End(_));
        Ok(AgentChat { turns, error, ended, session: None })
    }

    async fn end(
        &self,
        caller: &Caller,
        id: AgentId,
        turns: Vec<Turn>,
        session: Option<ChatSession>,
    ) -> AppResult<AgentChat> {
        let agent = self.chat_agent(caller, id).await?;
        if let Some(mut deployed) = DeployedChat::of(self, caller, &agent.spec, session)? {
            deployed.end(&turns).await?;
        }
        Ok(AgentChat { turns, error: None, ended: true, session: None })
    }

    async fn try_message(
        &self,
        caller: &Caller,
        draft: &Draft,
        message: &str,
    ) -> AppResult<AgentTrial> {
        let spec = self.agent_spec(caller, draft).await?;
        let spec = with_variables(&spec, self.clock.now())?;
        let Some(deployed) = DeployedChat::of(self, caller, &spec, None)? else {
            return Err(AppError::problem("http", "must describe a deployed agent"));
        };
        deployed.try_message(message).await
    }
}

impl Catalog {
    async fn chat_agent(&self, caller: &Caller, id: AgentId) -> AppResult<Agent> {
        let agent = self.store.agent(caller.space_id, id).await.or_app_error()?;
        agent.ok_or_else(|| AppError::not_found("agent"))
    }

    /// Calls the connection of an agent within this time, and reduces it by what the call
    /// took.
    pub(super) async fn call_within(
        &self,
        caller: &Caller,
        connection: ConnectionId,
        request: &ChatRequest,
        time: &mut Duration,
    ) -> AppResult<Result<ChatReply, CallError>> {
        if !self.may_use(caller, connection).await? {
            let message =
                "The connection of the agent, or of the model in the settings, was deleted.";
            let decision = Decision::GiveUp(ErrorKind::ProviderRejected);
            return Ok(Err(CallError::new(decision, message)));
        }
        let endpoint = match self.endpoints.endpoint(connection).await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                return Ok(Err(CallError::new(Decision::GiveUp(error.kind), error.message)));
            }
        };
        let (reply, used) = self.provider_access.complete(caller, endpoint, request, *time).await;
        *time = time.saturating_sub(used);
        Ok(reply)
    }
}

/// Date and time. A chat has no test profile.
pub(super) fn chat_variables(now: Timestamp) -> Variables {
    RunVariables::new(now, None, &BTreeMap::new()).shown
}

/// The agent with date and time filled in.
fn with_variables(spec: &AgentSpec, now: Timestamp) -> AppResult<AgentSpec> {
    spec.filled(&chat_variables(now)).map_err(|problems| {
        let detail = "A chat has no test profile, so it cannot fill in all variables of this agent. Run a scenario with a test profile instead.";
        AppError { problems, ..AppError::new(ErrorCode::Invalid, detail) }
    })
}

/// A scenario without a script and without mocks: a person plays the user, and a model makes
/// up the results of tools.
pub(super) fn open_scenario() -> AppResult<ScenarioSpec> {
    let draft = json!({"name": "Chat", "category": "support", "mode": "simulated",
        "goal": "A person tries the agent.", "max_turns": limits::CHAT_TURNS,
        "on_unmocked": "simulate"});
    ScenarioSpec::parse(&Draft(draft)).map_err(AppError::invalid)
}

/// The conversation with the first message of an agent that begins.
fn begin(agent: &Agent, turns: Vec<Turn>, at: Timestamp) -> Vec<Turn> {
    match &agent.spec.begin_message {
        Some(message) if turns.is_empty() => {
            vec![Turn::text(Speaker::Agent, message.clone(), at)]
        }
        _ => turns,
    }
}

pub(super) fn next(scenario: &ScenarioSpec, turns: &[Turn]) -> Step {
    next_step(scenario, turns, None, JudgingState::NotStarted)
}

/// The conversation with the new message. Without a message, an answer that failed halfway is
/// continued.
pub(super) fn with_message(
    scenario: &ScenarioSpec,
    mut turns: Vec<Turn>,
    message: &str,
    at: Timestamp,
) -> AppResult<Vec<Turn>> {
    let is_users_turn = match next(scenario, &turns) {
        Step::CallSimulatedUser => true,
        Step::End(_) => {
            let detail = "This chat has ended. Start over, or turn it into a scenario.";
            return Err(AppError::new(ErrorCode::Invalid, detail));
        }
        _ => false,
    };
    match (is_blank(message), is_users_turn) {
        (true, true) => return Err(AppError::problem("message", "must not be empty")),
        (true, false) => return Ok(turns),
        (false, _) if message.len() > limits::MESSAGE => {
            let text = format!("must be at most {} bytes", limits::MESSAGE);
            return Err(AppError::problem("message", text));
        }
        (false, _) => {}
    }
    let index = u32::try_from(turns.len()).unwrap_or(u32::MAX);
    let message = replace_nul(message.trim().to_owned());
    turns.push(Turn { index, ..Turn::text(Speaker::User, message, at) });
    Ok(turns)
}

/// One answer in progress.
struct Chat<'a> {
    catalog: &'a Catalog,
    caller: &'a Caller,
    agent: &'a Agent,
    scenario: ScenarioSpec,
    turns: Vec<Turn>,
    /// The remaining time for calls.
    time: Duration,
}

impl Chat<'_> {
    /// Adds turns until it is the user's turn or a call fails. What was said before a failure
    /// is kept, so that the answer can be continued.
    async fn advance(&mut self) -> AppResult<Result<(), CallError>> {
        loop {
            let added = match next(&self.scenario, &self.turns) {
                Step::CallAgent { allow_tools } => self.call_agent(allow_tools).await?,
                Step::AnswerTools { calls } => self.answer_tool(&calls).await?,
                Step::RefuseTools { calls } => {
                    let call = calls.first().ok_or_else(no_call)?;
                    Ok(self.tool_turn(call, &refuse_call(call)))
                }
                _ => return Ok(Ok(())),
            };
            match added {
                Ok(turn) => {
                    let index = u32::try_from(self.turns.len()).unwrap_or(u32::MAX);
                    self.turns.push(Turn { index, ..turn });
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    async fn call_agent(&mut self, allow_tools: bool) -> AppResult<Result<Turn, CallError>> {
        let request = agent_request(&self.agent.spec, &self.turns, allow_tools);
        let connection = self.agent.spec.connection_id;
        let reply = self.call(connection, &request).await?;
        let at = self.catalog.clock.now();
        Ok(reply.map(|reply| Turn {
            tool_calls: reply.tool_calls,
            finish: Some(reply.finish),
            latency_ms: Some(u32::try_from(reply.latency.as_millis()).unwrap_or(u32::MAX)),
            input_tokens: Some(reply.input_tokens),
            output_tokens: Some(reply.output_tokens),
            adjustments: reply.adjustments,
            token_parts: reply.token_parts,
            provider_state: reply.provider_state,
            ..Turn::text(Speaker::Agent, replace_nul(reply.text), at)
        }))
    }

    /// Answers the first open call. Its arguments are validated on a thread for blocking
    /// work.
    async fn answer_tool(&mut self, calls: &[ToolCall]) -> AppResult<Result<Turn, CallError>> {
        let call = calls.first().ok_or_else(no_call)?.clone();
        let (scenario, spec) = (self.scenario.clone(), self.agent.spec.clone());
        let checked = call.clone();
        let answer =
            tokio::task::spawn_blocking(move || answer_call(&scenario, &spec, &checked)).await;
        let answer = answer.map_err(|error| crate::internal(&error, "answer a tool call"))?;
        let outcome = match answer {
            ToolReply::Answer(outcome) => outcome,
            ToolReply::NeedsSimulation => match self.simulate_result(&call).await? {
                Ok(result) => ToolOutcome::simulated(result),
                Err(error) => return Ok(Err(error)),
            },
        };
        Ok(Ok(self.tool_turn(&call, &outcome)))
    }

    fn tool_turn(&self, call: &ToolCall, outcome: &ToolOutcome) -> Turn {
        let message = replace_nul(outcome.message.clone());
        let at = self.catalog.clock.now();
        Turn { tool: Some(outcome.result_of(call)), ..Turn::text(Speaker::Tool, message, at) }
    }

    /// A result that the model for simulated users simulates.
    async fn simulate_result(&mut self, call: &ToolCall) -> AppResult<Result<String, CallError>> {
        let settings = self.catalog.store.settings(self.caller.space_id).await.or_app_error()?;
        let spec = &self.agent.spec;
        let choice = settings.simulated_user.unwrap_or_else(|| ModelChoice {
            connection_id: spec.connection_id,
            model: spec.model.clone(),
            options: ModelOptions::default(),
        });
        let (connection, model) = (choice.connection_id, choice.model);
        let request = simulated_result_request(&self.scenario, spec, &self.turns, call, &model);
        let request = request.with_options(&choice.options, 0);
        let reply = match self.call(connection, &request).await? {
            Ok(reply) => reply,
            Err(error) => return Ok(Err(error)),
        };
        Ok(parse_simulated_result(&reply.text).map_err(|why| {
            let message = format!(
                "The model that simulates the results of tools did not reply in the required \
                 format: {why} Select another model in the settings."
            );
            CallError::new(Decision::GiveUp(ErrorKind::ProviderRejected), message)
        }))
    }

    async fn call(
        &mut self,
        connection: ConnectionId,
        request: &ChatRequest,
    ) -> AppResult<Result<ChatReply, CallError>> {
        self.catalog.call_within(self.caller, connection, request, &mut self.time).await
    }
}

fn no_call() -> AppError {
    AppError::new(ErrorCode::Invalid, "The conversation has no open call of a tool.")
}
