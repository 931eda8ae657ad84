//! What the tests from outside have in common.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use fault_injection::house::{Binary, House, User, id};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use mock_provider::{Action, Role, Rule, When};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The binary under test.
pub(crate) fn binary() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_rehearsal"))
}

/// A condition that must come true soon: generous, so that a busy machine is
/// no failure.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits until something holds.
pub(crate) async fn until(what: &str, longest: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < longest, "not within {longest:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Scenarios `{name}{number}` of so many user turns.
pub(crate) async fn scenarios(user: &User, name: &str, count: usize, turns: usize) -> Vec<String> {
    let mut made = Vec::new();
    for number in 0..count {
        made.push(id(&user.scenario(&format!("{name}{number}"), turns).await));
    }
    made
}

/// A start of these scenarios; `more` is added to it.
pub(crate) fn start_of(agent: &Value, scenarios: &[String], more: Value) -> Value {
    let mut start = json!({"agent_id": agent["id"], "scenario_ids": scenarios});
    if let (Value::Object(start), Value::Object(more)) = (&mut start, more) {
        start.extend(more);
    }
    start
}

/// Starts a suite; answers its id.
pub(crate) async fn start(user: &User, agent: &Value, scenarios: &[String], more: Value) -> String {
    id(&user.make("/suites", &start_of(agent, scenarios, more)).await)
}

/// The runs of a suite, without transcripts.
pub(crate) fn runs(suite: &Value) -> &[Value] {
    suite["runs"].as_array().expect("a suite has runs")
}

/// The runs of a suite, each whole.
pub(crate) async fn whole_runs(user: &User, suite: &Value) -> Vec<Value> {
    let mut whole = Vec::new();
    for run in runs(suite) {
        whole.push(user.get(&format!("/runs/{}", id(run))).await);
    }
    whole
}

/// What was said in a run.
pub(crate) fn said(run: &Value) -> Vec<&str> {
    let turns = run["transcript"].as_array().expect("a whole run has a transcript");
    turns.iter().map(|turn| turn["message"].as_str().expect("a message")).collect()
}

/// How a run ended: its status, and the kind of its error.
pub(crate) fn ending(run: &Value) -> String {
    let status = run["status"].as_str().expect("a status");
    match run["error"]["kind"].as_str() {
        Some(kind) => format!("{status}/{kind}"),
        None => status.to_owned(),
    }
}

/// How many runs ended how.
pub(crate) fn endings(suite: &Value) -> BTreeMap<String, usize> {
    let mut endings = BTreeMap::new();
    for run in runs(suite) {
        *endings.entry(ending(run)).or_default() += 1;
    }
    endings
}

/// That each of these came out this often and nothing else did.
pub(crate) fn assert_endings(suite: &Value, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(ending, n)| ((*ending).to_owned(), *n)).collect();
    assert_eq!(endings(suite), expected, "{suite:#}");
}

/// The paths and messages of a refusal with 422.
pub(crate) async fn problems(answer: Response) -> Vec<(String, String)> {
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status.as_u16(), 422, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no list of errors: {body}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| (text(&error["path"]), text(&error["message"]))).collect()
}

/// An exception for questions in this role.
pub(crate) fn of_role(role: Role, action: Action) -> Rule {
    Rule { when: When { role: Some(role), ..When::default() }, ..Rule::always(action) }
}

/// An exception for questions with this in the last user message.
pub(crate) fn about(words: impl Into<String>, action: Action) -> Rule {
    let when = When { contains: Some(words.into()), ..When::default() };
    Rule { when, ..Rule::always(action) }
}

/// The database of a house, opened beside it.
pub(crate) async fn database(house: &House) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(house.data().join("rehearsal.db"))
        .busy_timeout(Duration::from_secs(10));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// One metric: the sum of all its series that have these labels.
pub(crate) fn metric(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (of, has) = series.split_once('{').unwrap_or((series, ""));
        let all = labels.iter().all(|(name, value)| has.contains(&format!("{name}=\"{value}\"")));
        if of == name && all {
            *found.get_or_insert(0.0) += value.parse::<f64>().unwrap();
        }
    }
    found
}

/// The metrics of a house.
pub(crate) async fn metrics(house: &House) -> String {
    let url = format!("http://{}/metrics", house.addr);
    house.client.get(url).send().await.unwrap().text().await.unwrap()
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<i64>,
    pub(crate) name: String,
    pub(crate) data: Value,
    /// When it came.
    pub(crate) at: Instant,
}

/// An open stream of a suite.
pub(crate) struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    /// Opens it, after an event or from the snapshot on; `None` for 204.
    pub(crate) async fn open(user: &User, suite: &str, after: Option<i64>) -> Option<Self> {
        let mut request = user.ask(Method::GET, &format!("/suites/{suite}/events"));
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let response = request.send().await.unwrap();
        match response.status().as_u16() {
            204 => None,
            200 => Some(Self { response, text: String::new() }),
            other => panic!("a stream answered {other}"),
        }
    }

    /// The next event; `None` when the stream ends or breaks.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let frame: String = self.text.drain(..end + 2).collect();
                if let Some(event) = read(&frame) {
                    return Some(event);
                }
            }
            let piece = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&piece).expect("pieces end at characters"));
        }
    }

    /// All events to its end.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// A frame with data; comments and `retry` alone are none.
fn read(frame: &str) -> Option<Event> {
    let field = |name: &str| {
        let lines = frame.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(field, _)| *field == name).map(|(_, value)| value.trim_start()).next()
    };
    let data = serde_json::from_str(field("data")?).expect("events are JSON");
    let id = field("id").map(|id| id.parse().expect("ids are numbers"));
    Some(Event { id, name: field("event")?.to_owned(), data, at: Instant::now() })
}
