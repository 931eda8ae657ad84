//! One user floods a dead provider; another one's runs take as long as they
//! do without. Both are measured at the same time on the same machine: two
//! servers, the same load, and in one of them the flood.

use crate::house::{Binary, House, User, id};
use crate::report::{Dose, Figures, Report};
use crate::wall::read_ms;
use crate::world::{PATIENCE, start_of};
use parking_lot::Mutex;
use serde_json::{Value, json};
use mock_provider::{Action, Manners, Rule, Script, rough};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the product promises.
const FACTOR: f64 = 1.1;
/// Runs of each flooding suite at once: both fill what a user may have.
const AT_ONCE: usize = 8;
/// How often each scenario of the flood.
const REPEATS: usize = 10;

struct Side {
    house: House,
    user: User,
    start: Value,
}

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("tenants", dose);
    let flood = dose.pick(100, 500);
    let script = Script { latency_ms: 100, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let alone = side(binary, &stand.openai_url()).await;
    let flooded = side(binary, &stand.openai_url()).await;
    // Dead in two ways: nobody listens any more, and somebody takes in and is
    // silent. A start is refused where nobody listens at all, so that one dies
    // after it.
    let dying = mock_provider::start(Script::of([Rule::always(Action::Hang)])).await.unwrap();
    let silent = rough(Manners::Silent).await.unwrap();
    let loud = flooded.house.user("flood@example.org");
    let mut floods = Vec::new();
    for url in [dying.openai_url(), silent.openai_url()] {
        floods.push(Flood::begin(&loud, &url, flood / 2).await);
    }
    drop(dying);
    // Measured is what happens during the flood, not its start.
    measure(&alone, &flooded, 2).await;

    let mut both = [Figures::default(), Figures::default()];
    let began = Instant::now();
    let enough = |figures: &Figures| {
        let timed = began.elapsed() >= Duration::from_secs(dose.seconds.saturating_sub(5));
        figures.len() >= dose.pick(20, 400) || !dose.long && timed && figures.len() >= 10
    };
    while !enough(&both[0]) {
        let (one, other) = measure(&alone, &flooded, 1).await;
        both[0].join(&one);
        both[1].join(&other);
    }
    let (mut begun, mut still_waiting) = (0, 0);
    for flood in &floods {
        let (of_it, waiting) = flood.count(&loud).await;
        (begun, still_waiting) = (begun + of_it, still_waiting + waiting);
    }
    report.count("flood", format!("{begun} runs, {still_waiting} of them unfinished at the end"));
    report.promise("the flood lasted", still_waiting, "> 0", still_waiting > 0);
    report.count("calls into the silent half", silent.taken());
    report.count("a run alone", &both[0]);
    report.count("the same beside the flood", &both[1]);
    let [alone, flooded] = both.each_ref().map(|figures| figures.quantile(0.99));
    let factor = flooded / alone.max(1.0);
    // Both sides share the machine, so slowness alone is no excuse.
    let limit = FACTOR * dose.patience.min(2.0);
    report.promise(
        "p99 beside the flood / alone",
        format!("{factor:.2}"),
        format!("≤ {limit:.2}"),
        factor <= limit,
    );
    let medians = both[1].quantile(0.5) / both[0].quantile(0.5).max(1.0);
    report.count("p50 beside the flood / alone", format!("{medians:.2}"));
    report
}

async fn side(binary: &Binary, provider: &str) -> Side {
    let house = House::of(binary).with("REHEARSAL_RUNS_PER_USER", 2 * AT_ONCE).started().await;
    let user = house.user("quiet@example.org");
    let agent = user.agent("openai", provider).await;
    let start = start_of(&user, &agent, 1, 3, 1).await;
    Side { house, user, start }
}

/// Suites of runs that can only fail, one after the other.
struct Flood {
    started: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Flood {
    async fn begin(user: &User, url: &str, runs: usize) -> Self {
        let agent = user.agent("openai", url).await;
        let mut start = start_of(user, &agent, runs / REPEATS, 3, AT_ONCE).await;
        start["repeats"] = json!(REPEATS);
        let first = id(&user.make("/suites", &start).await);
        let started = Arc::new(Mutex::new(vec![first.clone()]));
        let (user, list) = (user.clone(), Arc::clone(&started));
        let task = tokio::spawn(async move {
            let mut last = first;
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let suite = user.try_get(&format!("/suites/{last}")).await.unwrap_or_default();
                if suite["status"] != "finished" {
                    continue;
                }
                // Refused where nobody listens any more: then it is over.
                let answer = user.post("/suites", &start).await;
                let Ok(suite) = answer.json::<Value>().await else { continue };
                if let Some(id) = suite["id"].as_str() {
                    id.clone_into(&mut last);
                    list.lock().push(last.clone());
                }
            }
        });
        Self { started, task }
    }

    /// Runs so far, and those of them that have not ended.
    async fn count(&self, user: &User) -> (u64, u64) {
        let suites = self.started.lock().clone();
        let (mut all, mut waiting) = (0, 0);
        for suite in suites {
            let suite = user.get(&format!("/suites/{suite}")).await;
            all += suite["total"].as_u64().unwrap_or(0);
            for status in ["pending", "running"] {
                waiting += suite["counts"][status].as_u64().unwrap_or(0);
            }
        }
        (all, waiting)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The same load on both sides at the same time.
async fn measure(one: &Side, other: &Side, times: usize) -> (Figures, Figures) {
    tokio::join!(load(one, times), load(other, times))
}

/// How long runs took from their start to their end, by the server's clock.
async fn load(side: &Side, times: usize) -> Figures {
    let mut figures = Figures::default();
    for _ in 0..times {
        let suite = side.user.make("/suites", &side.start).await;
        let suite = side.user.finished_within(&id(&suite), PATIENCE).await;
        assert_eq!(suite["counts"]["passed"], 1, "{} at {}", suite["counts"], side.house.addr);
        let at = |name: &str| suite[name].as_str().and_then(read_ms).unwrap();
        #[allow(clippy::cast_precision_loss)] // milliseconds of a soak
        figures.add((at("finished_at") - at("created_at")) as f64);
    }
    figures
}
