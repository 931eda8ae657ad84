//! Helpers that soaks share: scripts, servers, starts that tolerate an
//! unavailable server, and a continuous load.

use crate::api_client::is_final;
use crate::clock::parse_ms;
use crate::history::open_database;
use crate::report::Report;
use crate::stream_reader::{Readers, StreamReader};
use crate::{ApiClient, Binary, TestServer, id, suite_request};
use mock_provider::Script;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The time after which a soak gives up waiting.
pub const TIMEOUT: Duration = Duration::from_secs(180);

/// The response to a start of a suite, with its user.
pub type StartedSuite = (ApiClient, Value);

/// Replies after this latency and logs no bodies.
pub fn script_with_latency(latency_ms: u64) -> Script {
    Script { latency_ms, discard_bodies: true, ..Script::default() }
}

/// A server that is not started yet.
pub fn server_with_user_limit(binary: &Binary, runs_per_user: usize) -> TestServer {
    TestServer::new(binary).with_env("REHEARSAL_RUNS_PER_USER", runs_per_user)
}

/// Creates scenarios and returns the request that starts a suite over them.
pub async fn create_suite_request(
    user: &ApiClient,
    agent: &Value,
    scenarios: usize,
    turns: usize,
    concurrency: usize,
) -> Value {
    let ids = user.create_scenarios("S", scenarios, turns).await;
    suite_request(agent, &ids, json!({"concurrency": concurrency, "allow_parallel": true}))
}

/// Retries a start with one idempotency key until the server replies.
pub async fn start_suite_with_retries(user: &ApiClient, body: &Value, key: &str) -> Value {
    let start = Instant::now();
    loop {
        let request =
            user.request(Method::POST, "/suites").header("Idempotency-Key", key).json(body);
        match request.send().await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                if let Ok(suite) = response.json().await {
                    return suite;
                }
            }
            Ok(response) if response.status().is_server_error() || response.status() == 429 => {}
            Ok(response) => panic!("{}: {:?}", response.status(), response.text().await),
            Err(_) => {}
        }
        assert!(start.elapsed() < TIMEOUT, "no response to a start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The time from the creation of a suite to its end, by the server's clock.
pub fn suite_duration(suite: &Value) -> Duration {
    let at = |name: &str| suite[name].as_str().and_then(parse_ms).unwrap();
    Duration::from_millis(u64::try_from(at("finished_at") - at("created_at")).unwrap())
}

/// Waits until a suite is final, also across restarts of the server.
pub async fn wait_for_suite_with_retries(user: &ApiClient, suite: &str) -> Value {
    let start = Instant::now();
    loop {
        if let Ok(suite) = user.try_get(&format!("/suites/{suite}")).await
            && is_final(&suite)
        {
            return suite;
        }
        assert!(start.elapsed() < TIMEOUT, "a suite does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A continuous load: several tasks, each starting one suite after the other.
pub struct Workload {
    stop: Arc<AtomicBool>,
    user: ApiClient,
    tasks: Vec<JoinHandle<Vec<Value>>>,
    /// The stream readers of all suites.
    pub readers: Readers,
}

impl Workload {
    pub fn start(user: &ApiClient, body: &Value, tasks: usize, readers_per_suite: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let readers = Readers::default();
        let tasks = (0..tasks)
            .map(|task| {
                let (user, body) = (user.clone(), body.clone());
                let (stop, readers) = (Arc::clone(&stop), readers.clone());
                tokio::spawn(async move {
                    let mut started = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let key = format!("task-{task}-{}", started.len());
                        let suite = start_suite_with_retries(&user, &body, &key).await;
                        let id = id(&suite);
                        for _ in 0..readers_per_suite {
                            readers.add(StreamReader::start(&user, &id));
                        }
                        started.push(suite);
                        wait_for_suite_with_retries(&user, &id).await;
                    }
                    started
                })
            })
            .collect();
        Self { stop, user: user.clone(), tasks, readers }
    }

    /// Waits until all started suites are final.
    pub async fn stop(self) -> (Vec<StartedSuite>, Readers) {
        self.stop.store(true, Ordering::Relaxed);
        let mut suites = Vec::new();
        for task in self.tasks {
            suites.extend(task.await.unwrap().into_iter().map(|suite| (self.user.clone(), suite)));
        }
        (suites, self.readers)
    }
}

/// The number of leased runs in the database.
pub async fn leased_runs(server: &TestServer) -> usize {
    let mut database = open_database(server.data_dir()).await;
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM runs WHERE status = 'running' AND lease_owner IS NOT NULL",
    );
    let count: i64 = count.fetch_one(&mut database).await.unwrap();
    usize::try_from(count).unwrap_or(0)
}

/// Reports and returns the number of runs by status, and of errors by
/// `error/kind`.
pub async fn report_run_counts(
    report: &mut Report,
    suites: &[StartedSuite],
) -> BTreeMap<String, u64> {
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
    let texts: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    report.record("suites and runs", format!("{} suites: {}", suites.len(), texts.join(", ")));
    counts
}
