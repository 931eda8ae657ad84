//! Reads a history from every side.

use super::{Announced, Event, Frames, Heard, History, Intent, RunSeen, SuiteSeen, Told, Words};
use crate::house::{House, User, id};
use crate::wall::read_ms;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};
use mock_provider::{Entry, Outcome, Stand};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Reads what became of these suites (as their starts were answered), each
/// with its user. All of them must be final by now.
///
/// # Panics
/// When something cannot be read.
pub async fn gather(house: &House, suites: &[(User, Value)], stands: &[&Stand]) -> History {
    let mut database = open_database(house.data()).await;
    let cancels = cancels(&mut database).await;
    let mut history = History { intents: intents(&mut database).await, ..History::default() };
    for (user, start) in suites {
        history.suites.push(suite(user, start, &cancels).await);
    }
    for stand in stands {
        history.heard.extend(heard(&stand.journal(), stand.started_at()));
    }
    history
}

/// A connection of our own to the database of a house, for reading.
///
/// # Panics
/// When it cannot be opened.
pub async fn open_database(data: &Path) -> SqliteConnection {
    let file = database_file(data);
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .read_only(true)
        .busy_timeout(Duration::from_secs(30));
    options.connect().await.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The one database in a folder.
pub(crate) fn database_file(data: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(data).unwrap().flatten().map(|file| file.path());
    let mut databases: Vec<_> = files
        .filter(|path| {
            path.extension().is_some_and(|end| end == "db" || end == "sqlite" || end == "sqlite3")
        })
        .collect();
    assert_eq!(databases.len(), 1, "one database in {}: {databases:?}", data.display());
    databases.remove(0)
}

/// When each run was asked to stop, itself or with its suite.
async fn cancels(database: &mut SqliteConnection) -> HashMap<String, i64> {
    let rows = sqlx::query(
        "SELECT lower(hex(r.id)) AS run, \
         min(coalesce(r.cancel_requested_at, s.cancel_requested_at), \
             coalesce(s.cancel_requested_at, r.cancel_requested_at)) AS at \
         FROM runs r JOIN suites s ON s.id = r.suite_id \
         WHERE coalesce(r.cancel_requested_at, s.cancel_requested_at) IS NOT NULL",
    );
    let rows = rows.fetch_all(database).await.unwrap();
    rows.iter().map(|row| (row.get("run"), row.get("at"))).collect()
}

async fn intents(database: &mut SqliteConnection) -> Vec<Intent> {
    let rows = sqlx::query(
        "SELECT lower(hex(id)) AS id, lower(hex(run_id)) AS run, evaluation_id IS NOT NULL AS again, \
         role, turn, created_at, outcome FROM calls ORDER BY created_at, id",
    );
    let rows = rows.fetch_all(database).await.unwrap();
    rows.iter()
        .map(|row| Intent {
            id: row.get("id"),
            run: row.get("run"),
            judging_again: row.get("again"),
            role: row.get("role"),
            turn: row.get("turn"),
            created_at: row.get("created_at"),
            outcome: row.get("outcome"),
        })
        .collect()
}

/// Ids as the database has them in hexadecimal.
fn bare(id: &str) -> String {
    id.replace('-', "").to_lowercase()
}

async fn suite(user: &User, start: &Value, cancels: &HashMap<String, i64>) -> SuiteSeen {
    let suite = user.get(&format!("/suites/{}", id(start))).await;
    let mut runs = Vec::new();
    for short in suite["runs"].as_array().unwrap() {
        let run = user.get(&format!("/runs/{}", id(short))).await;
        assert_eq!(run["status"], short["status"], "the suite and the run say the same");
        runs.push(RunSeen {
            id: bare(&id(&run)),
            status: text(&run["status"]),
            cancelled_at: cancels.get(&bare(&id(&run))).copied(),
            recoveries: run["recoveries"].as_u64().unwrap_or(0),
            transcript: run["transcript"].as_array().unwrap().iter().map(words).collect(),
        });
    }
    let requested = start["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    SuiteSeen {
        id: id(&suite),
        user: user.email.clone(),
        status: text(&suite["status"]),
        concurrency: suite["concurrency"]
            .as_u64()
            .map_or(usize::MAX, |n| usize::try_from(n).unwrap()),
        requested: requested.iter().map(|run| bare(&id(run))).collect(),
        runs,
        events: events(user, &id(&suite)).await,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(turn: &Value) -> Words {
    Words {
        index: turn["index"].as_u64().unwrap_or(u64::MAX),
        speaker: text(&turn["speaker"]),
        message: text(&turn["message"]),
    }
}

/// All stored events of a suite that is over: its stream ends by itself.
async fn events(user: &User, suite: &str) -> Vec<Event> {
    let path = format!("/suites/{suite}/events?after=0");
    let answer = user.ask(reqwest::Method::GET, &path).send().await.unwrap();
    assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
    let frames = Frames::default().take(&answer.bytes().await.unwrap());
    frames.iter().filter_map(|frame| event(frame.id?, &frame.event, &frame.data)).collect()
}

/// An event from its frame; `None` for kinds that are not stored.
///
/// # Panics
/// When the data is no JSON.
#[must_use]
pub fn event(seq: i64, kind: &str, data: &str) -> Option<Event> {
    let data: Value = serde_json::from_str(data).unwrap();
    let run = bare(data["run_id"].as_str().unwrap_or_default());
    let what = match kind {
        "run" => Told::Run { run, status: text(&data["status"]) },
        "turn" => Told::Turn(Announced { run, words: words(&data) }),
        "finished" => Told::Finished { status: text(&data["status"]) },
        _ => return None,
    };
    Some(Event { seq, what })
}

/// The journal of a stand that started at this time (milliseconds since 1970).
#[must_use]
pub fn heard(journal: &[Entry], started_at: u64) -> Vec<Heard> {
    let at = |ms: u64| i64::try_from(started_at + ms).unwrap_or(i64::MAX);
    journal
        .iter()
        .map(|entry| Heard {
            call: bare(&entry.call_id),
            from: at(entry.at_ms),
            until: entry.ended_ms.map(at),
            dropped: entry.outcome == Outcome::Dropped,
        })
        .collect()
}

/// The time of a payload: of its turn, or of its end.
#[must_use]
pub fn told_at(data: &Value) -> Option<i64> {
    let at = data["at"].as_str().or_else(|| data["finished_at"].as_str())?;
    read_ms(at)
}
