//! Conversations with deployed agents: sessions, crashes in the middle of a call, and what
//! their replies become.

use super::fixture::{Answer, Fixture, T0, connection, passing_reply, reply, scripted, space};
use clock::Clock;
use domain::{EndReason, ErrorKind, RunStatus, Speaker};
use llm::{CallError, ChatReply, ChatRequest, Decision, HttpCallKind, HttpReply};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::rows::RunRow;
use store::suites::SuiteStore;

/// The requests that the agent received: their kind, body and idempotency key.
type Log = Arc<Mutex<Vec<(HttpCallKind, Value, String)>>>;

/// What a deployed agent replies to its n-th message, from 1.
type Script = fn(usize) -> Result<ChatReply, CallError>;

fn answer(number: usize) -> Result<ChatReply, CallError> {
    let text = format!("Answer {number} from the helpful agent.");
    Ok(ChatReply { http: Some(Box::default()), ..reply(text)? })
}

/// An agent with a session of the server, changed by `parts`.
fn agent(parts: &Value) -> Value {
    let mut http = json!({
        "purpose": "Helps.",
        "request": {"path": "/chat", "body": {"session": "{{session_id}}", "text": "{{message}}"}},
        "session": {"mode": "server", "id": {"at": "/id"}, "start": {"path": "/sessions"}},
        "response": {"text": "/reply"},
    });
    for (key, value) in parts.as_object().into_iter().flatten() {
        match (&mut http[key], value) {
            (Value::Object(known), Value::Object(new)) => known.extend(new.clone()),
            (slot, value) => *slot = value.clone(),
        }
    }
    json!({"name": "A", "connection_id": connection(), "http": http})
}

/// A fixture with this agent, whose messages take 100 ms.
fn fixture(parts: &Value, script: Script) -> (Fixture, Log) {
    let log = Log::default();
    let received = log.clone();
    let fixture = Fixture::new(move |number, request: ChatRequest| -> Answer {
        let Some(call) = request.http.clone() else { return passing_reply(number, request) };
        let messages = {
            let mut log = received.lock();
            let body = call.request.body.clone().unwrap_or_default();
            log.push((call.kind, body, call.idempotency_key.clone()));
            log.iter().filter(|(kind, ..)| *kind == HttpCallKind::Message).count()
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match call.kind {
                HttpCallKind::Start => {
                    let session_id = Some("s-1".to_owned());
                    let http = HttpReply { session_id, ..HttpReply::default() };
                    Ok(ChatReply { http: Some(Box::new(http)), ..reply("Hello!")? })
                }
                HttpCallKind::Message => script(messages),
                HttpCallKind::End => Err(CallError::new(Decision::Retry, "no such session")),
            }
        })
    });
    *fixture.agent.lock() = Some(agent(parts));
    (fixture, log)
}

fn kinds(log: &Log) -> Vec<HttpCallKind> {
    log.lock().iter().map(|(kind, ..)| *kind).collect()
}

/// The texts of the messages that the agent received.
fn texts(log: &Log) -> Vec<String> {
    let messages =
        log.lock().clone().into_iter().filter(|(kind, ..)| *kind == HttpCallKind::Message);
    messages.map(|(_, body, _)| body["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Runs a script of two turns; the process crashes after this time.
async fn run_with_crash(f: &Fixture, crash_at: Duration) -> RunRow {
    let suite = f.suite(1, &[scripted(2)]).await;
    let first = f.start().await;
    tokio::time::sleep(crash_at).await;
    first.kill().await;
    let _second = f.start().await;
    f.finished(1, suite).await.remove(0)
}

#[tokio::test(start_paused = true)]
async fn session_is_started_once_and_belongs_to_every_message() {
    let (f, log) = fixture(&json!({}), answer);
    let run = f.run(scripted(2)).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    use HttpCallKind::{Message, Start};
    assert_eq!(kinds(&log), [Start, Message, Message]);
    for (kind, body, _) in log.lock().iter().filter(|(kind, ..)| *kind == Message) {
        assert_eq!(body["session"], "s-1", "{kind:?}");
    }
    assert_eq!(texts(&log), ["Question 0", "Question 1"]);
    assert_eq!(run.usage.agent.calls, 2, "a session is no answer");
    assert_eq!(run.unconfirmed_call, None);
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn session_id_is_stored_before_the_first_message() {
    let (f, log) = fixture(&json!({}), answer);
    // The start takes 100 ms, so the crash is in the first message.
    let run = run_with_crash(&f, Duration::from_millis(150)).await;
    assert_eq!(run.session_id.as_deref(), Some("s-1"));
    assert_eq!(kinds(&log).iter().filter(|kind| **kind == HttpCallKind::Start).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn client_session_keeps_its_id_through_a_crash() {
    let session = json!({"mode": "client", "id": null, "start": null});
    let (f, log) = fixture(&json!({"session": session, "idempotent": true}), answer);
    let run = run_with_crash(&f, Duration::from_millis(150)).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    let id = run.session_id.clone().expect("a session");
    assert!(
        log.lock().iter().all(|(_, body, _)| body["session"] == id.as_str()),
        "{:?}",
        log.lock()
    );
}

#[tokio::test(start_paused = true)]
async fn crash_in_a_call_never_sends_a_message_twice() {
    let mut outcomes = (0, 0);
    for cut in (1..=13).map(|n| Duration::from_millis(n * 50 - 25)) {
        let (f, log) = fixture(&json!({}), answer);
        let run = run_with_crash(&f, cut).await;
        let texts = texts(&log);
        let mut distinct = texts.clone();
        distinct.dedup();
        assert_eq!(texts, distinct, "cut at {cut:?}");
        match run.status {
            RunStatus::Passed => outcomes.0 += 1,
            RunStatus::Error => {
                let error = run.error.clone().expect("an error");
                assert_eq!(error.kind, ErrorKind::OutcomeUnknown, "{error:?}");
                assert!(error.retryable && error.message.contains("was not sent again"));
                outcomes.1 += 1;
            }
            other => panic!("{other:?} at {cut:?}"),
        }
    }
    assert_eq!(outcomes, (9, 4), "two messages of 100 ms are hit twice each");
}

#[tokio::test(start_paused = true)]
async fn idempotent_agent_gets_the_same_key_after_a_crash() {
    for cut in (1..=13).map(|n| Duration::from_millis(n * 50 - 25)) {
        let (f, log) = fixture(&json!({"idempotent": true}), answer);
        let run = run_with_crash(&f, cut).await;
        assert_eq!(run.status, RunStatus::Passed, "cut at {cut:?}: {:?}", run.error);
        let mut keys: Vec<(String, String)> = Vec::new();
        for (kind, body, key) in log.lock().iter() {
            if *kind == HttpCallKind::Message {
                keys.push((body["text"].to_string(), key.clone()));
            }
        }
        keys.dedup();
        assert_eq!(keys.len(), 2, "one key per message, cut at {cut:?}: {keys:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_in_a_refused_call_continues_later() {
    let refuse_first: Script = |number| match number {
        1 => {
            let until = Some(T0.plus(Duration::from_secs(60)));
            Err(CallError::new(Decision::Wait { until, overloaded: false }, "slow down"))
        }
        number => answer(number),
    };
    let (f, log) = fixture(&json!({}), refuse_first);
    let run = run_with_crash(&f, Duration::from_secs(10)).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!(texts(&log), ["Question 0", "Question 0", "Question 1"]);
}

#[tokio::test(start_paused = true)]
async fn agent_that_begins_greets_by_the_start_or_by_an_empty_message() {
    let greets = json!({"begins": "agent", "session": {"greeting": "/hello"}});
    let (f, log) = fixture(&greets, answer);
    let run = f.run(scripted(1)).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    let greeted = ["Hello!", "Question 0", "Answer 1 from the helpful agent."];
    assert_eq!(f.messages(run.id).await, greeted);
    assert_eq!(texts(&log), ["Question 0"]);

    let (f, log) = fixture(&json!({"begins": "agent"}), answer);
    let run = f.run(scripted(1)).await;
    let begun =
        ["Answer 1 from the helpful agent.", "Question 0", "Answer 2 from the helpful agent."];
    assert_eq!(f.messages(run.id).await, begun);
    assert_eq!(texts(&log), ["", "Question 0"]);
}

#[tokio::test(start_paused = true)]
async fn tool_calls_become_turns_and_the_agent_may_end_the_conversation() {
    let ending: Script = |number| {
        let reply = answer(number)?;
        let call = |name: &str, arguments| domain::ToolCall {
            id: format!("call-{name}"),
            name: name.to_owned(),
            arguments,
        };
        let tool_results = vec![Some("{\"ok\":true}".to_owned()), None];
        let http = HttpReply { tool_results, ended: true, session_id: None };
        let tool_calls = vec![call("book", json!({"day": 2})), call("mail", json!({}))];
        Ok(ChatReply { tool_calls, http: Some(Box::new(http)), ..reply })
    };
    let tools = json!({"tools": "in_response",
        "response": {"tool_calls": {"list": "/calls", "name": "/name"}, "end": "/end"}});
    let (f, log) = fixture(&tools, ending);
    let mut scenario = scripted(3);
    scenario["success_criteria"] = json!({"must_call_tools": ["book"]});
    let run = f.run(scenario).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!(run.end_reason, Some(EndReason::AgentEnded));
    assert_eq!(texts(&log), ["Question 0"], "the agent ended the conversation");
    let turns = f.transcript(run.id).await;
    let speakers: Vec<_> = turns.iter().map(|turn| turn.speaker).collect();
    use Speaker::{Agent, Tool, User};
    assert_eq!(speakers, [User, Agent, Tool, Tool, Agent, Tool]);
    assert_eq!(turns[2].message, "{\"ok\":true}");
    assert!(turns[3].message.contains("does not contain the result"), "{}", turns[3].message);
}

#[tokio::test(start_paused = true)]
async fn session_is_ended_once_and_a_failure_does_not_matter() {
    let (f, log) = fixture(&json!({"session": {"end": {"path": "/end"}}}), answer);
    let run = f.run(scripted(1)).await;
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    let ends = kinds(&log).iter().filter(|kind| **kind == HttpCallKind::End).count();
    assert!((1..=4).contains(&ends), "{ends}");
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn cancelled_run_sends_nothing_more() {
    let (f, log) = fixture(&json!({}), answer);
    let suite = f.suite(1, &[scripted(5)]).await;
    let engine = f.start().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let now = f.clock.now();
    let outcome = f.queue.cancel_suite(space(1), suite, now).await.unwrap().unwrap();
    engine.cancel(&outcome.leased_runs);
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(texts(&log), ["Question 0"]);
}
