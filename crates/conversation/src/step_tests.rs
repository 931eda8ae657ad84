use super::fixtures::{agent, answers, call, calls, says, scenario, simulated, transcript, user};
use super::*;
use domain::{EndReason, ScenarioSpec, Speaker, Turn};
use llm_types::Message;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn step(scenario: &ScenarioSpec, turns: Vec<Turn>) -> Step {
    next_step(scenario, &transcript(turns), None, JudgingState::NotStarted)
}

fn send(message: &str) -> Step {
    Step::SendUserMessage { message: message.to_owned() }
}

const CALL_AGENT: Step = Step::CallAgent { allow_tools: true };

#[test]
fn script_is_sent_in_order() {
    let script = scenario(json!({}));
    assert_eq!(step(&script, vec![]), send("Hello?"));
    assert_eq!(step(&script, vec![user("Hello?")]), CALL_AGENT);
    let second = send("I need an appointment.");
    assert_eq!(step(&script, vec![user("Hello?"), says("Good morning")]), second);
    assert_eq!(step(&script, vec![user("Hello?"), says(" \u{200B}")]), second);
    let last = vec![user("a"), says("b"), user("c")];
    assert_eq!(step(&script, last), CALL_AGENT);
    let all = vec![user("a"), says("b"), user("c"), says("d")];
    assert_eq!(step(&script, all), Step::End(EndReason::ScriptFinished));
}

#[test]
fn script_of_max_turns_ends_as_finished() {
    let script = scenario(json!({"max_turns": 2}));
    let all = vec![user("a"), says("b"), user("c"), says("d")];
    assert_eq!(step(&script, all), Step::End(EndReason::ScriptFinished));
}

#[test]
fn simulated_user_is_called_until_max_turns() {
    let spec = simulated(json!({"max_turns": 2}));
    assert_eq!(step(&spec, vec![]), Step::CallSimulatedUser);
    assert_eq!(step(&spec, vec![user("a")]), CALL_AGENT);
    assert_eq!(step(&spec, vec![user("a"), says("b")]), Step::CallSimulatedUser);
    assert_eq!(step(&spec, vec![user("a"), says("b"), user("c")]), CALL_AGENT);
    let full = vec![user("a"), says("b"), user("c"), says("d")];
    assert_eq!(step(&spec, full), Step::End(EndReason::MaxTurns));
}

#[test]
fn opening_line_is_sent_once_without_call() {
    let spec = simulated(json!({"opening_line": "Is this the clinic?"}));
    assert_eq!(step(&spec, vec![]), send("Is this the clinic?"));
    let answered = vec![user("Is this the clinic?"), says("Yes")];
    assert_eq!(step(&spec, answered), Step::CallSimulatedUser);
}

#[test]
fn unanswered_calls_are_answered_first() {
    let script = scenario(json!({}));
    let two = calls("", &[("c1", "find_slot"), ("c2", "transfer")]);
    let all = two.tool_calls.clone();
    let said = vec![user("a"), two];
    assert_eq!(step(&script, said.clone()), Step::AnswerTools { calls: all.clone() });
    let mut one = said.clone();
    one.push(answers("c1", "{}"));
    assert_eq!(step(&script, one.clone()), Step::AnswerTools { calls: vec![all[1].clone()] });
    one.push(answers("c2", "{}"));
    assert_eq!(step(&script, one), CALL_AGENT);
    let mut other_order = said;
    other_order.push(answers("c2", "{}"));
    assert_eq!(step(&script, other_order), Step::AnswerTools { calls: vec![all[0].clone()] });
}

#[test]
fn calls_with_equal_ids_are_each_answered() {
    let script = scenario(json!({}));
    let twins = calls("", &[("", "find_slot"), ("", "find_slot")]);
    let call = twins.tool_calls[0].clone();
    let said = vec![user("a"), twins, answers("", "1")];
    assert_eq!(step(&script, said.clone()), Step::AnswerTools { calls: vec![call] });
    let mut both = said;
    both.push(answers("", "2"));
    assert_eq!(step(&script, both), CALL_AGENT);
}

#[test]
fn result_of_earlier_round_does_not_answer_later_call() {
    let script = scenario(json!({}));
    let round = || calls("", &[("c1", "find_slot")]);
    let said = vec![user("a"), round(), answers("c1", "x"), round()];
    assert_eq!(step(&script, said), Step::AnswerTools { calls: round().tool_calls });
}

#[test]
fn end_conversation_ends_after_all_calls_are_answered() {
    let script = scenario(json!({}));
    let bye = calls("Bye", &[("c1", "find_slot"), ("c2", "end_conversation")]);
    let open = bye.tool_calls.clone();
    let said = vec![user("a"), bye];
    assert_eq!(step(&script, said.clone()), Step::AnswerTools { calls: open });
    let answered = [said, vec![answers("c1", "x"), answers("c2", "The conversation has ended.")]];
    assert_eq!(step(&script, answered.concat()), Step::End(EndReason::AgentEnded));
}

fn rounds(count: usize) -> Vec<Turn> {
    let mut turns = vec![user("a")];
    for i in 0..count {
        let id = format!("c{i}");
        turns.extend([calls("", &[(&id, "find_slot")]), answers(&id, "x")]);
    }
    turns
}

#[rstest]
#[case(1, true)]
#[case(7, true)]
#[case(8, false)]
fn tools_are_allowed_for_eight_rounds(#[case] count: usize, #[case] allow_tools: bool) {
    assert_eq!(step(&scenario(json!({})), rounds(count)), Step::CallAgent { allow_tools });
}

#[test]
fn call_after_last_round_is_refused_and_ends_turn() {
    let script = scenario(json!({}));
    let mut turns = rounds(8);
    turns.push(calls("", &[("late", "find_slot")]));
    let late = vec![call("late", "find_slot", json!({}))];
    assert_eq!(step(&script, turns.clone()), Step::RefuseTools { calls: late });
    turns.push(answers("late", "no"));
    assert_eq!(step(&script, turns), send("I need an appointment."));
}

#[test]
fn rounds_restart_with_each_user_turn() {
    let turns = [rounds(8), vec![says("b"), user("c")]].concat();
    assert_eq!(step(&scenario(json!({})), turns), CALL_AGENT);
}

#[rstest]
#[case::judge(JudgingState::NotStarted, Step::Judge)]
#[case::parse(JudgingState::ReplyStored, Step::ParseReply { repaired: false })]
#[case::parse_repair(JudgingState::RepairStored, Step::ParseReply { repaired: true })]
#[case::done(JudgingState::Done, Step::Finished)]
fn ended_conversation_is_only_judged(#[case] judging: JudgingState, #[case] expected: Step) {
    let open = vec![user("a"), calls("", &[("c1", "find_slot")])];
    for turns in [vec![], vec![user("a")], vec![user("a"), says("b")], open] {
        for end in EndReason::ALL {
            let turns = transcript(turns.clone());
            assert_eq!(next_step(&scenario(json!({})), &turns, Some(end.1), judging), expected);
        }
    }
}

#[test]
fn agent_request_contains_prompt_tools_and_transcript() {
    let agent = agent(json!({"temperature": 0.3, "max_tokens": 77}));
    let turns = transcript(vec![
        user("Hi"),
        calls("", &[("c1", "find_slot")]),
        answers("c1", "{\"free\":[9]}"),
        says("  "),
        user("Hello?"),
    ]);
    let request = agent_request(&agent, &turns, true);
    let text = |text: &str| text.to_owned();
    assert_eq!(
        request.messages,
        vec![
            Message::User(text("Hi")),
            Message::Assistant {
                text: text(""),
                tool_calls: turns[1].tool_calls.clone(),
                provider_state: None
            },
            Message::Tool { call_id: text("c1"), content: text("{\"free\":[9]}"), is_error: false },
            Message::assistant("(no answer)"),
            Message::User(text("Hello?")),
        ]
    );
    let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["find_slot", "transfer", "end_conversation"]);
    assert_eq!((request.temperature, request.max_tokens), (Some(0.3), 77));
    assert_eq!((&request.system, &request.model), (&agent.system_prompt, &agent.model));
    assert!(agent_request(&agent, &turns, false).no_tool_calls);
}

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

#[test]
fn agent_that_may_not_hang_up_is_offered_its_own_tools_only() {
    let names = |with: serde_json::Value| {
        let request = agent_request(&agent(with), &[], true);
        let names: Vec<_> = request.tools.into_iter().map(|tool| tool.name).collect();
        (names.join(" "), request.tools_optional)
    };
    let without = json!({"may_hang_up": false});
    assert_eq!(names(without), ("find_slot transfer".to_owned(), false));
    assert_eq!(names(json!({"tools": []})), ("end_conversation".to_owned(), true));
    assert_eq!(names(json!({"tools": [], "may_hang_up": false})), (String::new(), true));
    assert!(!agent(json!({"may_hang_up": false})).has_tool("end_conversation"));
}

#[test]
fn limit_that_a_user_chose_is_fixed() {
    let request = agent_request(&agent(json!({"max_tokens": 900})), &[], true);
    assert_eq!((request.fixed_limit, request.with_doubled_limit()), (true, None));
    let request = agent_request(&agent(json!({})), &[], true).with_doubled_limit();
    assert_eq!(request.map(|request| request.max_tokens), Some(2048));
}
