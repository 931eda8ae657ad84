//! One user floods a dead provider; the runs of another user take as long as
//! without the flood. Two servers with the same load on the same machine are
//! measured at the same time, and only one of them has the flood.

use crate::report::{Report, Samples, SoakOptions};
use crate::workload::{
    TIMEOUT, create_suite_request, script_with_latency, server_with_user_limit, suite_duration,
};
use crate::{ApiClient, Binary, TestServer, id};
use mock_provider::{Action, MockProvider, RawTcpServer, Rule, Script, TcpBehavior};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The required ratio of the p99 with the flood to the p99 without.
const MAX_RATIO: f64 = 1.1;
/// Concurrent runs of a flooding suite. Two suites use up the user's limit.
const CONCURRENCY: usize = 8;
/// Repetitions of each scenario of the flood.
const REPEATS: usize = 10;

struct QuietUser {
    server: TestServer,
    user: ApiClient,
    request: Value,
}

impl QuietUser {
    async fn new(binary: &Binary, provider: &MockProvider) -> Self {
        let server = server_with_user_limit(binary, 2 * CONCURRENCY).started().await;
        let user = server.create_user("quiet@example.org");
        let agent = user.create_agent("openai", &provider.openai_url()).await;
        let request = create_suite_request(&user, &agent, 1, 3, 1).await;
        Self { server, user, request }
    }

    /// Runs suites one after the other. Returns the time from their creation to
    /// their end, by the server's clock.
    async fn measure(&self, suites: usize) -> Samples {
        let mut samples = Samples::default();
        for _ in 0..suites {
            let suite = self.user.create("/suites", &self.request).await;
            let suite = self.user.wait_for_suite_within(&id(&suite), TIMEOUT).await;
            assert_eq!(suite["counts"]["passed"], 1, "{} at {}", suite["counts"], self.server.addr);
            samples.add(suite_duration(&suite).as_secs_f64() * 1000.0);
        }
        samples
    }
}

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("tenants", options);
    let flood_runs = options.choose(100, 500);
    let provider = mock_provider::start(script_with_latency(100)).await.unwrap();
    let alone = QuietUser::new(binary, &provider).await;
    let flooded = QuietUser::new(binary, &provider).await;
    // One dead provider refuses connections, the other accepts and is silent.
    // A start is refused when no provider listens, so the first stops later.
    let stopping = mock_provider::start(Script::of([Rule::always(Action::Hang)])).await.unwrap();
    let silent = RawTcpServer::start(TcpBehavior::Silent).await.unwrap();
    let flooder = flooded.server.create_user("flood@example.org");
    let mut floods = Vec::new();
    for url in [stopping.openai_url(), silent.openai_url()] {
        floods.push(Flood::start(&flooder, &url, flood_runs / 2).await);
    }
    drop(stopping);
    // Excludes the start of the flood from the measurement.
    tokio::join!(alone.measure(2), flooded.measure(2));

    let (mut without, mut with) = (Samples::default(), Samples::default());
    let start = Instant::now();
    let is_enough = |samples: &Samples| {
        let timed_out = start.elapsed() >= Duration::from_secs(options.seconds.saturating_sub(5));
        samples.len() >= options.choose(20, 400)
            || !options.long && timed_out && samples.len() >= 10
    };
    while !is_enough(&without) {
        let (sample_without, sample_with) = tokio::join!(alone.measure(1), flooded.measure(1));
        without.join(&sample_without);
        with.join(&sample_with);
    }
    let (mut total, mut unfinished) = (0, 0);
    for flood in &floods {
        let (flood_total, flood_unfinished) = flood.count_runs(&flooder).await;
        (total, unfinished) = (total + flood_total, unfinished + flood_unfinished);
    }
    report.record("flood", format!("{total} runs, {unfinished} of them unfinished at the end"));
    report.require("the flood lasted", unfinished, "> 0", unfinished > 0);
    report.record("connections to the silent provider", silent.accepted());
    report.record("a run without the flood", &without);
    report.record("a run with the flood", &with);
    let ratio = |share| with.quantile(share) / without.quantile(share).max(1.0);
    // Both servers share the machine, so a slow machine is only a partial excuse.
    let limit = MAX_RATIO * options.time_factor.min(2.0);
    report.require(
        "p99 with the flood / without",
        format!("{:.2}", ratio(0.99)),
        format!("≤ {limit:.2}"),
        ratio(0.99) <= limit,
    );
    report.record("p50 with the flood / without", format!("{:.2}", ratio(0.5)));
    report
}

/// Suites of runs that can only fail, one after the other.
struct Flood {
    suites: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Flood {
    async fn start(user: &ApiClient, url: &str, runs: usize) -> Self {
        let agent = user.create_agent("openai", url).await;
        let mut request = create_suite_request(user, &agent, runs / REPEATS, 3, CONCURRENCY).await;
        request["repeats"] = json!(REPEATS);
        let first = id(&user.create("/suites", &request).await);
        let suites = Arc::new(Mutex::new(vec![first.clone()]));
        let (user, list) = (user.clone(), Arc::clone(&suites));
        let task = tokio::spawn(async move {
            let mut last = first;
            loop {
                sleep(Duration::from_millis(500)).await;
                let suite = user.try_get(&format!("/suites/{last}")).await.unwrap_or_default();
                if suite["status"] != "finished" {
                    continue;
                }
                // The start is refused once the provider has stopped.
                let response = user.post("/suites", &request).await;
                let Ok(suite) = response.json::<Value>().await else { continue };
                if let Some(id) = suite["id"].as_str() {
                    id.clone_into(&mut last);
                    list.lock().push(last.clone());
                }
            }
        });
        Self { suites, task }
    }

    /// Returns the number of all runs and of unfinished runs.
    async fn count_runs(&self, user: &ApiClient) -> (u64, u64) {
        let suites = self.suites.lock().clone();
        let (mut total, mut unfinished) = (0, 0);
        for suite in suites {
            let suite = user.get(&format!("/suites/{suite}")).await;
            total += suite["total"].as_u64().unwrap_or(0);
            for status in ["pending", "running"] {
                unfinished += suite["counts"][status].as_u64().unwrap_or(0);
            }
        }
        (total, unfinished)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.task.abort();
    }
}
