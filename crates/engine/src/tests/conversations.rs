//! The turns of conversations, and when they are stored.

use super::fixture::{Answer, Fixture, passing_reply, reply, scripted};
use domain::{ErrorKind, FinishReason, RunStatus, Speaker, TokenParts, ToolCall};
use llm::ChatRequest;
use mock_provider::judge_reply;
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn scripted_run_is_judged_and_passes() {
    let f = Fixture::new(passing_reply);
    let run = f.run(scripted(3)).await;
    assert_eq!((run.status, run.score), (RunStatus::Passed, Some(100.0)));
    let messages = f.messages(run.id).await;
    assert_eq!(messages.len(), 6);
    assert_eq!((messages[0].as_str(), messages[4].as_str()), ("Question 0", "Question 2"));
    assert_eq!((run.usage.agent.calls, run.usage.judge.calls), (3, 1));
    let agent = &f.transcript(run.id).await[1];
    assert_eq!((agent.latency_ms, agent.finish), (Some(100), Some(FinishReason::Stop)));
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn finish_reason_is_stored_with_turn() {
    let endings = [FinishReason::Length, FinishReason::Refusal, FinishReason::ContentFilter];
    let f = Fixture::new(move |number, request| {
        Box::pin(async move {
            let reply = passing_reply(number, request).await?;
            let finish = endings.get(number).copied().unwrap_or(reply.finish);
            Ok(llm::ChatReply { finish, ..reply })
        })
    });
    let run = f.run(scripted(4)).await;
    let stored: Vec<_> = f.transcript(run.id).await.iter().filter_map(|turn| turn.finish).collect();
    assert_eq!(
        stored,
        [
            FinishReason::Length,
            FinishReason::Refusal,
            FinishReason::ContentFilter,
            FinishReason::Stop
        ]
    );
    assert_eq!(run.status, RunStatus::Passed, "none of them is an error");
}

#[tokio::test(start_paused = true)]
async fn each_turn_is_stored_before_the_next_call() {
    let f = Arc::new(Fixture::new(passing_reply));
    let suite = f.suite(1, &[scripted(5)]).await;
    let run = f.runs(1, suite).await.remove(0).id;
    let fixture = f.clone();
    f.set_script(move |number, request| {
        let f = fixture.clone();
        Box::pin(async move {
            let stored = f.transcript(run).await;
            assert_eq!(
                stored.len(),
                request.messages.len().max(stored.len()),
                "only stored turns are sent"
            );
            if request.output.is_none() {
                assert_eq!(
                    stored.len(),
                    number * 2 + 1,
                    "the user's turn and all before are stored"
                );
                assert_eq!(request.messages.len(), stored.len());
            } else {
                assert_eq!(stored.len(), 10, "the transcript is stored before it is judged");
            }
            passing_reply(number, request).await
        })
    });
    let _engine = f.start().await;
    assert_eq!(f.finished(1, suite).await[0].status, RunStatus::Passed);
}

#[tokio::test(start_paused = true)]
async fn agent_turn_and_next_user_turn_share_a_commit() {
    let f = Fixture::new(passing_reply);
    let run = f.run(scripted(2)).await;
    let turns = f.transcript(run.id).await;
    assert_eq!(turns[1].at, turns[2].at);
}

#[tokio::test(start_paused = true)]
async fn mocks_answer_tool_calls() {
    let f = Fixture::new(|number, request| {
        Box::pin(async move {
            if request.output.is_some() {
                return reply(judge_reply(true, "x").to_string());
            }
            let call = |id: &str, name: &str, arguments| ToolCall {
                id: id.into(),
                name: name.into(),
                arguments,
            };
            let mut answer = reply("")?;
            answer.tool_calls = match number {
                0 => vec![call("a", "look", json!({"at": "moon"})), call("b", "look", json!({}))],
                1 => vec![
                    call("c", "look", json!({"at": "sun"})),
                    call("d", "end_conversation", json!({})),
                ],
                _ => panic!("a call after the agent ended the conversation"),
            };
            Ok(answer)
        })
    });
    let mut scenario = scripted(3);
    scenario["tool_mocks"] =
        json!([{"tool": "look", "when": {"at": "moon"}, "result": {"seen": "craters"}}]);
    let run = f.run(scenario).await;
    let turns = f.transcript(run.id).await;
    let tools: Vec<_> = turns.iter().filter_map(|turn| turn.tool.clone()).collect();
    let marks: Vec<_> = tools.iter().map(|t| (t.call_id.as_str(), t.is_error, t.mocked)).collect();
    assert_eq!(
        marks,
        [("a", false, true), ("b", true, true), ("c", true, false), ("d", false, true)]
    );
    assert!(turns[2].message.contains("craters"));
    assert_eq!(run.end_reason, Some(domain::EndReason::AgentEnded));
}

/// A scenario with a simulated user.
fn simulated() -> Value {
    json!({"name": "S", "category": "support", "mode": "simulated",
        "goal": "to know", "opening_line": "Hello", "expected_behaviors": ["answers"]})
}

/// Replies to each role. The simulated user replies `otherwise` until its goal is reached.
fn simulated_reply(request: ChatRequest, reached: bool, otherwise: String) -> Answer {
    let text = match request.output.as_ref().map(|output| output.name.as_str()) {
        None => "The agent answers at length.".to_owned(),
        Some(conversation::SIMULATED_USER_SCHEMA) if reached => {
            json!({"message": "Thank you!", "done": "goal_reached"}).to_string()
        }
        Some(conversation::SIMULATED_USER_SCHEMA) => otherwise,
        Some(_) => judge_reply(true, "The agent answers at length").to_string(),
    };
    Box::pin(async move { reply(text) })
}

#[tokio::test(start_paused = true)]
async fn simulated_user_reaches_goal() {
    let f = Fixture::new(|number, request| {
        simulated_reply(
            request,
            number >= 4,
            json!({"message": "And then?", "done": "no"}).to_string(),
        )
    });
    let run = f.run(simulated()).await;
    assert_eq!(f.messages(run.id).await.last().map(String::as_str), Some("Thank you!"));
    assert_eq!(run.end_reason, Some(domain::EndReason::GoalReached));
    assert_eq!(run.usage.simulated_user.calls, 3);
    let speakers: Vec<_> = f.transcript(run.id).await.iter().map(|turn| turn.speaker).collect();
    assert_eq!(speakers[..3], [Speaker::User, Speaker::Agent, Speaker::User]);
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn unreadable_simulated_user_reply_is_requested_again_with_own_intent() {
    let f = Fixture::new(|number, request| {
        simulated_reply(request, number >= 3, "I am not JSON".to_owned())
    });
    let run = f.run(simulated()).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!(run.usage.simulated_user.calls, 3, "unreadable replies count too");
    let calls = f.received_calls();
    let ids: std::collections::HashSet<_> = calls.iter().map(|call| &call.call_id).collect();
    assert_eq!(ids.len(), calls.len(), "each call has its own intent");
    f.assert_every_call_has_an_intent();
}

#[rstest]
#[case::unreadable(FinishReason::Stop, ErrorKind::ProviderRejected, 3)]
#[case::cut_off(FinishReason::Length, ErrorKind::Truncated, 2)]
#[tokio::test(start_paused = true)]
async fn unusable_replies_of_the_simulated_user_end_as_an_error_with_the_last_one(
    #[case] finish: FinishReason,
    #[case] kind: ErrorKind,
    #[case] calls: u32,
) {
    let f = Fixture::new(move |number, _| {
        let text = format!("I am not JSON: {number} {}", "x".repeat(5000));
        Box::pin(async move { Ok(llm::ChatReply { finish, ..reply(text)? }) })
    });
    let run = f.run(simulated()).await;
    let error = run.error.as_ref().expect("an error");
    assert_eq!((error.kind, run.usage.simulated_user.calls), (kind, calls));
    let last = format!("It replied: I am not JSON: {calls} xxx");
    assert!(error.message.contains(&last) && error.message.len() < 1500, "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn reasoning_state_of_a_turn_is_sent_back_and_its_token_parts_are_counted() {
    let f = Fixture::new(|number, request| {
        Box::pin(async move {
            let state = json!({"openai": {"reply": number}});
            if number == 1 {
                let sent = request.messages.iter().find_map(|message| match message {
                    llm::Message::Assistant { provider_state, .. } => provider_state.clone(),
                    _ => None,
                });
                assert_eq!(sent, Some(json!({"openai": {"reply": 0}})));
            }
            let cached = request.cache_key.is_some();
            assert_eq!(cached, request.output.is_none(), "only the agent's prompt repeats");
            let parts = TokenParts { cached_input_tokens: 7, ..TokenParts::default() };
            let reply = passing_reply(number, request).await?;
            Ok(llm::ChatReply { provider_state: Some(state), token_parts: parts, ..reply })
        })
    });
    let run = f.run(scripted(2)).await;
    assert_eq!(run.status, RunStatus::Passed);
    assert_eq!(run.usage.agent.token_parts.cached_input_tokens, 14);
    assert_eq!(run.usage.judge.token_parts.cached_input_tokens, 7);
}
