//! SIGTERM again and again under load, as deployments do: the server ends in
//! time, no run counts a recovery, and streams that come back miss nothing.

use crate::history::{Rules, check, gather, repeated};
use crate::house::{Binary, House, id};
use crate::reader::Reader;
use crate::report::{Dose, Figures, Report};
use crate::world::{Load, count_runs, owned, start_of};
use parking_lot::Mutex;
use mock_provider::Script;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const USER_LIMIT: usize = 16;
/// What the product promises.
const LONGEST_MS: f64 = 20_000.0;

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("deploy", dose);
    let (every, rows, readers_each) = (dose.pick(2, 20), dose.pick(4, 10), dose.pick(3, 5));
    let script = Script { latency_ms: 150, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let mut house = House::of(binary).with("REHEARSAL_RUNS_PER_USER", USER_LIMIT).started().await;
    let user = house.user("deploy@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let body = start_of(&user, &agent, 4, 4, 4).await;
    let readers = Arc::new(Mutex::new(Vec::new()));
    let load = {
        let (readers, user_of) = (Arc::clone(&readers), user.clone());
        Load::begin(&user, &body, rows, move |suite| {
            let suite = id(suite);
            let new = (0..readers_each).map(|_| Reader::of(&user_of, &suite));
            readers.lock().extend(new);
        })
    };

    let began = Instant::now();
    let (mut ends, mut bad_ends) = (Figures::default(), 0);
    let (mut open, mut away) = (0, Figures::default());
    while ends.is_empty() || began.elapsed() + Duration::from_secs(every) < total(dose) {
        tokio::time::sleep(Duration::from_secs(every)).await;
        open = open.max(readers.lock().iter().filter(|reader| !over(reader)).count());
        let (status, took) = house.stop().await;
        ends.add(took.as_secs_f64() * 1000.0);
        bad_ends += usize::from(!status.success());
        let starting = Instant::now();
        house.start().await;
        away.add((took + starting.elapsed()).as_secs_f64() * 1000.0);
    }
    let suites = owned(&user, load.end().await);
    report.count("stops", ends.len());
    report.count("streams open at once, most", open);
    report.promise(
        "from SIGTERM to the end",
        &ends,
        format!("≤ {LONGEST_MS:.0} ms"),
        ends.quantile(1.0) <= LONGEST_MS,
    );
    report.none("ends with an exit code other than 0", bad_ends);
    report.count("away, from SIGTERM to ready again", &away);
    count_runs(&mut report, &suites).await;

    let mut history = gather(&house, &suites, &[&stand]).await;
    let mut readers = std::mem::take(&mut *readers.lock());
    let (mut events, mut strayed, mut lost, mut returns) = (0, 0, 0, 0);
    for reader in &mut readers {
        lost += usize::from(!reader.ended(Duration::from_secs(30)).await);
        reader.look(|seen| {
            events += seen.events;
            returns += seen.returns;
            strayed += seen.gaps + seen.doubles;
            history.announced.extend(seen.announced.iter().cloned());
        });
    }
    report.count(
        "events read",
        format!("{events} by {} readers, back {returns} times", readers.len()),
    );
    report.none("events that a reader missed or got twice", strayed);
    report.none("readers that never saw the end", lost);
    let runs = || history.suites.iter().flat_map(|suite| &suite.runs);
    let recoveries: u64 = runs().map(|run| run.recoveries).sum();
    report.none("recoveries counted", usize::try_from(recoveries).unwrap_or(usize::MAX));
    report.count("calls made again", repeated(&history));
    let rules = Rules {
        most_repeated: ends.len() * USER_LIMIT,
        runs_per_user: USER_LIMIT,
        ..Rules::default()
    };
    report.violations(&check(&history, &rules));
    report
}

fn total(dose: &Dose) -> Duration {
    Duration::from_secs(dose.pick(dose.seconds, dose.seconds.max(200)))
}

fn over(reader: &Reader) -> bool {
    reader.look(|seen| seen.finished)
}
