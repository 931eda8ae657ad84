//! Power cuts: the database stands on a disk that keeps what was not synced
//! only until then. What anybody was told is there afterwards.

use crate::disk::Forgetful;
use crate::history::{Rules, check, gather, repeated};
use crate::house::{Binary, House, id};
use crate::reader::Reader;
use crate::report::{Dose, Report};
use crate::world::{Load, count_runs, owned, start_of};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use mock_provider::Script;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const USER_LIMIT: usize = 16;

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("power", dose);
    let mut rng = SmallRng::seed_from_u64(dose.seed);
    match Forgetful::mount() {
        Ok(disk) => {
            first_starts(&mut report, binary, dose, &mut rng).await;
            under_load(&mut report, disk, binary, dose, &mut rng).await;
        }
        Err(error) => {
            report.skip(format!("no file system of our own can be mounted here ({error})"));
        }
    }
    report
}

/// The power fails while the very first start makes key and database: the
/// next start comes up, whatever of them is left.
async fn first_starts(report: &mut Report, binary: &Binary, dose: &Dose, rng: &mut SmallRng) {
    let rounds = dose.pick(4, 40);
    let mut stuck = Vec::new();
    for _ in 0..rounds {
        let mut disk = Forgetful::mount().unwrap();
        let mut house = House::of(binary).over(disk.path());
        house.spawn();
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await;
        disk.cut(rng);
        house.end();
        disk.restore().unwrap();
        house.spawn();
        if !house.comes_up(Duration::from_secs(20)).await {
            stuck.push(house.log());
        }
        drop(house);
    }
    report.promise(
        "first starts cut short after which it did not come up",
        format!("{} of {rounds}", stuck.len()),
        0,
        stuck.is_empty(),
    );
    if let Some(log) = stuck.first() {
        report.count("such as", log);
    }
}

/// The same on a disk that only says it syncs. It shows that the soak would
/// notice: what it answers must not be kept. `None` where nothing can be
/// mounted.
pub async fn lying_disk(binary: &Binary, dose: &Dose) -> Option<bool> {
    let disk = Forgetful::mount_lying().ok()?;
    let mut house = House::of(binary).over(disk.path()).started().await;
    let mut disk = disk;
    let user = house.user("lying@example.org");
    disk.cut(&mut SmallRng::seed_from_u64(dose.seed));
    house.end();
    disk.restore().unwrap();
    house.start().await;
    let lost = user.try_get("/suites").await.is_err();
    drop(house);
    Some(lost)
}

async fn under_load(
    report: &mut Report,
    mut disk: Forgetful,
    binary: &Binary,
    dose: &Dose,
    rng: &mut SmallRng,
) {
    let cuts = dose.pick(usize::MAX, 50);
    let script = Script { latency_ms: 40, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let house = House::of(binary).with("REHEARSAL_RUNS_PER_USER", USER_LIMIT);
    let mut house = house.over(disk.path()).started().await;
    let user = house.user("power@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let body = start_of(&user, &agent, 4, 5, 4).await;
    let readers = Arc::new(Mutex::new(Vec::new()));
    let load = {
        let (readers, user_of) = (Arc::clone(&readers), user.clone());
        Load::begin(&user, &body, dose.pick(3, 4), move |suite| {
            readers.lock().push(Reader::of(&user_of, &id(suite)));
        })
    };

    let began = Instant::now();
    let (mut done, mut unsynced, mut lost) = (0, 0, 0);
    while done < cuts
        && (dose.long || done == 0 || began.elapsed() < Duration::from_secs(dose.seconds))
    {
        tokio::time::sleep(Duration::from_millis(rng.random_range(200..1_500))).await;
        let cut = disk.cut(rng);
        house.end();
        done += 1;
        unsynced += cut.unsynced;
        lost += cut.lost;
        disk.restore().unwrap();
        house.start().await;
    }
    let suites = owned(&user, load.end().await);
    report.count("power cuts", done);
    report.count("writes not synced by then", format!("{unsynced}, of these lost {lost}"));
    count_runs(report, &suites).await;
    let mut history = gather(&house, &suites, &[&stand]).await;
    let mut readers = std::mem::take(&mut *readers.lock());
    let (mut told, mut strayed, mut endless) = (0, 0, 0);
    for reader in &mut readers {
        endless += usize::from(!reader.ended(Duration::from_secs(30)).await);
        reader.look(|seen| {
            told += seen.announced.len();
            strayed += seen.gaps + seen.doubles;
            history.announced.extend(seen.announced.iter().cloned());
        });
    }
    report.count("turns announced on streams", told);
    report.none("events that a reader missed or got twice", strayed);
    report.none("readers that never saw the end", endless);
    report.count("calls made again", repeated(&history));
    let found = check(
        &history,
        // Whatever was in flight at a cut is made again.
        &Rules { most_repeated: done * USER_LIMIT, runs_per_user: USER_LIMIT, ..Rules::default() },
    );
    let gone = found.iter().filter(|found| found.promise == "what was announced stays").count();
    report.none("acknowledged turns lost", gone);
    report.violations(&found);
    drop(house);
}
