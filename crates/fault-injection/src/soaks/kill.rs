//! kill -9 at random moments under running suites, now and then while the
//! server is still starting: no run is stuck, no turn lost or double, no start
//! made twice, and at most the calls in flight are made again.

use crate::history::{Rules, check, gather, repeated};
use crate::house::{Binary, House, id};
use crate::reader::Reader;
use crate::report::{Dose, Report};
use crate::world::{Load, count_runs, held_runs, owned, start_of};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use mock_provider::Script;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const USER_LIMIT: usize = 40;

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("kill", dose);
    let mut rng = SmallRng::seed_from_u64(dose.seed);
    let (kills, rows) = (dose.pick(usize::MAX, 200), dose.pick(4, 20));
    let began = Instant::now();
    let over = |kills_done| {
        kills_done >= kills || !dose.long && began.elapsed() >= Duration::from_secs(dose.seconds)
    };

    let script = Script { latency_ms: 40, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let mut house = House::of(binary).with("REHEARSAL_RUNS_PER_USER", USER_LIMIT).started().await;
    let user = house.user("kill@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let body = start_of(&user, &agent, 4, 5, 2).await;
    // Each suite is read by a page that comes back after every crash.
    let readers = Arc::new(Mutex::new(Vec::new()));
    let load = {
        let (readers, user_of) = (Arc::clone(&readers), user.clone());
        Load::begin(&user, &body, rows, move |suite| {
            readers.lock().push(Reader::of(&user_of, &id(suite)));
        })
    };

    let (mut done, mut in_boot, mut in_flight) = (0, 0, 0);
    while !over(done) {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_500))).await;
        house.kill();
        in_flight += held_runs(&house).await;
        done += 1;
        // One life in four ends before the server is ready.
        if done % 4 == 0 {
            house.spawn();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..250))).await;
            house.kill();
            in_flight += held_runs(&house).await;
            (done, in_boot) = (done + 1, in_boot + 1);
        }
        house.start().await;
    }
    let suites = owned(&user, load.end().await);
    report.count("kills", format!("{done}, of these {in_boot} during a start"));
    report.count("runs in flight at the kills", in_flight);
    let counts = count_runs(&mut report, &suites).await;
    // A run that was taken up three times without getting further is given up:
    // with lives as short as these that may hit one that did nothing.
    let of = |status: &str| counts.get(status).copied().unwrap_or(0);
    let others = of("error") - of("error/abandoned") + of("failed") + of("cancelled");
    report.none(
        "runs that ended otherwise than passed or abandoned",
        usize::try_from(others).unwrap(),
    );
    report.count("calls that the provider saw", stand.requests());

    let mut history = gather(&house, &suites, &[&stand]).await;
    let mut readers = std::mem::take(&mut *readers.lock());
    let (mut turns, mut strayed, mut lost) = (0, 0, 0);
    for reader in &mut readers {
        lost += usize::from(!reader.ended(Duration::from_secs(30)).await);
        reader.look(|seen| {
            strayed += seen.gaps + seen.doubles;
            turns += seen.announced.len();
            history.announced.extend(seen.announced.iter().cloned());
        });
    }
    report.count("turns announced on streams", turns);
    report.none("events that a reader missed or got twice", strayed);
    report.none("readers that never saw the end", lost);
    let recovered: u64 =
        history.suites.iter().flat_map(|suite| &suite.runs).map(|run| run.recoveries).sum();
    report.count("runs taken up again", recovered);
    report.count("calls made again", repeated(&history));
    let listed = suites_listed(&user).await;
    report.promise("suites made", listed, suites.len(), listed == suites.len());
    let rules = Rules { most_repeated: in_flight, runs_per_user: USER_LIMIT, ..Rules::default() };
    report.violations(&check(&history, &rules));
    report
}

/// How many suites there are, over all pages of the list.
async fn suites_listed(user: &crate::house::User) -> usize {
    let mut count = 0;
    let mut path = "/suites?limit=100".to_owned();
    loop {
        let page = user.get(&path).await;
        count += page["items"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next"].as_str() else { return count };
        path = format!("/suites?limit=100&cursor={next}");
    }
}
