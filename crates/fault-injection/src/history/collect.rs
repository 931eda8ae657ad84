//! Collects a history from every side.

use super::{
    CallIntent, Event, EventKind, History, ObservedTurn, ProviderRequest, RunRecord, SseParser,
    SuiteRecord, TurnRecord,
};
use crate::clock::parse_ms;
use crate::workload::StartedSuite;
use crate::{ApiClient, TestServer, id};
use mock_provider::{LoggedRequest, MockProvider, Outcome};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Collects the history of suites, all of which must be final.
pub async fn collect(
    server: &TestServer,
    suites: &[StartedSuite],
    providers: &[&MockProvider],
) -> History {
    let mut database = open_database(server.data_dir()).await;
    let cancels = cancel_times(&mut database).await;
    let mut history = History { intents: intents(&mut database).await, ..History::default() };
    for (user, start) in suites {
        history.suites.push(suite(user, start, &cancels).await);
    }
    for provider in providers {
        history.requests.extend(provider_requests(provider));
    }
    history
}

/// Opens the database of a server for reading.
pub async fn open_database(data_dir: &Path) -> SqliteConnection {
    let file = database_file(data_dir);
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .read_only(true)
        .busy_timeout(Duration::from_secs(30));
    options.connect().await.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The only database in a folder.
pub(crate) fn database_file(data_dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(data_dir).unwrap().flatten().map(|file| file.path());
    let is_database = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "db" || end == "sqlite" || end == "sqlite3")
    };
    let mut databases: Vec<_> = files.filter(is_database).collect();
    assert_eq!(databases.len(), 1, "one database in {}: {databases:?}", data_dir.display());
    databases.remove(0)
}

/// The time of each run's cancel request, or of its suite's.
async fn cancel_times(database: &mut SqliteConnection) -> HashMap<String, i64> {
    let rows = sqlx::query_as(
        "SELECT lower(hex(r.id)) AS run, \
         min(coalesce(r.cancel_requested_at, s.cancel_requested_at), \
             coalesce(s.cancel_requested_at, r.cancel_requested_at)) AS at \
         FROM runs r JOIN suites s ON s.id = r.suite_id \
         WHERE coalesce(r.cancel_requested_at, s.cancel_requested_at) IS NOT NULL",
    );
    rows.fetch_all(database).await.unwrap().into_iter().collect()
}

async fn intents(database: &mut SqliteConnection) -> Vec<CallIntent> {
    let rows = sqlx::query_as(
        "SELECT lower(hex(id)) AS id, lower(hex(run_id)) AS run, \
         evaluation_id IS NOT NULL AS is_rejudge, role, turn, outcome \
         FROM calls ORDER BY created_at, id",
    );
    rows.fetch_all(database).await.unwrap()
}

/// Formats an id as the database does in hexadecimal.
fn hex_id(id: &str) -> String {
    id.replace('-', "").to_lowercase()
}

async fn suite(user: &ApiClient, start: &Value, cancels: &HashMap<String, i64>) -> SuiteRecord {
    let suite = user.get(&format!("/suites/{}", id(start))).await;
    let mut runs = Vec::new();
    for (run, listed) in user.fetch_runs(&suite).await.iter().zip(suite["runs"].as_array().unwrap())
    {
        assert_eq!(run["status"], listed["status"], "suite and run agree");
        runs.push(RunRecord {
            id: hex_id(&id(run)),
            status: text(&run["status"]),
            cancelled_at: cancels.get(&hex_id(&id(run))).copied(),
            recoveries: run["recoveries"].as_u64().unwrap_or(0),
            transcript: run["transcript"].as_array().unwrap().iter().map(turn).collect(),
        });
    }
    let concurrency = suite["concurrency"].as_u64();
    SuiteRecord {
        id: id(&suite),
        user: user.email.clone(),
        status: text(&suite["status"]),
        concurrency: concurrency.map_or(usize::MAX, |n| usize::try_from(n).unwrap()),
        requested: start["runs"].as_array().into_iter().flatten().map(|r| hex_id(&id(r))).collect(),
        runs,
        events: events(user, &id(&suite)).await,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn turn(turn: &Value) -> TurnRecord {
    TurnRecord {
        index: turn["index"].as_u64().unwrap_or(u64::MAX),
        speaker: text(&turn["speaker"]),
        message: text(&turn["message"]),
    }
}

/// Reads the stream of a final suite, which ends by itself.
async fn events(user: &ApiClient, suite: &str) -> Vec<Event> {
    let path = format!("/suites/{suite}/events?after=0");
    let response = user.request(reqwest::Method::GET, &path).send().await.unwrap();
    assert!(response.status().is_success(), "GET {path}: {}", response.status());
    let frames = SseParser::default().push(&response.bytes().await.unwrap());
    frames.iter().filter_map(|frame| parse_event(frame.id?, &frame.event, &frame.data)).collect()
}

/// Returns `None` for kinds of events that are not stored.
pub fn parse_event(seq: i64, kind: &str, data: &str) -> Option<Event> {
    let data: Value = serde_json::from_str(data).unwrap();
    let run = hex_id(data["run_id"].as_str().unwrap_or_default());
    let kind = match kind {
        "run" => EventKind::RunStatus { run, status: text(&data["status"]) },
        "turn" => EventKind::Turn(ObservedTurn { run, turn: turn(&data) }),
        "finished" => EventKind::SuiteFinished { status: text(&data["status"]) },
        _ => return None,
    };
    Some(Event { seq, kind })
}

fn provider_requests(provider: &MockProvider) -> Vec<ProviderRequest> {
    let started_at = provider.started_at();
    let at = |ms: u64| i64::try_from(started_at + ms).unwrap_or(i64::MAX);
    let request = |entry: LoggedRequest| ProviderRequest {
        call: hex_id(&entry.call_id),
        from: at(entry.at_ms),
        until: entry.ended_ms.map(at),
        disconnected: entry.outcome == Outcome::Disconnected,
    };
    provider.request_log().into_iter().map(request).collect()
}

/// The time in the payload of a turn or of a suite's end.
pub fn event_time(data: &Value) -> Option<i64> {
    parse_ms(data["at"].as_str().or_else(|| data["finished_at"].as_str())?)
}
