//! Chats with an agent.

use super::{agent, fixture};
use domain::services::{AgentChatService, AgentService, Caller};
use domain::{AgentId, ErrorKind, Speaker, ToolCall, Turn, limits};
use llm::testing::reply;
use llm::{CallError, ChatReply, Decision};
use serde_json::json;

fn says(text: &str) -> Result<ChatReply, CallError> {
    Ok(ChatReply { text: text.to_owned(), ..reply(1, 1) })
}

fn calls(tool: &str) -> Result<ChatReply, CallError> {
    let (id, name) = ("c1".to_owned(), tool.to_owned());
    let tool_calls = vec![ToolCall { id, name, arguments: json!({}) }];
    Ok(ChatReply { text: String::new(), tool_calls, ..reply(1, 1) })
}

fn fails() -> Result<ChatReply, CallError> {
    let decision = Decision::GiveUp(ErrorKind::ProviderRejected);
    Err(CallError::new(decision, "The provider answered 400."))
}

/// An agent of Anna with the tool `find`.
async fn agent_with_tool(fixture: &super::Fixture, owner: &Caller) -> AgentId {
    let mut draft = agent("Desk", fixture.server_wide);
    draft.0["tools"] = json!([{"name": "find", "parameters": {"type": "object"}}]);
    fixture.catalog.create_agent(owner, &draft).await.unwrap().id
}

fn speakers(turns: &[Turn]) -> Vec<Speaker> {
    turns.iter().map(|turn| turn.speaker).collect()
}

#[tokio::test]
async fn agent_answers_and_its_tools_are_simulated() {
    use Speaker::{Agent, Tool, User};
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent_with_tool(&fixture, anna).await;
    fixture.provider_access.reply_with([
        calls("find"),
        says(r#"{"result": "Monday"}"#),
        says("Monday is free."),
        says("Goodbye."),
    ]);
    let chat = it.answer(anna, id, Vec::new(), " When? ", None).await.unwrap();
    assert_eq!(speakers(&chat.turns), [User, Agent, Tool, Agent]);
    let texts: Vec<_> = chat.turns.iter().map(|turn| turn.message.as_str()).collect();
    assert_eq!(texts, ["When?", "", "Monday", "Monday is free."]);
    assert_eq!(chat.turns.iter().map(|turn| turn.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((chat.error, chat.ended), (None, false));
    let chat = it.answer(anna, id, chat.turns, "Thanks", None).await.unwrap();
    assert_eq!(chat.turns.len(), 6);
}

#[tokio::test]
async fn failed_answer_keeps_what_was_said_and_can_be_continued() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent_with_tool(&fixture, anna).await;
    fixture.provider_access.reply_with([
        calls("find"),
        says(r#"{"result": "Monday"}"#),
        fails(),
        says("Monday is free."),
    ]);
    let chat = it.answer(anna, id, Vec::new(), "When?", None).await.unwrap();
    assert_eq!(chat.error.as_deref(), Some("The provider answered 400."));
    assert_eq!(chat.turns.len(), 3);
    let chat = it.answer(anna, id, chat.turns, "", None).await.unwrap();
    assert_eq!((chat.error, chat.turns.len()), (None, 4));
}

#[tokio::test]
async fn chat_ends_when_the_agent_hangs_up_or_it_is_too_long() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent_with_tool(&fixture, anna).await;
    fixture.provider_access.reply_with([calls("end_conversation")]);
    let chat = it.answer(anna, id, Vec::new(), "Bye", None).await.unwrap();
    assert!(chat.ended);
    let error = it.answer(anna, id, chat.turns, "Still there?", None).await.unwrap_err();
    assert!(error.detail.contains("has ended"), "{error}");
    let both =
        [Speaker::User, Speaker::Agent].map(|one| Turn::text(one, "x", domain::Timestamp(0)));
    let long: Vec<_> = vec![both; limits::CHAT_TURNS as usize].concat();
    let error = it.answer(anna, id, long, "more", None).await.unwrap_err();
    assert!(error.detail.contains("has ended"), "{error}");
}

#[tokio::test]
async fn chat_is_refused_without_message_and_for_other_users() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent_with_tool(&fixture, anna).await;
    let blank = it.answer(anna, id, Vec::new(), " \n", None).await.unwrap_err();
    assert_eq!(blank.problems[0].path, "message");
    let long = "x".repeat(limits::MESSAGE + 1);
    let long = it.answer(anna, id, Vec::new(), &long, None).await.unwrap_err();
    assert_eq!(long.problems[0].path, "message");
    let foreign = it.answer(&fixture.ben, id, Vec::new(), "Hello", None).await.unwrap_err();
    assert_eq!(foreign.code.status(), 404);
}

#[tokio::test]
async fn agent_that_begins_has_said_its_first_message() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let mut draft = agent("Desk", fixture.server_wide);
    draft.0["begin_message"] = "Good day on {{today}}!".into();
    let id = it.create_agent(anna, &draft).await.unwrap().id;
    fixture.provider_access.reply_with([says("Yes."), says("Bye.")]);
    let chat = it.answer(anna, id, Vec::new(), "Open?", None).await.unwrap();
    assert_eq!(speakers(&chat.turns), [Speaker::Agent, Speaker::User, Speaker::Agent]);
    let first = &chat.turns[0].message;
    assert!(first.starts_with("Good day on 20") && !first.contains('{'), "{first}");
    let chat = it.answer(anna, id, chat.turns, "Thanks", None).await.unwrap();
    assert_eq!(chat.turns.len(), 5, "it is said once");
}

#[tokio::test]
async fn variable_that_needs_a_test_profile_is_reported() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let mut draft = agent("Desk", fixture.server_wide);
    draft.0["system_prompt"] = "Help {{customer.name}}.".into();
    let id = it.create_agent(anna, &draft).await.unwrap().id;
    let error = it.answer(anna, id, Vec::new(), "Hello", None).await.unwrap_err();
    assert_eq!((error.code.status(), error.problems[0].path.as_str()), (422, "system_prompt"));
    assert!(error.problems[0].message.starts_with("uses {{customer.name}}"), "{error:?}");
}

#[tokio::test]
async fn one_answer_at_a_time_per_user() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent_with_tool(&fixture, anna).await;
    let theirs = agent_with_tool(&fixture, &fixture.ben).await;
    // Without a scripted reply, the call waits until it is dropped.
    let waiting = it.answer(anna, id, Vec::new(), "Hello", None);
    tokio::pin!(waiting);
    let access = &fixture.provider_access;
    tokio::select! {
        _ = &mut waiting => panic!("there is no reply"),
        () = access.call_began.notified() => {}
    }
    let second = it.answer(anna, id, Vec::new(), "Hello?", None).await.unwrap_err();
    assert_eq!(second.code.status(), 409);
    access.reply_with([says("Hi Ben.")]);
    assert!(it.answer(&fixture.ben, theirs, Vec::new(), "Hello", None).await.is_ok());
}
