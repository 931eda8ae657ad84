//! A client of the API.

use crate::id;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// An account with an API token. Methods panic when a request fails, unless
/// their documentation says otherwise.
#[derive(Clone)]
pub struct ApiClient {
    pub(crate) base: String,
    pub(crate) client: Client,
    pub email: String,
    pub token: String,
}

impl ApiClient {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Reads from a server that may be unavailable.
    pub async fn try_get(&self, path: &str) -> Result<Value, String> {
        let failed = |error: reqwest::Error| format!("GET {path}: {error:?}");
        let response = self.request(Method::GET, path).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(format!("GET {path}: {}", response.status()));
        }
        response.json().await.map_err(failed)
    }

    /// Returns the response whatever its status is.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let response = self.post(path, body).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Creates a connection and an agent that uses it.
    pub async fn create_agent(&self, kind: &str, base_url: &str) -> Value {
        let connection = json!({"name": format!("Mock {kind}"), "kind": kind,
            "base_url": base_url, "api_key": "sk-test-1234567890"});
        let connection = self.create("/connections", &connection).await;
        let agent = json!({"name": "Desk", "system_prompt": "You help.", "model": "m",
            "connection_id": connection["id"]});
        self.create("/agents", &agent).await
    }

    /// Creates a scenario with `turns` scripted user turns.
    pub async fn create_scenario(&self, name: &str, turns: usize) -> Value {
        let flow: Vec<_> = (0..turns)
            .map(|i| json!({"speaker": "user", "message": format!("{name} question {i}")}))
            .collect();
        let scenario = json!({"name": name, "category": "support", "conversation_flow": flow,
            "expected_behaviors": [{"text": "Offers help"}]});
        self.create("/scenarios", &scenario).await
    }

    /// Creates the scenarios `{name}0`, `{name}1`, … and returns their ids.
    pub async fn create_scenarios(&self, name: &str, count: usize, turns: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(id(&self.create_scenario(&format!("{name}{number}"), turns).await));
        }
        ids
    }

    /// Starts a suite over these scenarios, with the fields of `options`, and
    /// returns its id.
    pub async fn start_suite(&self, agent: &Value, scenarios: &[String], options: Value) -> String {
        id(&self.create("/suites", &suite_request(agent, scenarios, options)).await)
    }

    /// Fetches the runs of a suite with their transcripts.
    pub async fn fetch_runs(&self, suite: &Value) -> Vec<Value> {
        let mut runs = Vec::new();
        for run in suite["runs"].as_array().expect("a suite has runs") {
            runs.push(self.get(&format!("/runs/{}", id(run))).await);
        }
        runs
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Waits up to two minutes until a suite is final.
    pub async fn wait_for_suite(&self, id: &str) -> Value {
        self.wait_for_suite_within(id, Duration::from_secs(120)).await
    }

    pub async fn wait_for_suite_within(&self, id: &str, timeout: Duration) -> Value {
        let start = Instant::now();
        loop {
            let suite = self.get(&format!("/suites/{id}")).await;
            if is_final(&suite) {
                return suite;
            }
            assert!(start.elapsed() < timeout, "not finished: {suite}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The request that starts a suite, with the fields of `options`.
pub fn suite_request(agent: &Value, scenarios: &[String], options: Value) -> Value {
    let mut request = json!({"agent_id": agent["id"], "scenario_ids": scenarios});
    if let (Value::Object(request), Value::Object(options)) = (&mut request, options) {
        request.extend(options);
    }
    request
}

/// Whether a suite is final.
pub(crate) fn is_final(suite: &Value) -> bool {
    suite["status"] == "finished" || suite["status"] == "cancelled"
}
