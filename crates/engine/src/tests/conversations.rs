//! What is said, and that it is stored before anything else happens.

use super::bench::{Bench, obliging, reply, scripted};
use domain::{FinishReason, RunStatus, Speaker, ToolCall};
use mock_provider::judge_reply;
use serde_json::json;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn scripted_run_is_judged_and_passes() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(3)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!((run.status, run.score), (RunStatus::Passed, Some(100.0)));
    let said = b.said(run.id).await;
    assert_eq!(said.len(), 6);
    assert_eq!((said[0].as_str(), said[4].as_str()), ("Question 0", "Question 2"));
    assert_eq!((run.usage.agent.calls, run.usage.judge.calls), (3, 1));
    let agent = &b.transcript(run.id).await[1];
    assert_eq!((agent.latency_ms, agent.finish), (Some(100), Some(FinishReason::Stop)));
    b.every_call_was_noted();
}

#[tokio::test(start_paused = true)]
async fn finish_reason_is_stored_with_turn() {
    let endings = [FinishReason::Length, FinishReason::Refusal, FinishReason::ContentFilter];
    let b = Bench::new(move |number, request| {
        Box::pin(async move {
            let reply = obliging(number, request).await?;
            let finish = endings.get(number).copied().unwrap_or(reply.finish);
            Ok(llm::ChatReply { finish, ..reply })
        })
    });
    let suite = b.suite(1, &[scripted(4)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    let stored: Vec<_> = b.transcript(run.id).await.iter().filter_map(|turn| turn.finish).collect();
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
    let b = Arc::new(Bench::new(obliging));
    let suite = b.suite(1, &[scripted(5)]).await;
    let run = b.runs(1, suite).await.remove(0).id;
    let looks = b.clone();
    b.answers(move |number, request| {
        let b = looks.clone();
        Box::pin(async move {
            let stored = b.transcript(run).await;
            assert_eq!(
                stored.len(),
                request.messages.len().max(stored.len()),
                "nothing unsaved is sent"
            );
            if request.output.is_none() {
                assert_eq!(
                    stored.len(),
                    number * 2 + 1,
                    "the user's turn and all before are stored"
                );
                assert_eq!(request.messages.len(), stored.len());
            } else {
                assert_eq!(stored.len(), 10, "the transcript stands before it is judged");
            }
            obliging(number, request).await
        })
    });
    let _engine = b.engine().await;
    assert_eq!(b.finished(1, suite).await[0].status, RunStatus::Passed);
}

#[tokio::test(start_paused = true)]
async fn agent_turn_and_next_user_turn_share_a_commit() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(2)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    let turns = b.transcript(run.id).await;
    assert_eq!(turns[1].at, turns[2].at);
}

#[tokio::test(start_paused = true)]
async fn mocks_answer_tool_calls() {
    let b = Bench::new(|number, request| {
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
                _ => panic!("nobody calls after the agent hung up"),
            };
            Ok(answer)
        })
    });
    let mut scenario = scripted(3);
    scenario["tool_mocks"] =
        json!([{"tool": "look", "when": {"at": "moon"}, "result": {"seen": "craters"}}]);
    let suite = b.suite(1, &[scenario]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    let turns = b.transcript(run.id).await;
    let tools: Vec<_> = turns.iter().filter_map(|turn| turn.tool.clone()).collect();
    let marks: Vec<_> = tools.iter().map(|t| (t.call_id.as_str(), t.is_error, t.mocked)).collect();
    assert_eq!(
        marks,
        [("a", false, true), ("b", true, true), ("c", true, false), ("d", false, true)]
    );
    assert!(turns[2].message.contains("craters"));
    assert_eq!(run.end_reason, Some(domain::EndReason::AgentEnded));
}

#[tokio::test(start_paused = true)]
async fn simulated_user_reaches_goal() {
    let b = Bench::new(|number, request| {
        Box::pin(async move {
            match request.output.as_ref().map(|output| output.name.as_str()) {
                None => reply("The agent answers at length."),
                Some(conversation::SIMULATED_USER_SCHEMA) if number < 4 => {
                    reply(json!({"message": "And then?", "done": "no"}).to_string())
                }
                Some(conversation::SIMULATED_USER_SCHEMA) => {
                    reply(json!({"message": "Thank you!", "done": "goal_reached"}).to_string())
                }
                Some(_) => reply(judge_reply(true, "The agent answers at length").to_string()),
            }
        })
    });
    let scenario = json!({"name": "S", "category": "support", "mode": "simulated",
        "goal": "to know", "opening_line": "Hello", "expected_behaviors": ["answers"]});
    let suite = b.suite(1, &[scenario]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(b.said(run.id).await.last().map(String::as_str), Some("Thank you!"));
    assert_eq!(run.end_reason, Some(domain::EndReason::GoalReached));
    assert_eq!(run.usage.simulated_user.calls, 3);
    let speakers: Vec<_> = b.transcript(run.id).await.iter().map(|turn| turn.speaker).collect();
    assert_eq!(speakers[..3], [Speaker::User, Speaker::Agent, Speaker::User]);
    b.every_call_was_noted();
}

#[tokio::test(start_paused = true)]
async fn unreadable_simulated_user_reply_is_requested_again_with_own_intent() {
    let b = Bench::new(|number, request| {
        Box::pin(async move {
            match request.output.as_ref().map(|output| output.name.as_str()) {
                None => reply("The agent answers at length."),
                Some(conversation::SIMULATED_USER_SCHEMA) if number < 3 => reply("I am not JSON"),
                Some(conversation::SIMULATED_USER_SCHEMA) => {
                    reply(json!({"message": "Thank you!", "done": "goal_reached"}).to_string())
                }
                Some(_) => reply(judge_reply(true, "The agent answers at length").to_string()),
            }
        })
    });
    let scenario = json!({"name": "S", "category": "support", "mode": "simulated",
        "goal": "to know", "opening_line": "Hello", "expected_behaviors": ["answers"]});
    let suite = b.suite(1, &[scenario]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!(run.usage.simulated_user.calls, 3, "what was not understood was paid for too");
    let seen = b.seen();
    let ids: std::collections::HashSet<_> = seen.iter().map(|seen| &seen.call_id).collect();
    assert_eq!(ids.len(), seen.len(), "each question has its own note");
    b.every_call_was_noted();
}
