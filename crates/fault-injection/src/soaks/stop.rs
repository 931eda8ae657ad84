//! SIGSTOP and SIGCONT: a process that stood still and does not know. What it
//! still holds it may go on with; what another took meanwhile it must not
//! touch; cancels that came meanwhile are heard.

use crate::history::{Rules, check, gather, repeated};
use crate::house::{Binary, House, id};
use crate::report::{Dose, Report};
use crate::wall::now_ms;
use crate::world::{PATIENCE, count_runs, finished_somehow, held_runs, owned, start_of};
use reqwest::Method;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};
use mock_provider::Script;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const USER_LIMIT: usize = 16;

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("stop", dose);
    let pause = Duration::from_secs(dose.pick(3, 45));
    let script = Script { latency_ms: 300, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let mut house = House::of(binary).with("REHEARSAL_RUNS_PER_USER", USER_LIMIT).started().await;
    let user = house.user("stop@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    // Three suites: one goes on, one is cancelled, one is taken away.
    let mut suites = Vec::new();
    for _ in 0..3 {
        let body = start_of(&user, &agent, 4, 6, 4).await;
        suites.push(user.make("/suites", &body).await);
    }
    while stand.requests() < 20 {
        sleep(Duration::from_millis(10)).await;
    }

    let hold = Duration::from_secs(dose.pick(2, 8));
    let taken = stand_still(&mut house, &suites[2], pause + hold).await;
    let in_flight = held_runs(&house).await;
    let cancelled = id(&suites[1]);
    let cancel = {
        let (user, path) = (user.clone(), format!("/suites/{cancelled}/cancel"));
        tokio::spawn(async move { user.ask(Method::POST, &path).send().await })
    };
    sleep(pause).await;
    let calls_before = stand.requests();
    house.resume();
    let woke = Instant::now();
    report.count("stood still", format!("{} s, {in_flight} runs in flight", pause.as_secs()));
    report.count("runs taken by another meanwhile", taken.len());

    // As long as they are another's, nothing happens to them.
    let until = hold.saturating_sub(Duration::from_millis(500));
    sleep(until.saturating_sub(woke.elapsed())).await;
    let mut database = crate::history::open_database(house.data()).await;
    let mut touched = 0;
    for before in &taken {
        touched += usize::from(Taken::look(&mut database, &before.run).await != *before);
    }
    drop(database);
    report.none("of these, written to by the one that lost them", touched);
    report.count("calls right after waking", stand.requests() - calls_before);

    let heard = cancel.await.unwrap().is_ok_and(|answer| answer.status().is_success());
    report.promise("a cancel during the standstill", told(heard), "heard", heard);
    for suite in &suites {
        finished_somehow(&user, &id(suite)).await;
    }
    report.count("all ended after waking", format!("{} s", woke.elapsed().as_secs()));
    let status = user.get(&format!("/suites/{cancelled}")).await["status"].clone();
    report.promise("the cancelled suite", &status, "cancelled", status == "cancelled");
    let suites = owned(&user, suites);
    let counts = count_runs(&mut report, &suites).await;
    let errors = counts.get("error").copied().unwrap_or(0);
    report.none("runs that ended as errors", usize::try_from(errors).unwrap_or(usize::MAX));
    let history = gather(&house, &suites, &[&stand]).await;
    report.count("calls made again", repeated(&history));
    let rules = Rules {
        most_repeated: in_flight.max(taken.len()),
        runs_per_user: USER_LIMIT,
        ..Rules::default()
    };
    report.violations(&check(&history, &rules));
    report
}

fn told(heard: bool) -> &'static str {
    if heard { "heard" } else { "not heard" }
}

/// What there is of a run in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    run: String,
    attempt: i64,
    status: String,
    turns: i64,
    calls: i64,
    calls_done: i64,
    events: i64,
}

impl Taken {
    async fn look(database: &mut SqliteConnection, run: &str) -> Self {
        let row = sqlx::query(
            "SELECT attempt, status, \
             (SELECT count(*) FROM turns t WHERE t.run_id = r.id) AS turns, \
             (SELECT count(*) FROM calls c WHERE c.run_id = r.id) AS calls, \
             (SELECT count(*) FROM calls c WHERE c.run_id = r.id AND c.done_at IS NOT NULL) AS done, \
             (SELECT count(*) FROM events e WHERE e.suite_id = r.suite_id AND e.run_id = r.id) AS events \
             FROM runs r WHERE lower(hex(id)) = ?",
        );
        let row = row.bind(run).fetch_one(database).await.unwrap();
        Self {
            run: run.to_owned(),
            attempt: row.get("attempt"),
            status: row.get("status"),
            turns: row.get("turns"),
            calls: row.get("calls"),
            calls_done: row.get("done"),
            events: row.get("events"),
        }
    }
}

/// Stops the process and takes the runs of a suite that it holds away from it,
/// as the reaper and a claim of another server would.
async fn stand_still(house: &mut House, suite: &serde_json::Value, hold: Duration) -> Vec<Taken> {
    let file = crate::history::database_file(house.data());
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(1));
    let mut database = options.connect().await.unwrap();
    let until = now_ms() + i64::try_from(hold.as_millis()).unwrap();
    let began = Instant::now();
    loop {
        house.pause();
        let took = sqlx::query(
            "UPDATE runs SET attempt = attempt + 1, lease_owner = 'another server', lease_until = ? \
             WHERE lower(hex(suite_id)) = ? AND status = 'running' AND lease_owner IS NOT NULL \
             RETURNING lower(hex(id)) AS run",
        );
        let suite = id(suite).replace('-', "");
        match took.bind(until).bind(suite).fetch_all(&mut database).await {
            Ok(rows) => {
                let mut taken = Vec::new();
                for row in rows {
                    taken.push(Taken::look(&mut database, row.get("run")).await);
                }
                return taken;
            }
            // It stopped in the middle of a transaction of its own.
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        house.resume();
        sleep(Duration::from_millis(37)).await;
    }
}
