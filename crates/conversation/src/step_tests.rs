use super::fixtures::{answers, call, calls, says, scenario, simulated, transcript, user};
use super::*;
use domain::{EndReason, ScenarioSpec, Turn};
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
#[case::parse(JudgingState::ReplyStored, Step::ParseReply)]
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
