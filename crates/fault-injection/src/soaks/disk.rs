//! A database that another process has locked, and a full disk: requests get
//! clear errors meanwhile, nothing is lost, and the server recovers by itself.

use crate::disk::SmallDisk;
use crate::history::{Limits, check, collect};
use crate::report::{Report, SoakOptions};
use crate::stream_reader::{Readers, StreamReader};
use crate::workload::{
    create_suite_request, report_run_counts, script_with_latency, wait_for_suite_with_retries,
};
use crate::{ApiClient, Binary, Setup, TestServer, id};
use mock_provider::MockProvider;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The time limit of a request that only reads.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of recovery, and of a write meanwhile.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("disk", options);
    locked(&mut report, binary, options).await;
    match SmallDisk::mount(24) {
        Ok(disk) => full(&mut report, binary, options, disk).await,
        Err(error) => report.skip(format!("full disk: cannot mount a tmpfs ({error})")),
    }
    report
}

/// A server with a suite in progress that a stream reader follows.
struct RunningSuite {
    provider: MockProvider,
    server: TestServer,
    user: ApiClient,
    suite: Value,
    reader: StreamReader,
}

impl RunningSuite {
    async fn start(server: TestServer) -> Self {
        let Setup { provider, server, user, agent } =
            Setup::start(server, script_with_latency(100)).await;
        let body = create_suite_request(&user, &agent, 6, 12, 6).await;
        let suite = user.create("/suites", &body).await;
        let reader = StreamReader::start(&user, &id(&suite));
        while reader.turn_count() < 12 {
            sleep(Duration::from_millis(10)).await;
        }
        Self { provider, server, user, suite, reader }
    }

    /// Whether a read succeeds in time.
    async fn can_read(&self) -> bool {
        let path = format!("/suites/{}", id(&self.suite));
        matches!(timeout(READ_TIMEOUT, self.user.try_get(&path)).await, Ok(Ok(_)))
    }
}

async fn locked(report: &mut Report, binary: &Binary, options: &SoakOptions) {
    let duration = Duration::from_secs(options.choose(options.seconds.min(5), 12));
    let running = RunningSuite::start(TestServer::new(binary)).await;
    let lock = running.server.lock_database().await;
    let start = Instant::now();
    let write = {
        let (user, scenario) = (running.user.clone(), scenario("Meanwhile", "hello"));
        tokio::spawn(async move { timeout(RECOVERY_TIMEOUT, save(&user, &scenario)).await })
    };
    let (mut reads, mut failed_reads) = (0, 0);
    while start.elapsed() < duration {
        failed_reads += usize::from(!running.can_read().await);
        reads += 1;
        sleep(Duration::from_millis(250)).await;
    }
    lock.close().await.unwrap();
    report.record("duration of the lock", format!("{} s", start.elapsed().as_secs()));
    let result = match write.await.unwrap() {
        Err(_) => "no response".to_owned(),
        Ok(Saved::Id(id)) if running.user.try_get(&format!("/scenarios/{id}")).await.is_err() => {
            "saved, but missing afterwards".to_owned()
        }
        Ok(Saved::Id(_)) => "saved".to_owned(),
        Ok(Saved::Refused) => "refused with a clear error".to_owned(),
        Ok(Saved::Unclear(text)) => text,
    };
    let clear = ["saved", "refused with a clear error"].contains(&result.as_str());
    report.require("a write meanwhile", result, "saved, or refused with a clear error", clear);
    report.require(
        "slow or failed reads meanwhile",
        format!("{failed_reads} of {reads}"),
        0,
        failed_reads == 0,
    );
    check_recovery(report, "locked", running).await;
}

async fn full(report: &mut Report, binary: &Binary, options: &SoakOptions, disk: SmallDisk) {
    let duration = Duration::from_secs(options.choose(4, 20));
    let running = RunningSuite::start(TestServer::new(binary).with_data_dir(disk.path())).await;
    let (user, server) = (&running.user, &running.server);
    let filler = disk.fill().unwrap();
    let start = Instant::now();
    let (mut refused, mut unclear, mut failed, mut saved) = (0, Vec::new(), 0, Vec::new());
    let mut was_unready = false;
    let mut n = 0;
    while start.elapsed() < duration {
        n += 1;
        // The maximum size of a message makes the WAL grow.
        let scenario = scenario(&format!("Full {n}"), &"word ".repeat(6_000));
        match timeout(RECOVERY_TIMEOUT, save(user, &scenario)).await {
            Ok(Saved::Id(id)) => saved.push(id),
            Ok(Saved::Refused) => refused += 1,
            Ok(Saved::Unclear(text)) => unclear.push(text),
            Err(_) => failed += 1,
        }
        was_unready |= !server.is_ready().await;
        failed += usize::from(!running.can_read().await);
        sleep(Duration::from_millis(100)).await;
    }
    drop(filler);
    let freed = Instant::now();
    while !server.is_ready().await && freed.elapsed() < RECOVERY_TIMEOUT {
        sleep(Duration::from_millis(20)).await;
    }
    report.record("duration of the full disk", format!("{} s", start.elapsed().as_secs()));
    report.require("refused writes meanwhile", refused, "> 0", refused > 0);
    report.require_zero("unclear errors", unclear.len());
    if let Some(first) = unclear.first() {
        report.record("the first of them", first);
    }
    report.require_zero("requests without a response, and failed reads", failed);
    let unready = if was_unready { "no" } else { "yes" };
    report.require("always ready meanwhile", unready, "no", was_unready);
    report.record("ready again after", format!("{} ms", freed.elapsed().as_millis()));
    let mut lost = 0;
    for scenario in &saved {
        lost += usize::from(user.try_get(&format!("/scenarios/{scenario}")).await.is_err());
    }
    let count = format!("{lost} of {}", saved.len());
    report.require("lost scenarios that were saved meanwhile", count, 0, lost == 0);
    check_recovery(report, "full", running).await;
    // The server used the disk.
    drop(disk);
}

fn scenario(name: &str, message: &str) -> Value {
    json!({"name": name, "category": "support",
        "conversation_flow": [{"speaker": "user", "message": message}],
        "expected_behaviors": [{"text": "Offers help"}]})
}

enum Saved {
    Id(String),
    /// Refused with a clear error.
    Refused,
    /// Refused with an unclear error, or no response.
    Unclear(String),
}

async fn save(user: &ApiClient, scenario: &Value) -> Saved {
    match user.request(Method::POST, "/scenarios").json(scenario).send().await {
        Err(error) => Saved::Unclear(error.to_string()),
        Ok(response) => {
            let status = response.status();
            let text = response.text().await.unwrap_or_default();
            match serde_json::from_str::<Value>(&text) {
                Ok(created) if status.is_success() => Saved::Id(id(&created)),
                _ if is_clear(status.as_u16(), &text) => Saved::Refused,
                _ => Saved::Unclear(format!("{status} {text}")),
            }
        }
    }
}

/// Whether an error explains itself without internal details.
fn is_clear(status: u16, text: &str) -> bool {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let message = body["detail"].as_str().or(body["title"].as_str()).unwrap_or_default();
    let internals = ["SQLITE", "sqlx", "INSERT", "/tmp", "(code", "channel", "panicked"];
    [503, 507].contains(&status)
        && message.len() > 10
        && !internals.iter().any(|word| text.contains(word))
}

/// The same process continues and has lost nothing.
async fn check_recovery(report: &mut Report, what: &str, running: RunningSuite) {
    let RunningSuite { provider, server, user, suite, reader } = running;
    let start = Instant::now();
    wait_for_suite_with_retries(&user, &id(&suite)).await;
    report.record(
        format!("{what}: all runs final after"),
        format!("{:.1} s", start.elapsed().as_secs_f64()),
    );
    let suites = vec![(user, suite)];
    let counts = report_run_counts(report, &suites).await;
    let passed = counts.get("passed").copied().unwrap_or(0);
    report.require(format!("{what}: passed runs"), passed, 6, passed == 6);
    let mut history = collect(&server, &suites, &[&provider]).await;
    let readers = Readers::default();
    readers.add(reader);
    readers.finish(report, &mut history).await;
    // A call whose reply could not be stored is repeated.
    let limits = Limits { repeated_calls: 6, ..Limits::default() };
    report.violations(&check(&history, &limits));
}
