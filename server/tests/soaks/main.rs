//! A small dose of each soak: the real binary under faults for a few seconds.
//! The long forms are `cargo xtask soak NAME --long`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

use soak::house::Binary;
use soak::report::Dose;
use soak::soaks;

/// The figures of time are the command's promise on a machine of its own.
/// Here a server without optimisation shares two cores with other tests.
const PATIENCE: f64 = 10.0;

fn dose(seconds: u64) -> Dose {
    Dose { seed: 20_261_125, seconds, long: false, patience: PATIENCE }
}

/// One at a time: each brings a server, a provider and its own load, and what
/// they measure is time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn binary() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_rehearsal"))
}

async fn kept(name: &str, seconds: u64) {
    let _alone = ALONE.lock().await;
    let report = soaks::run(name, &binary(), &dose(seconds)).await.unwrap();
    println!("{report}");
    if let Some(why) = report.skipped() {
        println!("{name}: left out, {why}");
    }
    assert!(report.kept(), "a promise was broken:\n{report}");
}

macro_rules! soaks {
    ($($name:ident: $soak:literal for $seconds:literal s;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                kept($soak, $seconds).await;
            }
        )*
    };
}

soaks! {
    kills_at_random_moments: "kill" for 4 s;
    a_process_that_stood_still: "stop" for 4 s;
    every_fault_at_some_call: "faults" for 4 s;
    a_flood_beside_a_quiet_user: "tenants" for 8 s;
    a_crowd_of_readers: "crowd" for 4 s;
    cancels_around_the_end: "cancel" for 4 s;
    a_disk_that_is_locked_and_full: "disk" for 4 s;
    power_cuts: "power" for 4 s;
    deployments: "deploy" for 5 s;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_only_says_it_syncs_is_noticed() {
    let _alone = ALONE.lock().await;
    match soaks::lying_disk(&binary(), &dose(1)).await {
        Some(lost) => assert!(lost, "what was never synced survived a power cut"),
        None => println!("left out: no file system of our own can be mounted here"),
    }
}
