//! Many users, runs and open pages: every reader receives every event soon
//! after its commit.

use crate::history::{Limits, check, collect};
use crate::report::{Report, SoakOptions};
use crate::stream_reader::{Readers, StreamReader};
use crate::workload::{TIMEOUT, create_suite_request, report_run_counts, script_with_latency};
use crate::{Binary, TestServer, id, metric_value};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const RUNS_PER_USER: usize = 10;
/// Readers of each user's suite.
const READERS: usize = 10;
/// The required lag from a commit to its arrival.
const LAG_MS: f64 = 100.0;
const MAX_CALLS: usize = 64;
/// The time in which all users start. With equal starts, a provider with a
/// constant latency would keep them in step.
const START_SPREAD: Duration = Duration::from_secs(2);

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("crowd", options);
    let users = options.choose(6_u32, 100);
    let provider = mock_provider::start(script_with_latency(500)).await.unwrap();
    let server = TestServer::new(binary).with_env("REHEARSAL_MAX_CALLS", MAX_CALLS).started().await;
    let mut ready = Vec::new();
    for n in 0..users {
        let user = server.create_user(&format!("crowd{n}@example.org"));
        let agent = user.create_agent("openai", &provider.openai_url()).await;
        let mut request = create_suite_request(&user, &agent, 1, 2, 8).await;
        request["repeats"] = json!(RUNS_PER_USER);
        ready.push((user, request));
    }

    let start = Instant::now();
    let mut suites = Vec::new();
    let readers = Readers::default();
    for (n, (user, request)) in (0_u32..).zip(ready) {
        tokio::time::sleep_until(start + START_SPREAD * n / users).await;
        let suite = user.create("/suites", &request).await;
        (0..READERS).for_each(|_| readers.add(StreamReader::start(&user, &id(&suite))));
        suites.push((user, suite));
    }
    let mut open_streams = 0.0_f64;
    while start.elapsed() < TIMEOUT && readers.unfinished() > 0 {
        let open = metric_value(&server.metrics().await, "rehearsal_open_streams");
        open_streams = open_streams.max(open.unwrap_or(0.0));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let duration = start.elapsed();
    report.record("users", format!("{users}, starting within {} s", START_SPREAD.as_secs()));
    report_run_counts(&mut report, &suites).await;
    report.record("duration", format!("{:.1} s", duration.as_secs_f64()));
    report.record("readers", format!("{}, open at once {open_streams:.0}", readers.len()));
    let mut history = collect(&server, &suites, &[&provider]).await;
    let stats = readers.finish(&mut report, &mut history).await;
    report.record("delivered events", stats.events);
    let limit = LAG_MS * options.time_factor;
    report.require(
        "lag from a turn to its arrival, including the commit",
        &stats.lags,
        format!("p99 ≤ {limit:.0} ms"),
        !stats.lags.is_empty() && stats.lags.quantile(0.99) <= limit,
    );
    report.record("reconnects of readers", stats.reconnects);
    let limits = Limits { max_calls: MAX_CALLS, ..Limits::default() };
    report.violations(&check(&history, &limits));
    report
}
