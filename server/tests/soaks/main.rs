//! A short run of each soak. `cargo xtask soak NAME --long` runs the full soak.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

use fault_injection::Binary;
use fault_injection::report::SoakOptions;
use fault_injection::soaks;

/// Time limits hold for a release build on an idle machine. Here a debug build
/// shares two cores with other tests.
const TIME_FACTOR: f64 = 10.0;

fn options(seconds: u64) -> SoakOptions {
    SoakOptions { seed: 20_261_125, seconds, long: false, time_factor: TIME_FACTOR }
}

/// Soaks that measure time lock this for writing, so that no other soak runs
/// meanwhile. The others mostly wait and run concurrently.
static MACHINE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

fn binary() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_rehearsal"))
}

async fn exclusive(name: &str, seconds: u64) {
    let _guard = MACHINE.write().await;
    assert_passes(name, seconds).await;
}

async fn shared(name: &str, seconds: u64) {
    let _guard = MACHINE.read().await;
    assert_passes(name, seconds).await;
}

async fn assert_passes(name: &str, seconds: u64) {
    let report = soaks::run(name, &binary(), &options(seconds)).await.unwrap();
    println!("{report}");
    if let Some(reason) = report.skipped() {
        println!("{name}: skipped, {reason}");
    }
    assert!(report.passed(), "a check failed:\n{report}");
}

macro_rules! soaks {
    ($($name:ident: $soak:literal for $seconds:literal s, $mode:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $mode($soak, $seconds).await;
            }
        )*
    };
}

soaks! {
    survives_kills_at_random_moments: "kill" for 4 s, shared;
    survives_suspension_of_the_process: "stop" for 4 s, shared;
    handles_every_provider_fault: "faults" for 4 s, shared;
    flood_does_not_slow_down_other_users: "tenants" for 8 s, exclusive;
    delivers_events_to_many_readers: "crowd" for 4 s, exclusive;
    cancels_at_the_end_of_runs_have_one_outcome: "cancel" for 4 s, shared;
    survives_locked_database_and_full_disk: "disk" for 4 s, shared;
    survives_power_cuts: "power" for 4 s, shared;
    deployments_lose_nothing: "deploy" for 5 s, shared;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_soak_detects_lost_writes() {
    let _guard = MACHINE.read().await;
    match soaks::disk_that_ignores_sync(&binary(), &options(1)).await {
        Some(lost) => assert!(lost, "unsynced data survived a power cut"),
        None => println!("skipped: cannot mount a FUSE file system"),
    }
}
