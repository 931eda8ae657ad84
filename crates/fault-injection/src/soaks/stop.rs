//! SIGSTOP and SIGCONT: a process is paused without noticing. It may
//! continue the runs that it still leases, must not touch the runs that another
//! server leased meanwhile, and obeys cancels that arrived meanwhile.

use crate::clock::now_ms;
use crate::history::{Limits, check, collect, open_database, repeated_calls};
use crate::report::{Report, SoakOptions};
use crate::workload::{
    TIMEOUT, create_suite_request, leased_runs, report_run_counts, script_with_latency,
    server_with_user_limit, wait_for_suite_with_retries,
};
use crate::{Binary, Setup, TestServer, id};
use reqwest::Method;
use serde_json::Value;
use sqlx::SqliteConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RUNS_PER_USER: usize = 16;

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("stop", options);
    let pause = Duration::from_secs(options.choose(3, 45));
    let server = server_with_user_limit(binary, RUNS_PER_USER);
    let Setup { provider, mut server, user, agent } =
        Setup::start(server, script_with_latency(300)).await;
    // One suite continues, one is canceled, one is leased by another server.
    let mut suites = Vec::new();
    for _ in 0..3 {
        let body = create_suite_request(&user, &agent, 4, 6, 4).await;
        suites.push((user.clone(), user.create("/suites", &body).await));
    }
    while provider.request_count() < 20 {
        sleep(Duration::from_millis(10)).await;
    }

    let extra = Duration::from_secs(options.choose(2, 8));
    let taken = pause_and_take_leases(&mut server, &suites[2].1, pause + extra).await;
    let in_flight = leased_runs(&server).await;
    let cancelled = id(&suites[1].1);
    let cancel = {
        let (user, path) = (user.clone(), format!("/suites/{cancelled}/cancel"));
        tokio::spawn(async move { user.request(Method::POST, &path).send().await })
    };
    sleep(pause).await;
    let requests_before = provider.request_count();
    server.resume();
    let resumed = Instant::now();
    report.record("pause", format!("{} s, {in_flight} runs in flight", pause.as_secs()));
    let leased = taken.len();
    report.require("runs that another server leased", leased, "> 0", leased > 0);

    // While the other server holds the leases, nothing changes these runs.
    let until = extra.saturating_sub(Duration::from_millis(500));
    sleep(until.saturating_sub(resumed.elapsed())).await;
    let mut database = open_database(server.data_dir()).await;
    let mut changed = 0;
    for before in &taken {
        changed += usize::from(RunState::read(&mut database, &before.run).await != *before);
    }
    drop(database);
    report.require_zero("of these, runs that the paused server changed", changed);
    report.record("requests right after the pause", provider.request_count() - requests_before);

    let accepted = cancel.await.unwrap().is_ok_and(|response| response.status().is_success());
    report.require("cancel during the pause accepted", accepted, true, accepted);
    for (user, suite) in &suites {
        wait_for_suite_with_retries(user, &id(suite)).await;
    }
    report.record("all runs final after", format!("{} s", resumed.elapsed().as_secs()));
    let status = user.get(&format!("/suites/{cancelled}")).await["status"].clone();
    report.require("the cancelled suite", &status, "cancelled", status == "cancelled");
    let counts = report_run_counts(&mut report, &suites).await;
    let errors = counts.get("error").copied().unwrap_or(0);
    report.require_zero("runs with an error", errors);
    let history = collect(&server, &suites, &[&provider]).await;
    report.record("repeated calls", repeated_calls(&history));
    let repeated_calls = in_flight.max(taken.len());
    let limits = Limits { repeated_calls, ..Limits::per_user(RUNS_PER_USER) };
    report.violations(&check(&history, &limits));
    report
}

/// The state of a run in the database.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct RunState {
    run: String,
    lease_epoch: i64,
    status: String,
    turns: i64,
    calls: i64,
    calls_done: i64,
    events: i64,
}

impl RunState {
    async fn read(database: &mut SqliteConnection, run: &str) -> Self {
        let row = sqlx::query_as(
            "SELECT lower(hex(id)) AS run, lease_epoch, status, \
             (SELECT count(*) FROM turns t WHERE t.run_id = r.id) AS turns, \
             (SELECT count(*) FROM calls c WHERE c.run_id = r.id) AS calls, \
             (SELECT count(*) FROM calls c WHERE c.run_id = r.id AND c.done_at IS NOT NULL) AS calls_done, \
             (SELECT count(*) FROM events e WHERE e.suite_id = r.suite_id AND e.run_id = r.id) AS events \
             FROM runs r WHERE lower(hex(id)) = ?",
        );
        row.bind(run).fetch_one(database).await.unwrap()
    }
}

/// Pauses the process and leases the running runs of a suite, as the reaper and
/// a claim of another server would.
async fn pause_and_take_leases(
    server: &mut TestServer,
    suite: &Value,
    lease_time: Duration,
) -> Vec<RunState> {
    let mut database = server.open_database().await;
    // A process that is paused in a transaction does not release its lock.
    sqlx::query("PRAGMA busy_timeout = 1000").execute(&mut database).await.unwrap();
    let until = now_ms() + i64::try_from(lease_time.as_millis()).unwrap();
    let suite = id(suite).replace('-', "");
    let start = Instant::now();
    loop {
        server.pause();
        let update = sqlx::query_scalar::<_, String>(
            "UPDATE runs SET lease_epoch = lease_epoch + 1, lease_owner = 'another server', lease_until = ? \
             WHERE lower(hex(suite_id)) = ? AND status = 'running' AND lease_owner IS NOT NULL \
             RETURNING lower(hex(id)) AS run",
        );
        match update.bind(until).bind(&suite).fetch_all(&mut database).await {
            // The runs of this suite have not begun.
            Ok(runs) if runs.is_empty() => {
                assert!(start.elapsed() < TIMEOUT, "no run of the suite is running");
            }
            Ok(runs) => {
                let mut taken = Vec::new();
                for run in runs {
                    taken.push(RunState::read(&mut database, &run).await);
                }
                return taken;
            }
            // The process was paused in the middle of a transaction.
            Err(error) => assert!(start.elapsed() < TIMEOUT, "{error}"),
        }
        server.resume();
        sleep(Duration::from_millis(37)).await;
    }
}
