//! A small dose of each soak: the real binary under faults for a few seconds.
//! The long forms are `cargo xtask soak NAME --long`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)] // tests

use fault_injection::house::Binary;
use fault_injection::report::Dose;
use fault_injection::soaks;

/// The figures of time are the command's promise on a machine of its own.
/// Here a server without optimisation shares two cores with other tests.
const PATIENCE: f64 = 10.0;

fn dose(seconds: u64) -> Dose {
    Dose { seed: 20_261_125, seconds, long: false, patience: PATIENCE }
}

/// Soaks that measure time write here, and so have the machine to themselves,
/// as far as these tests go; the others wait most of the time and may do so
/// together.
static MACHINE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

fn binary() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_rehearsal"))
}

async fn alone(name: &str, seconds: u64) {
    let _alone = MACHINE.write().await;
    kept(name, seconds).await;
}

async fn together(name: &str, seconds: u64) {
    let _together = MACHINE.read().await;
    kept(name, seconds).await;
}

async fn kept(name: &str, seconds: u64) {
    let report = soaks::run(name, &binary(), &dose(seconds)).await.unwrap();
    println!("{report}");
    if let Some(why) = report.skipped() {
        println!("{name}: left out, {why}");
    }
    assert!(report.kept(), "a promise was broken:\n{report}");
}

macro_rules! soaks {
    ($($name:ident: $soak:literal for $seconds:literal s, $how:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $how($soak, $seconds).await;
            }
        )*
    };
}

soaks! {
    kills_at_random_moments: "kill" for 4 s, together;
    a_process_that_stood_still: "stop" for 4 s, together;
    every_fault_at_some_call: "faults" for 4 s, together;
    a_flood_beside_a_quiet_user: "tenants" for 8 s, alone;
    a_crowd_of_readers: "crowd" for 4 s, alone;
    cancels_around_the_end: "cancel" for 4 s, together;
    a_disk_that_is_locked_and_full: "disk" for 4 s, together;
    power_cuts: "power" for 4 s, together;
    deployments: "deploy" for 5 s, together;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_only_says_it_syncs_is_noticed() {
    let _together = MACHINE.read().await;
    match soaks::lying_disk(&binary(), &dose(1)).await {
        Some(lost) => assert!(lost, "what was never synced survived a power cut"),
        None => println!("left out: no file system of our own can be mounted here"),
    }
}
