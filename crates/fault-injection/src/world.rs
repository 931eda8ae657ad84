//! What soaks do again and again: an agent and its scenarios, suites that are
//! started once whatever happens to the server, and a load that does not end.

use crate::house::{House, User, id};
use crate::report::Report;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long anything may take before a soak gives up and says so.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The body of a start: this agent, so many scenarios of so many turns.
pub async fn start_of(
    user: &User,
    agent: &Value,
    scenarios: usize,
    turns: usize,
    concurrency: usize,
) -> Value {
    let mut ids = Vec::new();
    for n in 0..scenarios {
        ids.push(id(&user.scenario(&format!("S{n}"), turns).await));
    }
    json!({"agent_id": agent["id"], "scenario_ids": ids, "concurrency": concurrency,
        "allow_parallel": true})
}

/// Starts a suite once, however often it has to be asked: with one key, until
/// there is an answer. The server may be killed in between.
///
/// # Panics
/// When it is refused, or not answered for minutes.
pub async fn start_once(user: &User, body: &Value, key: &str) -> Value {
    let began = Instant::now();
    loop {
        let request = user.ask(Method::POST, "/suites").header("Idempotency-Key", key).json(body);
        match request.send().await {
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                if let Ok(suite) = answer.json().await {
                    return suite;
                }
            }
            Ok(answer) if answer.status().is_server_error() || answer.status() == 429 => {}
            Ok(answer) => panic!("{}: {:?}", answer.status(), answer.text().await),
            Err(_) => {}
        }
        assert!(began.elapsed() < PATIENCE, "no answer to a start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a suite is final; the server may be away in between.
///
/// # Panics
/// When it is not, for minutes.
pub async fn finished_somehow(user: &User, suite: &str) -> Value {
    let began = Instant::now();
    loop {
        if let Ok(suite) = user.try_get(&format!("/suites/{suite}")).await
            && ["finished", "cancelled"].contains(&suite["status"].as_str().unwrap_or_default())
        {
            return suite;
        }
        assert!(began.elapsed() < PATIENCE, "a suite does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Suites, one after the other in so many rows, until it is told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    rows: Vec<JoinHandle<Vec<Value>>>,
}

impl Load {
    /// Begins it. `each` hears of every suite as it starts.
    pub fn begin(
        user: &User,
        body: &Value,
        rows: usize,
        each: impl Fn(&Value) + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let each = Arc::new(each);
        let rows = (0..rows)
            .map(|row| {
                let (user, body, stop, each) =
                    (user.clone(), body.clone(), Arc::clone(&stop), Arc::clone(&each));
                tokio::spawn(async move {
                    let mut started = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let key = format!("row-{row}-{}", started.len());
                        let suite = start_once(&user, &body, &key).await;
                        each(&suite);
                        let id = id(&suite);
                        started.push(suite);
                        finished_somehow(&user, &id).await;
                    }
                    started
                })
            })
            .collect();
        Self { stop, rows }
    }

    /// Lets those that were started end; answers how each start was answered.
    ///
    /// # Panics
    /// When one does not end.
    pub async fn end(self) -> Vec<Value> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for row in self.rows {
            all.extend(row.await.unwrap());
        }
        all
    }
}

/// How many runs the database of a house says are held.
///
/// # Panics
/// When it cannot be read.
pub async fn held_runs(house: &House) -> usize {
    let mut database = crate::history::open_database(house.data()).await;
    let row = sqlx::query(
        "SELECT count(*) AS held FROM runs WHERE status = 'running' AND lease_owner IS NOT NULL",
    );
    let held: i64 = row.fetch_one(&mut database).await.unwrap().get("held");
    usize::try_from(held).unwrap_or(0)
}

/// Adds the runs of these suites up by status, into the report; answers them,
/// and errors once more by their kind.
pub async fn count_runs(report: &mut Report, suites: &[(User, Value)]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (user, start) in suites {
        let suite = user.get(&format!("/suites/{}", id(start))).await;
        for (status, count) in suite["counts"].as_object().unwrap() {
            *counts.entry(status.clone()).or_default() += count.as_u64().unwrap_or(0);
        }
        for run in suite["runs"].as_array().into_iter().flatten() {
            if let Some(kind) = run["error"]["kind"].as_str() {
                *counts.entry(format!("error/{kind}")).or_default() += 1;
            }
        }
    }
    let told: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    report.count("suites and runs", format!("{} suites: {}", suites.len(), told.join(", ")));
    counts
}

/// These suites, each with its user.
#[must_use]
pub fn owned(user: &User, suites: Vec<Value>) -> Vec<(User, Value)> {
    suites.into_iter().map(|suite| (user.clone(), suite)).collect()
}
