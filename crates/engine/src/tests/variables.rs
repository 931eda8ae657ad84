//! Variables and secrets of test profiles, and agents that speak first.

use super::fixture::{Answer, Fixture, T0, connection, passing_reply, reply, scripted};
use clock::Clock;
use domain::{ErrorKind, FinishReason, ProfileId, ProfileRef, RunStatus, Speaker, ToolCall};
use llm::{CallError, ChatReply, ChatRequest, Decision, HttpReply, Message};
use mock_provider::judge_reply;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::suites::{NewSuite, SuiteStore};
use uuid::Uuid;

const PIN: &str = "47\"11";

/// Stores a profile with a public variable and a secret one.
fn with_profile(f: &Fixture) -> impl FnOnce(&mut NewSuite) + use<> {
    let id = ProfileId(Uuid::from_u128(77));
    let document = json!({"name": "Lena", "description": "", "time_zone": "Europe/Berlin",
        "variables": [{"name": "customer.name", "value": "Lena {{today}}", "is_set": true},
            {"name": "pin", "secret": true, "value": null, "is_set": true}]});
    let secrets = json!({"pin": PIN}).to_string().into_bytes();
    f.revisions.put_profile(id, document, Some(secrets));
    move |suite| suite.profile = Some(ProfileRef { id, revision: 1, name: "Lena".into() })
}

fn prompt_agent(prompt: &str) -> Value {
    json!({"name": "A", "system_prompt": prompt, "connection_id": connection(), "model": "m",
        "tools": [{"name": "check", "description": "Checks {{customer.name}}", "parameters":
            {"type": "object", "properties": {"pin": {"type": "string", "maxLength": 5}}}}]})
}

type Requests = Arc<Mutex<Vec<ChatRequest>>>;

/// A fixture that keeps the requests.
fn recording(
    script: impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static,
) -> (Fixture, Requests) {
    let requests = Requests::default();
    let kept = requests.clone();
    let f = Fixture::new(move |number, request: ChatRequest| {
        kept.lock().push(request.clone());
        script(number, request)
    });
    (f, requests)
}

fn user_texts(request: &ChatRequest) -> Vec<String> {
    let texts = request.messages.iter().filter_map(|message| match message {
        Message::User(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

#[tokio::test(start_paused = true)]
async fn variables_are_filled_in_once_and_stay_the_same_after_a_crash() {
    let (f, requests) = recording(passing_reply);
    *f.agent.lock() = Some(prompt_agent("It is {{now}}. \\{{x}}"));
    let mut scenario = scripted(2);
    scenario["conversation_flow"][0]["message"] = "I am {{customer.name}}.".into();
    let suite = f.suite_with(1, &[scenario], with_profile(&f)).await;
    let first = f.start().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    first.kill().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let _second = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    for request in requests.lock().iter().filter(|request| request.output.is_none()) {
        assert_eq!(request.system, "It is 2023-11-14T23:13:20+01:00. {{x}}");
        assert_eq!(user_texts(request)[0], "I am Lena {{today}}.");
    }
    assert!(f.clock.now() > T0.plus(Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_sent_to_the_agent_and_neither_stored_nor_judged() {
    let (f, requests) = recording(|number, request| {
        Box::pin(async move {
            match (&request.output, number) {
                (None, 0) => Ok(ChatReply {
                    tool_calls: vec![ToolCall {
                        id: "1".into(),
                        name: "check".into(),
                        arguments: json!({"pin": PIN}),
                    }],
                    finish: FinishReason::ToolCalls,
                    ..reply(format!("Your PIN is {PIN}."))?
                }),
                (None, _) => reply("Thanks from the helpful agent. [secret pin]"),
                (Some(_), _) => reply(judge_reply(true, "Your PIN is [secret pin]").to_string()),
            }
        })
    });
    *f.agent.lock() = Some(prompt_agent("The PIN is {{pin}}."));
    let mut scenario = scripted(1);
    scenario["conversation_flow"][0]["message"] = "My PIN is {{pin}}.".into();
    scenario["tool_mocks"] = json!([{"tool": "check", "when": {"pin": "{{pin}}"},
        "result": {"seen": ["{{pin}}"]}}]);
    scenario["success_criteria"] = json!({"must_include": ["PIN is {{pin}}"]});
    let suite = f.suite_with(1, &[scenario], with_profile(&f)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    let expected = [
        "My PIN is [secret pin].",
        "Your PIN is [secret pin].",
        r#"{"seen":["[secret pin]"]}"#,
        "Thanks from the helpful agent. (secret pin)",
    ];
    let turns = f.transcript(run.id).await;
    let messages: Vec<_> = turns.iter().map(|turn| turn.message.as_str()).collect();
    assert_eq!(messages, expected);
    assert_eq!(turns[1].tool_calls[0].arguments, json!({"pin": "[secret pin]"}));
    let requests = requests.lock().clone();
    let (agent, judge) = requests.split_at(2);
    assert_eq!(agent[0].system, format!("The PIN is {PIN}."));
    assert_eq!(user_texts(&agent[1]), [format!("My PIN is {PIN}.")]);
    let Some(Message::Tool { content, .. }) = agent[1].messages.last() else { panic!("a result") };
    assert_eq!(*content, json!({"seen": [PIN]}).to_string());
    let judge = format!("{judge:?}");
    assert!(judge.contains("[secret pin]") && !judge.contains("47"), "{judge}");
    let stored = f.queue.evaluations(run.id).await.expect("reads");
    assert!(!format!("{run:?} {turns:?} {stored:?}").contains("47"));
}

#[tokio::test(start_paused = true)]
async fn secret_in_the_words_of_a_provider_is_not_stored() {
    let f = Fixture::new(|_, _| {
        let decision = Decision::GiveUp(ErrorKind::ProviderRejected);
        Box::pin(async move { Err(CallError::new(decision, format!("Bad text: {PIN}."))) })
    });
    let mut scenario = scripted(1);
    scenario["conversation_flow"][0]["message"] = "My PIN is {{pin}}.".into();
    let suite = f.suite_with(1, &[scenario], with_profile(&f)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().expect("an error").message, "Bad text: [secret pin].");
}

#[tokio::test(start_paused = true)]
async fn simulated_user_knows_secrets_and_its_words_are_stored_without_them() {
    let (f, requests) = recording(|number, request| {
        let name = request.output.as_ref().map(|output| output.name.clone());
        match name.as_deref() {
            Some("simulated_user") => Box::pin(async move {
                let done = if number == 0 { "no" } else { "goal_reached" };
                reply(json!({"message": format!("It is {PIN}."), "done": done}).to_string())
            }),
            _ => passing_reply(number, request),
        }
    });
    let scenario = json!({"name": "S", "category": "support", "mode": "simulated",
        "goal": "Say {{customer.name}}.", "known_facts": ["PIN: {{pin}}"],
        "expected_behaviors": ["is helpful"]});
    let suite = f.suite_with(1, &[scenario], with_profile(&f)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    assert_eq!(f.messages(run.id).await[0], "It is [secret pin].");
    let requests = requests.lock().clone();
    assert!(requests[0].system.contains(&format!("PIN: {PIN}")), "{}", requests[0].system);
    assert!(requests[0].system.contains("Say Lena {{today}}."));
    assert_eq!(user_texts(&requests[1]), [format!("It is {PIN}.")], "the agent hears it");
}

#[tokio::test(start_paused = true)]
async fn deployed_agent_gets_values_in_its_templates() {
    let (f, requests) = recording(|number, request| {
        if request.http.is_none() {
            return passing_reply(number, request);
        }
        Box::pin(async move {
            let http = HttpReply { tool_results: vec![Some(PIN.into())], ..HttpReply::default() };
            let call = ToolCall { id: "1".into(), name: "t".into(), arguments: json!({}) };
            let reply = reply("Noted from the helpful agent.")?;
            Ok(ChatReply { http: Some(Box::new(http)), tool_calls: vec![call], ..reply })
        })
    });
    *f.agent.lock() = Some(json!({"name": "A", "connection_id": connection(), "http": {
        "purpose": "Helps {{customer.name}}.", "tools": "in_response",
        "request": {"path": "/{{pin}}", "body": {"all": "{{messages}}", "facts": "{{facts}}",
            "who": "{{customer.name}}", "on": "{{today}}"}},
        "response": {"text": "/reply", "tool_calls": {"list": "/c", "name": "/n"}}}}));
    let mut scenario = scripted(1);
    scenario["conversation_flow"][0]["message"] = "PIN {{pin}}".into();
    scenario["known_facts"] = json!(["{{pin}}"]);
    let suite = f.suite_with(1, &[scenario], with_profile(&f)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    let requests = requests.lock().clone();
    let call = &requests[0].http.as_ref().expect("a call").request;
    assert_eq!(call.path, "/47%2211");
    assert_eq!(
        call.body,
        Some(json!({"all": [{"role": "user", "content": format!("PIN {PIN}")}],
        "facts": [PIN], "who": "Lena {{today}}", "on": "2023-11-14"}))
    );
    let messages = f.messages(run.id).await;
    assert_eq!((messages[0].as_str(), messages[2].as_str()), ("PIN [secret pin]", "[secret pin]"));
    assert!(format!("{:?}", requests[1]).contains("Helps Lena {{today}}."), "to the judge");
}

#[tokio::test(start_paused = true)]
async fn rejudge_reads_the_values_of_the_suite() {
    let (f, requests) = recording(passing_reply);
    let mut scenario = scripted(1);
    scenario["expected_behaviors"] = json!(["Greets {{customer.name}} on {{today}}"]);
    let suite = f.suite_with(1, &[scenario], with_profile(&f)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    let before = requests.lock().len();
    let id = f.rejudge(&run).await;
    while f.evaluation(&run, id).await.evaluation.finished_at.is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let judge = format!("{:?}", requests.lock()[before]);
    assert!(judge.contains("Greets Lena {{today}} on 2023-11-14"), "{judge}");
}

#[tokio::test(start_paused = true)]
async fn suite_of_an_older_version_uses_its_texts_as_they_are() {
    let f = Fixture::new(passing_reply);
    let mut scenario = scripted(1);
    scenario["conversation_flow"][0]["message"] = "{{today}} \\{{x}} {{#if}}".into();
    let suite = f.suite_with(1, &[scenario], |suite| suite.variables_at = None).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed);
    assert_eq!(f.messages(run.id).await[0], "{{today}} \\{{x}} {{#if}}");
}

#[tokio::test(start_paused = true)]
async fn variable_without_a_value_ends_the_run_before_any_call() {
    let f = Fixture::new(passing_reply);
    let mut scenario = scripted(1);
    scenario["conversation_flow"][0]["message"] = "{{customer.name}}".into();
    let run = f.run(scenario).await;
    let error = run.error.as_ref().expect("an error");
    assert_eq!(error.kind, ErrorKind::InvalidScenario);
    let place = "conversation_flow[0].message: uses {{customer.name}}, but no test profile";
    assert!(error.message.contains(place), "{}", error.message);
    assert!(f.received_calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn agent_that_begins_says_its_message_without_a_call() {
    let (f, requests) = recording(passing_reply);
    let mut agent = prompt_agent("Help.");
    agent["begin_message"] = "Hello on {{today}}!".into();
    *f.agent.lock() = Some(agent);
    let suite = f.suite_with(1, &[scripted(1)], with_profile(&f)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Passed, "{:?}", run.error);
    let turns = f.transcript(run.id).await;
    assert_eq!(
        (turns[0].speaker, turns[0].message.as_str()),
        (Speaker::Agent, "Hello on 2023-11-14!")
    );
    assert_eq!(
        (turns.len(), turns[1].message.as_str(), turns[0].latency_ms),
        (3, "Question 0", None)
    );
    assert_eq!(run.usage.agent.calls, 1, "the first message costs no call");
    let requests = requests.lock().clone();
    assert!(matches!(&requests[0].messages[0], Message::User(_)), "providers expect a user first");
    assert_eq!(requests[0].messages[1], Message::assistant("Hello on 2023-11-14!"));
}
