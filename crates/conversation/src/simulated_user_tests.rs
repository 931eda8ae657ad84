use super::fixtures::{answers, calls, says, simulated, transcript, user};
use super::*;
use domain::EndReason;
use llm_types::Message;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn agent_text(text: &str) -> Message {
    Message::User(text.to_owned())
}

fn user_reply(text: &str) -> Message {
    let text = json!({"message": text, "done": "no"}).to_string();
    Message::assistant(text)
}

#[test]
fn first_request_contains_fixed_message_only() {
    let request = simulated_user_request(&simulated(json!({})), "sim", &[]);
    let again = simulated_user_request(&simulated(json!({})), "sim", &[]);
    assert_eq!(request, again);
    assert_eq!(request.messages.len(), 1);
    assert!(matches!(&request.messages[0], Message::User(seed) if !seed.is_empty()));
    assert_eq!(request.output.map(|output| output.name), Some(SIMULATED_USER_SCHEMA.to_owned()));
}

#[test]
fn roles_are_swapped_and_tools_omitted() {
    let turns = transcript(vec![
        user("Hi"),
        calls("One moment.", &[("c1", "find_slot")]),
        answers("c1", "SECRET SLOT DATA"),
        says("Monday at nine?"),
        user("Fine"),
        says("  "),
    ]);
    let request = simulated_user_request(&simulated(json!({})), "sim", &turns);
    let seed = request.messages[0].clone();
    assert_eq!(
        request.messages,
        vec![
            seed,
            user_reply("Hi"),
            agent_text("One moment.\n\nMonday at nine?"),
            user_reply("Fine"),
            agent_text("(no answer)"),
        ]
    );
    assert!(!format!("{request:?}").contains("SECRET"));
    assert!(!format!("{request:?}").contains("find_slot"));
}

#[test]
fn system_prompt_contains_persona_goal_and_facts() {
    let request = simulated_user_request(&simulated(json!({})), "sim", &[]);
    let role = parse_simulated_user_prompt(&request.system);
    let expected = SimulatedRole {
        name: "Ada".to_owned(),
        goal: "an appointment before noon".to_owned(),
        facts: vec!["born 1980".to_owned(), "allergic to latex".to_owned()],
    };
    assert_eq!(role, Some(expected));
    assert!(request.system.contains("worried"));
    assert_eq!(parse_simulated_user_prompt("You are a helpful assistant."), None);
}

#[rstest]
#[case(r#"{"message":"Hello","done":"no"}"#, "Hello", UserDecision::Continue)]
#[case(
    "```json\n{\"message\":\"Bye\",\"done\":\"goal_reached\"}\n```",
    "Bye",
    UserDecision::GoalReached
)]
#[case::silent_goodbye(r#"{"message":"","done":"gave_up"}"#, "", UserDecision::GaveUp)]
#[case::nul("{\"message\":\"a\\u0000b\",\"done\":\"no\"}", "a\u{FFFD}b", UserDecision::Continue)]
fn parse_accepts_reply(#[case] raw: &str, #[case] message: &str, #[case] done: UserDecision) {
    assert_eq!(parse_simulated_user(raw), Ok((message.to_owned(), done)));
}

#[rstest]
#[case("Hello")]
#[case(r#"{"message":"Hello"}"#)]
#[case(r#"{"done":"no"}"#)]
#[case(r#"{"message":"Hello","done":"yes"}"#)]
#[case(r#"{"message":"Hello","done":true}"#)]
#[case(r#"{"message":null,"done":"no"}"#)]
#[case(r#"{"message":" ","done":"no"}"#)]
#[case(r#"{"message":"Hello","done":"no","score":100}"#)]
fn parse_rejects_reply(#[case] raw: &str) {
    assert!(parse_simulated_user(raw).is_err());
}

#[test]
fn end_is_ignored_before_first_agent_turn() {
    let before = transcript(vec![]);
    let after = transcript(vec![user("Hi"), says("Hello")]);
    for (done, end) in [
        (UserDecision::Continue, None),
        (UserDecision::GoalReached, Some(EndReason::GoalReached)),
        (UserDecision::GaveUp, Some(EndReason::UserGaveUp)),
    ] {
        assert_eq!(done.end_reason(&before), None);
        assert_eq!(done.end_reason(&after), end);
    }
}

proptest! {
    #[test]
    fn parse_prompt_returns_goal_and_facts(goal in "(?s)x.{0,40}", facts in prop::collection::vec("y(?s).{0,30}z", 0..5)) {
        prop_assume!(!goal.contains('\0') && !facts.iter().any(|fact| fact.contains('\0')));
        let scenario = simulated(json!({"goal": goal, "known_facts": facts}));
        let request = simulated_user_request(&scenario, "sim", &[]);
        let role = parse_simulated_user_prompt(&request.system).unwrap_or_default();
        prop_assert_eq!(role.goal, goal);
        prop_assert_eq!(role.facts, facts);
    }

    #[test]
    fn parse_never_panics(raw in "(?s).{0,60}") {
        let _ = parse_simulated_user(&raw);
        let _ = parse_simulated_user_prompt(&raw);
    }
}
