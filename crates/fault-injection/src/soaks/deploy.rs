//! Sends SIGTERM repeatedly under load, as deployments do: the server exits in
//! time, no run counts a recovery, and reconnecting streams miss nothing.

use crate::history::{Limits, check, collect, repeated_calls};
use crate::report::{Report, Samples, SoakOptions};
use crate::workload::{
    Workload, create_suite_request, report_run_counts, script_with_latency, server_with_user_limit,
};
use crate::{Binary, Setup};
use std::time::Duration;
use tokio::time::Instant;

const RUNS_PER_USER: usize = 16;
const MAX_EXIT_MS: f64 = 20_000.0;

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("deploy", options);
    let interval = Duration::from_secs(options.choose(2, 20));
    let server = server_with_user_limit(binary, RUNS_PER_USER);
    let Setup { provider, mut server, user, agent } =
        Setup::start(server, script_with_latency(150)).await;
    let body = create_suite_request(&user, &agent, 4, 4, 4).await;
    let workload = Workload::start(&user, &body, options.choose(4, 10), options.choose(3, 5));

    let total = Duration::from_secs(options.choose(options.seconds, options.seconds.max(200)));
    let start = Instant::now();
    let (mut exits, mut failed_exits) = (Samples::default(), 0);
    let (mut open_streams, mut downtimes) = (0, Samples::default());
    while exits.is_empty() || start.elapsed() + interval < total {
        tokio::time::sleep(interval).await;
        open_streams = open_streams.max(workload.readers.unfinished());
        let (status, exit_time) = server.terminate().await;
        exits.add(exit_time.as_secs_f64() * 1000.0);
        failed_exits += usize::from(!status.success());
        let starting = Instant::now();
        server.start().await;
        downtimes.add((exit_time + starting.elapsed()).as_secs_f64() * 1000.0);
    }
    let (suites, readers) = workload.stop().await;
    report.record("stops", exits.len());
    report.record("maximum of open streams", open_streams);
    report.require(
        "from SIGTERM to the exit",
        &exits,
        format!("≤ {MAX_EXIT_MS:.0} ms"),
        exits.quantile(1.0) <= MAX_EXIT_MS,
    );
    report.require_zero("exit codes other than 0", failed_exits);
    report.record("downtime, from SIGTERM to ready", &downtimes);
    report_run_counts(&mut report, &suites).await;

    let mut history = collect(&server, &suites, &[&provider]).await;
    let reader_count = readers.len();
    let stats = readers.finish(&mut report, &mut history).await;
    report.record(
        "events read",
        format!("{} by {reader_count} readers, {} reconnects", stats.events, stats.reconnects),
    );
    let recoveries: u64 = history.runs().map(|run| run.recoveries).sum();
    report.require_zero("counted recoveries", recoveries);
    report.record("repeated calls", repeated_calls(&history));
    let repeated_calls = exits.len() * RUNS_PER_USER;
    let limits = Limits { repeated_calls, ..Limits::per_user(RUNS_PER_USER) };
    report.violations(&check(&history, &limits));
    report
}
