//! Sends SIGKILL at random moments under load, sometimes during a start: no
//! run is stuck, no turn is lost or duplicated, no suite is started twice, and
//! only the calls in flight are repeated.

use crate::history::{Limits, check, collect, repeated_calls};
use crate::report::{Report, SoakOptions};
use crate::workload::{
    Workload, create_suite_request, leased_runs, report_run_counts, script_with_latency,
    server_with_user_limit,
};
use crate::{ApiClient, Binary, Setup};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RUNS_PER_USER: usize = 40;

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("kill", options);
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let max_kills = options.choose(usize::MAX, 200);
    let start = Instant::now();
    let is_over = |kills| {
        let timed_out = start.elapsed() >= Duration::from_secs(options.seconds);
        kills >= max_kills || !options.long && timed_out
    };
    let server = server_with_user_limit(binary, RUNS_PER_USER);
    let Setup { provider, mut server, user, agent } =
        Setup::start(server, script_with_latency(40)).await;
    let body = create_suite_request(&user, &agent, 4, 5, 2).await;
    let workload = Workload::start(&user, &body, options.choose(4, 20), 1);

    let (mut kills, mut kills_during_start, mut in_flight) = (0, 0, 0);
    while !is_over(kills) {
        sleep(Duration::from_millis(rng.random_range(100..1_500))).await;
        server.kill();
        in_flight += leased_runs(&server).await;
        kills += 1;
        // Every fourth process is killed before it is ready.
        if kills % 4 == 0 {
            server.spawn();
            sleep(Duration::from_millis(rng.random_range(0..250))).await;
            server.kill();
            in_flight += leased_runs(&server).await;
            (kills, kills_during_start) = (kills + 1, kills_during_start + 1);
        }
        server.start().await;
    }
    let (suites, readers) = workload.stop().await;
    report.record("kills", format!("{kills}, {kills_during_start} of them during a start"));
    report.record("runs in flight at the kills", in_flight);
    let counts = report_run_counts(&mut report, &suites).await;
    // A run ends as abandoned after three recoveries without progress, which
    // happens when processes live as briefly as here.
    let count = |status: &str| counts.get(status).copied().unwrap_or(0);
    let others = count("error") - count("error/abandoned") + count("failed") + count("cancelled");
    report.require_zero("runs neither passed nor abandoned", others);
    report.record("requests to the provider", provider.request_count());

    let mut history = collect(&server, &suites, &[&provider]).await;
    let stats = readers.finish(&mut report, &mut history).await;
    report.record("turns seen on streams", stats.turns.len());
    let recoveries: u64 = history.runs().map(|run| run.recoveries).sum();
    report.record("recoveries", recoveries);
    report.record("repeated calls", repeated_calls(&history));
    let listed = count_listed_suites(&user).await;
    report.require("created suites", listed, suites.len(), listed == suites.len());
    let limits = Limits { repeated_calls: in_flight, ..Limits::per_user(RUNS_PER_USER) };
    report.violations(&check(&history, &limits));
    report
}

/// Counts the suites on all pages of the list.
async fn count_listed_suites(user: &ApiClient) -> usize {
    let mut count = 0;
    let mut path = "/suites?limit=100".to_owned();
    loop {
        let page = user.get(&path).await;
        count += page["items"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next"].as_str() else { return count };
        path = format!("/suites?limit=100&cursor={next}");
    }
}
