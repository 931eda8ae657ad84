//! Properties of whole conversations with arbitrary scenarios and replies.

use super::fixtures::{agent, answers, calls, scenario, simulated, user};
use super::*;
use domain::{EndReason, ScenarioSpec, Speaker, Turn};
use llm_types::Message;
use proptest::prelude::*;
use serde_json::json;

/// A scripted reply of a model.
#[derive(Clone, Debug)]
struct Reply {
    agent: Option<Vec<(u8, u8)>>,
    blank: bool,
    done: u8,
}

fn reply() -> impl Strategy<Value = Reply> {
    let named = prop::collection::vec((0u8..4, 0u8..40), 1..4);
    (prop::option::of(named), any::<bool>(), 0u8..20).prop_map(|(agent, blank, done)| Reply {
        agent,
        blank,
        done,
    })
}

fn agent_turn(reply: &Reply) -> Turn {
    let message = if reply.blank { "" } else { "words" };
    let made: Vec<(String, &str)> = reply
        .agent
        .iter()
        .flatten()
        .map(|(id, name)| {
            let name = match name {
                0 => "end_conversation",
                1..=20 => "find_slot",
                _ => "transfer",
            };
            (if *id == 0 { String::new() } else { format!("c{id}") }, name)
        })
        .collect();
    let made: Vec<(&str, &str)> = made.iter().map(|(id, name)| (id.as_str(), *name)).collect();
    calls(message, &made)
}

/// The stored state of a run.
#[derive(Clone, Debug, PartialEq)]
struct StoredRun {
    transcript: Vec<Turn>,
    end_reason: Option<EndReason>,
}

impl StoredRun {
    fn push(&mut self, turn: Turn) {
        let index = u32::try_from(self.transcript.len()).unwrap_or(u32::MAX);
        self.transcript.push(Turn { index, ..turn });
    }

    /// Executes one step; returns false if the conversation is over.
    fn advance(
        &mut self,
        scenario: &ScenarioSpec,
        replies: &[Reply],
        calls_made: &mut usize,
    ) -> bool {
        let reply = &replies[*calls_made % replies.len()];
        match next_step(scenario, &self.transcript, self.end_reason, JudgingState::NotStarted) {
            Step::SendUserMessage { message } => self.push(user(&message)),
            Step::CallSimulatedUser => {
                *calls_made += 1;
                let done = match reply.done {
                    0 => UserDecision::GoalReached,
                    1 => UserDecision::GaveUp,
                    _ => UserDecision::Continue,
                };
                self.end_reason = done.end_reason(&self.transcript);
                self.push(user("words"));
            }
            Step::CallAgent { .. } => {
                *calls_made += 1;
                self.push(agent_turn(reply));
            }
            Step::AnswerTools { calls } | Step::RefuseTools { calls } => {
                self.push(answers(&calls[0].id, "{}"));
            }
            Step::End(reason) => self.end_reason = Some(reason),
            Step::Judge => return false,
            step => unreachable!("{step:?} while nothing of the judge is stored"),
        }
        true
    }
}

fn any_scenario() -> impl Strategy<Value = ScenarioSpec> {
    let flow = prop::collection::vec(any::<bool>(), 0..6);
    (any::<bool>(), flow, 1u32..8, any::<bool>()).prop_map(|(scripted, flow, max_turns, opening)| {
        if scripted {
            let turn = |user: &bool| {
                json!({"speaker": if *user { "user" } else { "agent" }, "message": "words"})
            };
            let mut flow: Vec<_> = flow.iter().map(turn).collect();
            flow.push(turn(&true));
            scenario(json!({"conversation_flow": flow, "max_turns": max_turns.max(6)}))
        } else {
            let line = opening.then_some("Hello");
            simulated(json!({"max_turns": max_turns, "opening_line": line}))
        }
    })
}

proptest! {
    #[test]
    fn conversation_ends_within_limits(
        scenario in any_scenario(), replies in prop::collection::vec(reply(), 1..40),
    ) {
        let mut stored = StoredRun { transcript: vec![], end_reason: None };
        let (mut calls_made, mut steps) = (0, 0);
        // Each agent call stores at most 1 turn and 3 answers.
        let most = scenario.max_turns as usize * (1 + (MAX_TOOL_ROUNDS + 1));
        while stored.advance(&scenario, &replies, &mut calls_made) {
            steps += 1;
            prop_assert!(steps <= most * 5 + 2, "does not end");
        }
        prop_assert!(calls_made <= most, "{calls_made} model calls");
        prop_assert!(stored.end_reason.is_some());
        let users: Vec<usize> = (0..stored.transcript.len())
            .filter(|i| stored.transcript[*i].speaker == Speaker::User).collect();
        prop_assert!(users.len() <= scenario.max_turns as usize);
        for pair in users.windows(2) {
            let between = &stored.transcript[pair[0]..pair[1]];
            prop_assert!(between.iter().any(|turn| turn.speaker == Speaker::Agent));
        }
        for turns in stored.transcript.split(|turn| turn.speaker == Speaker::User) {
            let rounds = turns.iter().filter(|turn| !turn.tool_calls.is_empty()).count();
            prop_assert!(rounds <= MAX_TOOL_ROUNDS + 1);
        }
    }

    /// Simulates a crash after an arbitrary commit.
    #[test]
    fn resumed_run_ends_like_uninterrupted_run(
        scenario in any_scenario(),
        replies in prop::collection::vec(reply(), 1..20),
        crash_after in 0usize..40,
    ) {
        let mut uninterrupted = StoredRun { transcript: vec![], end_reason: None };
        let mut at_crash = None;
        let (mut calls_made, mut steps) = (0, 0);
        loop {
            if steps == crash_after {
                at_crash = Some((serde_json::to_string(&uninterrupted.transcript), uninterrupted.end_reason, calls_made));
            }
            if !uninterrupted.advance(&scenario, &replies, &mut calls_made) { break; }
            steps += 1;
        }
        if let Some((text, end_reason, mut calls_made)) = at_crash {
            let transcript = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
            let mut resumed = StoredRun { transcript, end_reason };
            while resumed.advance(&scenario, &replies, &mut calls_made) {}
            prop_assert_eq!(resumed, uninterrupted);
        }
    }

    /// Providers reject requests that violate these rules.
    #[test]
    fn requests_are_well_formed(
        scenario in any_scenario(), replies in prop::collection::vec(reply(), 1..20),
    ) {
        let agent = agent(json!({}));
        let mut stored = StoredRun { transcript: vec![], end_reason: None };
        let mut calls_made = 0;
        loop {
            let step = next_step(&scenario, &stored.transcript, stored.end_reason, JudgingState::NotStarted);
            if let Step::CallAgent { allow_tools } = step {
                let request = agent_request(&agent, &stored.transcript, allow_tools);
                prop_assert_eq!(request.no_tool_calls, !allow_tools);
                prop_assert!(matches!(request.messages.first(), Some(Message::User(_))));
                let own_words_last = matches!(request.messages.last(), Some(Message::Assistant { .. }));
                prop_assert!(!own_words_last);
                let mut open: Vec<String> = vec![];
                for message in &request.messages {
                    match message {
                        Message::Tool { call_id, .. } => {
                            let at = open.iter().position(|id| id == call_id);
                            prop_assert!(at.is_some(), "an answer to no call");
                            open.remove(at.unwrap_or_default());
                        }
                        Message::User(_) => prop_assert!(open.is_empty(), "a call without answer"),
                        Message::Assistant { text, tool_calls, .. } => {
                            prop_assert!(open.is_empty(), "a call without answer");
                            prop_assert!(!text.is_empty() || !tool_calls.is_empty());
                            open = tool_calls.iter().map(|call| call.id.clone()).collect();
                        }
                    }
                }
                prop_assert!(open.is_empty(), "a call without answer");
            }
            if step == Step::CallSimulatedUser {
                let request = simulated_user_request(&scenario, "sim", &stored.transcript);
                for (i, message) in request.messages.iter().enumerate() {
                    prop_assert_eq!(matches!(message, Message::User(_)), i % 2 == 0);
                }
                prop_assert!(request.messages.len() % 2 == 1);
            }
            if !stored.advance(&scenario, &replies, &mut calls_made) { break; }
        }
    }
}
