//! Power cuts: the database is on a disk that loses unsynced writes. Whatever
//! was acknowledged survives.

use crate::disk::CrashDisk;
use crate::history::{Limits, check, collect, repeated_calls};
use crate::report::{Report, SoakOptions};
use crate::workload::{
    Workload, create_suite_request, report_run_counts, script_with_latency, server_with_user_limit,
};
use crate::{Binary, Setup, TestServer};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RUNS_PER_USER: usize = 16;

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("power", options);
    let mut rng = SmallRng::seed_from_u64(options.seed);
    match CrashDisk::mount() {
        Ok(disk) => {
            cut_during_first_start(&mut report, binary, options, &mut rng).await;
            cut_under_load(&mut report, disk, binary, options, &mut rng).await;
        }
        Err(error) => report.skip(format!("cannot mount a FUSE file system ({error})")),
    }
    report
}

/// Cuts the power while the first start creates key and database. The next
/// start succeeds whatever is left of them.
async fn cut_during_first_start(
    report: &mut Report,
    binary: &Binary,
    options: &SoakOptions,
    rng: &mut SmallRng,
) {
    let rounds = options.choose(4, 40);
    let mut failed = Vec::new();
    for _ in 0..rounds {
        let mut disk = CrashDisk::mount().unwrap();
        let mut server = TestServer::new(binary).with_data_dir(disk.path());
        server.spawn();
        sleep(Duration::from_millis(rng.random_range(20..400))).await;
        disk.cut_power(rng);
        server.kill_if_running();
        disk.restore_power().unwrap();
        server.spawn();
        if !server.wait_until_ready(Duration::from_secs(20)).await {
            failed.push(server.log());
        }
        drop(server);
    }
    report.require(
        "failed starts after an interrupted first start",
        format!("{} of {rounds}", failed.len()),
        0,
        failed.is_empty(),
    );
    if let Some(log) = failed.first() {
        report.record("log of the first", log);
    }
}

/// Shows that the soak detects lost writes: returns whether a disk that ignores
/// every sync loses acknowledged data, or `None` where it cannot be mounted.
pub async fn disk_that_ignores_sync(binary: &Binary, options: &SoakOptions) -> Option<bool> {
    let mut disk = CrashDisk::mount_ignoring_sync().ok()?;
    let mut server = TestServer::new(binary).with_data_dir(disk.path()).started().await;
    let user = server.create_user("unsynced@example.org");
    disk.cut_power(&mut SmallRng::seed_from_u64(options.seed));
    server.kill_if_running();
    disk.restore_power().unwrap();
    server.start().await;
    let lost = user.try_get("/suites").await.is_err();
    drop(server);
    Some(lost)
}

async fn cut_under_load(
    report: &mut Report,
    mut disk: CrashDisk,
    binary: &Binary,
    options: &SoakOptions,
    rng: &mut SmallRng,
) {
    let max_cuts = options.choose(usize::MAX, 50);
    let server = server_with_user_limit(binary, RUNS_PER_USER).with_data_dir(disk.path());
    let Setup { provider, mut server, user, agent } =
        Setup::start(server, script_with_latency(40)).await;
    let body = create_suite_request(&user, &agent, 4, 5, 4).await;
    let workload = Workload::start(&user, &body, options.choose(3, 4), 1);

    let start = Instant::now();
    let (mut cuts, mut unsynced, mut lost) = (0, 0, 0);
    let time_left = |start: Instant| start.elapsed() < Duration::from_secs(options.seconds);
    while cuts < max_cuts && (options.long || cuts == 0 || time_left(start)) {
        sleep(Duration::from_millis(rng.random_range(200..1_500))).await;
        let cut = disk.cut_power(rng);
        server.kill_if_running();
        cuts += 1;
        unsynced += cut.unsynced;
        lost += cut.lost;
        disk.restore_power().unwrap();
        server.start().await;
    }
    let (suites, readers) = workload.stop().await;
    report.record("power cuts", cuts);
    report.record("unsynced writes", format!("{unsynced}, {lost} of them lost"));
    report_run_counts(report, &suites).await;
    let mut history = collect(&server, &suites, &[&provider]).await;
    let stats = readers.finish(report, &mut history).await;
    report.record("turns seen on streams", stats.turns.len());
    report.record("repeated calls", repeated_calls(&history));
    // The calls in flight at a cut are repeated.
    let repeated_calls = cuts * RUNS_PER_USER;
    let limits = Limits { repeated_calls, ..Limits::per_user(RUNS_PER_USER) };
    let found = check(&history, &limits);
    let lost = found.iter().filter(|violation| violation.guarantee == "observed turns stay");
    report.require_zero("lost acknowledged turns", lost.count());
    report.violations(&found);
    // The server uses the disk.
    drop(server);
}
