//! Many users, runs and open pages at once: every reader gets every event,
//! soon after its commit.

use crate::history::{Rules, check, gather};
use crate::house::{Binary, House, id};
use crate::reader::Reader;
use crate::report::{Dose, Figures, Report};
use crate::world::{PATIENCE, count_runs, start_of};
use serde_json::json;
use mock_provider::Script;
use std::time::Duration;
use tokio::time::Instant;

/// Runs of each user.
const RUNS: usize = 10;
/// Readers of each user's suite: their open pages.
const READERS: usize = 10;
/// From commit to the wire.
const LAG_MS: f64 = 100.0;
const MAX_CALLS: usize = 64;
/// Within which all users start: people do not click in the same moment, and
/// a provider that always takes the same time would keep them in step.
const SPREAD: Duration = Duration::from_secs(2);

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("crowd", dose);
    let users = dose.pick(6_u32, 100);
    let script = Script { latency_ms: 500, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let house = House::of(binary).with("REHEARSAL_MAX_CALLS", MAX_CALLS).started().await;
    let mut ready = Vec::new();
    for n in 0..users {
        let user = house.user(&format!("crowd{n}@example.org"));
        let agent = user.agent("openai", &stand.openai_url()).await;
        let mut start = start_of(&user, &agent, 1, 2, 8).await;
        start["repeats"] = json!(RUNS);
        ready.push((user, start));
    }

    let began = Instant::now();
    let mut suites = Vec::new();
    let mut readers = Vec::new();
    for (n, (user, start)) in (0_u32..).zip(ready) {
        tokio::time::sleep_until(began + SPREAD * n / users).await;
        let suite = user.make("/suites", &start).await;
        readers.extend((0..READERS).map(|_| Reader::of(&user, &id(&suite))));
        suites.push((user, suite));
    }
    let mut lost = 0;
    let mut open = 0.0_f64;
    while began.elapsed() < PATIENCE {
        open = open.max(house.metric("rehearsal_open_streams").await);
        if readers.iter().all(|reader| reader.look(|seen| seen.finished)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let wall = began.elapsed();
    let (mut lags, mut events, mut strayed, mut returns) = (Figures::default(), 0, 0, 0);
    for reader in &readers {
        reader.look(|seen| {
            lost += usize::from(!seen.finished);
            strayed += seen.gaps + seen.doubles;
            events += seen.events;
            returns += seen.returns;
            lags.join(&seen.lags);
        });
    }
    report.count("users", format!("{users}, starting within {} s", SPREAD.as_secs()));
    count_runs(&mut report, &suites).await;
    report.count("took", format!("{:.1} s", wall.as_secs_f64()));
    report.count("readers", format!("{}, open at once {open:.0}", readers.len()));
    report.count("events delivered", events);
    let limit = LAG_MS * dose.patience;
    report.promise(
        "from a turn to the wire, its commit included",
        &lags,
        format!("p99 ≤ {limit:.0} ms"),
        !lags.is_empty() && lags.quantile(0.99) <= limit,
    );
    report.none("events that a reader missed or got twice", strayed);
    report.none("readers that never saw the end", lost);
    report.count("times that a reader had to come back", returns);
    let mut history = gather(&house, &suites, &[&stand]).await;
    for reader in &readers {
        reader.look(|seen| history.announced.extend(seen.announced.iter().cloned()));
    }
    let rules = Rules { max_calls: MAX_CALLS, ..Rules::default() };
    report.violations(&check(&history, &rules));
    report
}
