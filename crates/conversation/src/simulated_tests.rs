use super::fixtures::{answers, calls, says, simulated, transcript, user};
use super::*;
use llm_types::Message;
use domain::EndReason;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn heard(text: &str) -> Message {
    Message::User(text.to_owned())
}

fn said(text: &str) -> Message {
    let text = json!({"message": text, "done": "no"}).to_string();
    Message::Assistant { text, tool_calls: Vec::new() }
}

#[test]
fn opening_call_has_a_fixed_seed_and_nothing_else() {
    let request = simulated_user_request(&simulated(json!({})), "sim", &[]);
    let again = simulated_user_request(&simulated(json!({})), "sim", &[]);
    assert_eq!(request, again);
    assert_eq!(request.messages.len(), 1);
    assert!(matches!(&request.messages[0], Message::User(seed) if !seed.is_empty()));
    assert_eq!(request.output.map(|output| output.name), Some(SIMULATED_USER.to_owned()));
}

#[test]
fn roles_are_swapped_and_tools_are_not_told() {
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
            said("Hi"),
            heard("One moment.\n\nMonday at nine?"),
            said("Fine"),
            heard("(no answer)"),
        ]
    );
    assert!(!format!("{request:?}").contains("SECRET"));
    assert!(!format!("{request:?}").contains("find_slot"));
}

#[test]
fn the_role_holds_persona_goal_and_facts() {
    let request = simulated_user_request(&simulated(json!({})), "sim", &[]);
    let role = read_simulated_prompt(&request.system);
    let expected = SimulatedRole {
        name: "Ada".to_owned(),
        goal: "an appointment before noon".to_owned(),
        facts: vec!["born 1980".to_owned(), "allergic to latex".to_owned()],
    };
    assert_eq!(role, Some(expected));
    assert!(request.system.contains("worried"));
    assert_eq!(read_simulated_prompt("You are a helpful assistant."), None);
}

#[rstest]
#[case(r#"{"message":"Hello","done":"no"}"#, "Hello", Done::No)]
#[case("```json\n{\"message\":\"Bye\",\"done\":\"goal_reached\"}\n```", "Bye", Done::GoalReached)]
#[case::silent_goodbye(r#"{"message":"","done":"gave_up"}"#, "", Done::GaveUp)]
#[case::nul("{\"message\":\"a\\u0000b\",\"done\":\"no\"}", "a\u{FFFD}b", Done::No)]
fn replies(#[case] raw: &str, #[case] message: &str, #[case] done: Done) {
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
fn unreadable_replies(#[case] raw: &str) {
    assert!(parse_simulated_user(raw).is_err());
}

#[test]
fn the_end_is_not_taken_before_the_agent_had_a_turn() {
    let before = transcript(vec![]);
    let after = transcript(vec![user("Hi"), says("Hello")]);
    for (done, end) in [
        (Done::No, None),
        (Done::GoalReached, Some(EndReason::GoalReached)),
        (Done::GaveUp, Some(EndReason::UserGaveUp)),
    ] {
        assert_eq!(done.end_reason(&before), None);
        assert_eq!(done.end_reason(&after), end);
    }
}

proptest! {
    #[test]
    fn the_role_is_read_back(goal in "(?s)x.{0,40}", facts in prop::collection::vec("y(?s).{0,30}z", 0..5)) {
        prop_assume!(!goal.contains('\0') && !facts.iter().any(|fact| fact.contains('\0')));
        let scenario = simulated(json!({"goal": goal, "known_facts": facts}));
        let request = simulated_user_request(&scenario, "sim", &[]);
        let role = read_simulated_prompt(&request.system).unwrap_or_default();
        prop_assert_eq!(role.goal, goal);
        prop_assert_eq!(role.facts, facts);
    }

    #[test]
    fn no_text_is_a_panic(raw in "(?s).{0,60}") {
        let _ = parse_simulated_user(&raw);
        let _ = read_simulated_prompt(&raw);
    }
}
