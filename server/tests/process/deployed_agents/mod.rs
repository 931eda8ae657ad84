//! Conversations with deployed agents of three styles through the whole product: the agent
//! is killed in mid-conversation, and so is Rehearsal in the middle of a call.

mod agent_server;

use super::new_server;
use agent_server::AgentServer;
use fault_injection::{ApiClient, Setup, id};
use mock_provider::Script;
use reqwest::Method;
use serde_json::{Value, json};

const TURNS: usize = 3;

fn stateless() -> Value {
    json!({"request": {"path": "/chat", "body": {"messages": "{{messages}}"}},
        "response": {"text": "/reply"}})
}

fn session_with_stream() -> Value {
    json!({
        "session": {"mode": "server", "id": {"at": "/session/id"}, "start": {"path": "/sessions"}},
        "request": {"path": "/sessions/{{session_id}}/messages", "body": {"text": "{{message}}"}},
        "response": {"format": "sse", "text": "/text", "events": "delta", "stop": "done"},
    })
}

fn polled() -> Value {
    json!({
        "session": {"mode": "client"},
        "request": {"path": "/jobs", "body": {"id": "{{session_id}}", "text": "{{message}}"}},
        "response": {"text": "/reply"},
        "poll": {"url": "/url", "status": "/state", "done": "ready", "interval_ms": 100},
    })
}

fn with(mut http: Value, field: &str, value: Value) -> Value {
    http[field] = value;
    http
}

struct Test {
    setup: Setup,
    endpoint: AgentServer,
    agent: Value,
}

/// A running server with an agent that is deployed at a small server.
async fn start(http: Value) -> Test {
    let setup = Setup::start(new_server(), Script::default()).await;
    let endpoint = AgentServer::start();
    let agent = create_agent(&setup.user, &endpoint, &setup.agent, http).await;
    Test { setup, endpoint, agent }
}

async fn create_agent(
    user: &ApiClient,
    endpoint: &AgentServer,
    model_agent: &Value,
    http: Value,
) -> Value {
    let judge = json!({"judge": {"connection_id": model_agent["connection_id"], "model": "m"}});
    let saved = user.request(Method::PUT, "/settings").json(&judge).send().await.unwrap();
    assert!(saved.status().is_success(), "{}", saved.text().await.unwrap());
    let connection = json!({"name": "Deployed", "kind": "http_agent", "base_url": endpoint.url()});
    let connection = user.create("/connections", &connection).await;
    let http = with(http, "purpose", json!("Helps with everything."));
    let agent = json!({"name": "Deployed", "connection_id": connection["id"], "http": http});
    user.create("/agents", &agent).await
}

impl Test {
    /// Runs a scenario to its end, in its usual order.
    async fn run(&self) -> Value {
        let suite = self.start_suite().await;
        self.finish(&suite).await
    }

    async fn start_suite(&self) -> String {
        let scenarios = self.setup.user.create_scenarios("S", 1, TURNS).await;
        self.setup.user.start_suite(&self.agent, &scenarios, json!({})).await
    }

    async fn finish(&self, suite: &str) -> Value {
        let suite = self.setup.user.wait_for_suite(suite).await;
        self.setup.user.fetch_runs(&suite).await.remove(0)
    }

    async fn rerun(&self, run: &Value) -> Value {
        let path = format!("/suites/{}/rerun", run["suite_id"].as_str().unwrap());
        let suite = self.setup.user.create(&path, &json!({"which": "errors"})).await;
        self.finish(&id(&suite)).await
    }
}

fn error_kind(run: &Value) -> &str {
    run["error"]["kind"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn agents_of_three_styles_are_tested_judged_and_rejudged() {
    for http in [stateless(), session_with_stream(), polled()] {
        let test = start(http).await;
        let run = test.run().await;
        assert_eq!(run["status"], "passed", "{run}");
        let transcript = run["transcript"].as_array().unwrap();
        let messages: Vec<_> =
            transcript.iter().map(|turn| turn["message"].as_str().unwrap()).collect();
        assert_eq!(messages.len(), 2 * TURNS);
        assert_eq!(messages[3], "I can help with that: S0 question 1");
        assert_eq!(test.endpoint.received().len(), TURNS);
        let path = format!("/runs/{}/evaluate", id(&run));
        let rejudged = test.setup.user.create(&path, &json!({})).await;
        assert_eq!(rejudged["status"], "pending", "{rejudged}");
    }
}

#[tokio::test]
async fn killed_stateless_agent_continues_if_it_is_idempotent() {
    let mut test = start(with(stateless(), "idempotent", json!(true))).await;
    test.endpoint.hold("S0 question 1");
    let suite = test.start_suite().await;
    test.endpoint.wait_until_held().await;
    test.endpoint.kill();
    test.endpoint.release();
    test.endpoint.restart();
    let run = test.finish(&suite).await;
    assert_eq!(run["status"], "passed", "{run}");
    assert!(
        test.endpoint.bookings().values().all(|count| *count == 1),
        "{:?}",
        test.endpoint.bookings()
    );
}

#[tokio::test]
async fn killed_agents_end_the_run_with_an_error_that_a_rerun_repairs() {
    for http in [stateless(), session_with_stream(), polled()] {
        let mut test = start(http).await;
        test.endpoint.hold("S0 question 1");
        let suite = test.start_suite().await;
        test.endpoint.wait_until_held().await;
        test.endpoint.kill();
        test.endpoint.release();
        test.endpoint.restart();
        let run = test.finish(&suite).await;
        assert_eq!(error_kind(&run), "outcome_unknown", "{run}");
        let message = run["error"]["message"].as_str().unwrap();
        assert!(message.contains("was not sent again"), "{message}");
        let rerun = test.rerun(&run).await;
        assert_eq!(rerun["status"], "passed", "{rerun}");
        assert_eq!(rerun["transcript"].as_array().unwrap().len(), 2 * TURNS, "a new conversation");
    }
}

#[tokio::test]
async fn lost_session_is_an_error_that_a_rerun_repairs() {
    let test = start(session_with_stream()).await;
    test.endpoint.hold("S0 question 1");
    let suite = test.start_suite().await;
    test.endpoint.wait_until_held().await;
    // The reply still comes, but then the session is gone.
    test.endpoint.forget_sessions();
    test.endpoint.release();
    let run = test.finish(&suite).await;
    assert_eq!(error_kind(&run), "session_lost", "{run}");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("no such session"), "{message}");
    assert_eq!(test.rerun(&run).await["status"], "passed");
}

#[tokio::test]
async fn crash_in_a_call_never_books_twice() {
    for (http, expected) in [
        (stateless(), "error"),
        (with(stateless(), "idempotent", json!(true)), "passed"),
        (with(session_with_stream(), "idempotent", json!(true)), "passed"),
    ] {
        let mut test = start(http).await;
        test.endpoint.hold("S0 question 1");
        let suite = test.start_suite().await;
        test.endpoint.wait_until_held().await;
        test.setup.server.kill();
        test.endpoint.release();
        test.setup.server.start().await;
        let run = test.finish(&suite).await;
        assert_eq!(run["status"], expected, "{run}");
        let bookings = test.endpoint.bookings();
        assert!(bookings.values().all(|count| *count == 1), "{bookings:?}");
        let received = test.endpoint.received();
        let held: Vec<_> = received.iter().filter(|one| one.text == "S0 question 1").collect();
        if expected == "error" {
            assert_eq!(error_kind(&run), "outcome_unknown", "{run}");
            assert_eq!(held.len(), 1, "it was not sent again");
        } else {
            assert_eq!(held.len(), 2, "it was sent again");
            assert!(held[0].key.is_some() && held[0].key == held[1].key, "{held:?}");
        }
    }
}

#[tokio::test]
async fn preflight_names_what_does_not_fit_a_deployed_agent() {
    let test = start(stateless()).await;
    let user = &test.setup.user;
    let scenario = json!({"name": "Calls", "category": "support",
        "conversation_flow": [{"speaker": "user", "message": "Hi"}],
        "success_criteria": {"must_call_tools": ["book"]}});
    let scenario = id(&user.create("/scenarios", &scenario).await);
    let request = json!({"agent_id": test.agent["id"], "scenario_ids": [scenario]});
    let preflight = user.create("/suites/preflight", &request).await;
    let reason = preflight["incompatible"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("calls are not visible"), "{reason}");
    // Without a judge in the settings, the agent itself would have to judge.
    user.request(Method::PUT, "/settings").json(&json!({})).send().await.unwrap();
    let preflight = user.create("/suites/preflight", &request).await;
    let problem = &preflight["problems"][0];
    assert_eq!(problem["path"], "judge.connection_id", "{preflight}");
    let choice = json!({"judge": {"connection_id": test.agent["connection_id"], "model": "m"}});
    let refused = user.request(Method::PUT, "/settings").json(&choice).send().await.unwrap();
    assert_eq!(refused.status(), 422);
}
