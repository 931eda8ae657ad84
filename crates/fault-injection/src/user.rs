//! Who asks a house: everything through the API, as this user.

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// A person or program with a token.
#[derive(Clone)]
pub struct User {
    pub(crate) base: String,
    pub(crate) client: Client,
    /// The address of the account.
    pub email: String,
    /// The token.
    pub token: String,
}

impl User {
    /// A request to the API, as this user.
    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }

    /// Reads something that is there.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Reads something from a server that may be away.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn try_get(&self, path: &str) -> Result<Value, String> {
        let told = |error: reqwest::Error| format!("GET {path}: {error:?}");
        let answer = self.ask(Method::GET, path).send().await.map_err(told)?;
        if !answer.status().is_success() {
            return Err(format!("GET {path}: {}", answer.status()));
        }
        answer.json().await.map_err(told)
    }

    /// Posts, and answers whatever came back.
    ///
    /// # Panics
    /// When nobody answers.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.ask(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Makes something; answers it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn make(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A connection and an agent over it.
    pub async fn agent(&self, kind: &str, base_url: &str) -> Value {
        let connection = json!({"name": format!("Stand {kind}"), "kind": kind,
            "base_url": base_url, "api_key": "sk-test-1234567890"});
        let connection = self.make("/connections", &connection).await;
        let agent = json!({"name": "Desk", "system_prompt": "You help.", "model": "m",
            "connection_id": connection["id"]});
        self.make("/agents", &agent).await
    }

    /// A scenario of `turns` user turns.
    pub async fn scenario(&self, name: &str, turns: usize) -> Value {
        let flow: Vec<_> = (0..turns)
            .map(|i| json!({"speaker": "user", "message": format!("{name} question {i}")}))
            .collect();
        let scenario = json!({"name": name, "category": "support", "conversation_flow": flow,
            "expected_behaviors": [{"text": "Offers help"}]});
        self.make("/scenarios", &scenario).await
    }

    /// The same door with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Waits until a suite is final; answers it.
    ///
    /// # Panics
    /// When it is not, within two minutes.
    pub async fn finished(&self, id: &str) -> Value {
        self.finished_within(id, Duration::from_secs(120)).await
    }

    /// Waits so long until a suite is final; answers it.
    ///
    /// # Panics
    /// When it is not.
    pub async fn finished_within(&self, id: &str, longest: Duration) -> Value {
        let began = Instant::now();
        loop {
            let suite = self.get(&format!("/suites/{id}")).await;
            if ["finished", "cancelled"].contains(&suite["status"].as_str().unwrap()) {
                return suite;
            }
            assert!(began.elapsed() < longest, "not finished: {suite}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
