//! Helpers for tests that drive the real binary.

use fault_injection::history::{SseFrame, SseParser};
use fault_injection::{ApiClient, Binary, TestServer};
use mock_provider::{Action, Role, Rule, When};
use reqwest::{Method, Response};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// A server that is not started yet.
pub(crate) fn new_server() -> TestServer {
    TestServer::new(&Binary::new(env!("CARGO_BIN_EXE_rehearsal")))
}

/// Generous, so that a busy machine does not fail a test.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn wait_until(
    what: &str,
    timeout: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < timeout, "not within {timeout:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The runs of a suite, without transcripts.
pub(crate) fn runs(suite: &Value) -> &[Value] {
    suite["runs"].as_array().expect("a suite has runs")
}

/// The messages of a run with its transcript.
pub(crate) fn messages(run: &Value) -> Vec<&str> {
    let turns = run["transcript"].as_array().expect("a run has a transcript");
    turns.iter().map(|turn| turn["message"].as_str().expect("a message")).collect()
}

/// The status of a run, or `error/kind`.
pub(crate) fn outcome(run: &Value) -> String {
    let status = run["status"].as_str().expect("a status");
    match run["error"]["kind"].as_str() {
        Some(kind) => format!("{status}/{kind}"),
        None => status.to_owned(),
    }
}

/// The number of runs by outcome.
pub(crate) fn outcomes(suite: &Value) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for run in runs(suite) {
        *outcomes.entry(outcome(run)).or_default() += 1;
    }
    outcomes
}

pub(crate) fn assert_outcomes(suite: &Value, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(outcome, n)| ((*outcome).to_owned(), *n)).collect();
    assert_eq!(outcomes(suite), expected, "{suite:#}");
}

/// The paths and messages of a 422 response.
pub(crate) async fn validation_errors(response: Response) -> Vec<(String, String)> {
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status.as_u16(), 422, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors: {body}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| (text(&error["path"]), text(&error["message"]))).collect()
}

/// A rule for requests in this role.
pub(crate) fn rule_for_role(role: Role, action: Action) -> Rule {
    Rule { when: When { role: Some(role), ..When::default() }, ..Rule::always(action) }
}

/// A rule for requests with this text in the last user message.
pub(crate) fn rule_for_message(text: impl Into<String>, action: Action) -> Rule {
    let when = When { contains: Some(text.into()), ..When::default() };
    Rule { when, ..Rule::always(action) }
}

/// The sum of all series of a metric that have these labels.
pub(crate) fn metric_sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut sum = None;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (series_name, set) = series.split_once('{').unwrap_or((series, ""));
        let all = labels.iter().all(|(name, value)| set.contains(&format!("{name}=\"{value}\"")));
        if series_name == name && all {
            *sum.get_or_insert(0.0) += value.parse::<f64>().unwrap();
        }
    }
    sum
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<i64>,
    pub(crate) name: String,
    pub(crate) data: Value,
    pub(crate) received_at: Instant,
}

/// The event stream of a suite.
pub(crate) struct EventStream {
    response: Response,
    parser: SseParser,
    frames: VecDeque<SseFrame>,
}

impl EventStream {
    /// Starts after an event, or with a snapshot. Returns `None` for a 204.
    pub(crate) async fn open(user: &ApiClient, suite: &str, after: Option<i64>) -> Option<Self> {
        let mut request = user.request(Method::GET, &format!("/suites/{suite}/events"));
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let response = request.send().await.unwrap();
        match response.status().as_u16() {
            204 => None,
            200 => Some(Self { response, parser: SseParser::default(), frames: VecDeque::new() }),
            other => panic!("the stream responded {other}"),
        }
    }

    /// Returns `None` when the stream ends or breaks.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                let data = serde_json::from_str(&frame.data).expect("events are JSON");
                let received_at = Instant::now();
                return Some(Event { id: frame.id, name: frame.event, data, received_at });
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.frames.extend(self.parser.push(&chunk));
        }
    }

    /// All remaining events.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}
