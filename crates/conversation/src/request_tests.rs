use super::agent_request;
use super::fixtures::{agent, answers, calls, says, transcript, user};
use llm_types::Message;
use serde_json::json;

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
