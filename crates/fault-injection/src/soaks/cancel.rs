//! Cancels around the moment of finishing: each run has one outcome, and API,
//! events and page say the same.

use crate::history::{Rules, Told, check, gather};
use crate::house::{Binary, House, User, id};
use crate::page::Visitor;
use crate::report::{Dose, Report};
use crate::world::{PATIENCE, count_runs, owned, start_of};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use mock_provider::Script;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Runs of one suite, which begin together.
const TOGETHER: usize = 10;

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("cancel", dose);
    let mut rng = SmallRng::seed_from_u64(dose.seed);
    let wanted = dose.pick(100, 1_000);
    let script = Script { latency_ms: 40, forget_bodies: true, ..Script::default() };
    let stand = mock_provider::start(script).await.unwrap();
    let house = House::of(binary).with("REHEARSAL_RUNS_PER_USER", TOGETHER).started().await;
    let user = house.user("cancel@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let body = start_of(&user, &agent, TOGETHER, 1, TOGETHER).await;

    let undisturbed = undisturbed(&user, &body).await;
    let mut moment = undisturbed;
    let mut suites = Vec::new();
    let mut answers: HashMap<String, StatusCode> = HashMap::new();
    while answers.len() < wanted {
        let suite = user.make("/suites", &body).await;
        let began = Instant::now();
        let cancels = suite["runs"].as_array().unwrap().iter().map(|run| {
            let at = moment.mul_f64(rng.random_range(0.7..1.3));
            cancel_at(&user, id(run), began + at)
        });
        let all = futures::future::join_all(cancels).await;
        // Too late means earlier next time: the moment is looked for, and
        // followed where the machine gets slower or quicker.
        let late = all.iter().filter(|(_, answer)| *answer == StatusCode::CONFLICT).count();
        moment = moment.mul_f64(if 2 * late > TOGETHER { 0.85 } else { 1.15 });
        answers.extend(all);
        user.finished_within(&id(&suite), PATIENCE).await;
        suites.push(suite);
    }

    let suites = owned(&user, suites);
    let count = |status| answers.values().filter(|answer| **answer == status).count();
    report.count("cancels", answers.len());
    report.count("an undisturbed suite takes", format!("{} ms", undisturbed.as_millis()));
    report.count("in the end they came after", format!("{} ms", moment.as_millis()));
    report.count("answered 202", count(StatusCode::ACCEPTED));
    report.count("answered 409", count(StatusCode::CONFLICT));
    let strange = answers.len() - count(StatusCode::ACCEPTED) - count(StatusCode::CONFLICT);
    report.none("answered anything else", strange);
    let counts = count_runs(&mut report, &suites).await;
    let [cancelled, passed] =
        ["cancelled", "passed"].map(|status| counts.get(status).copied().unwrap_or(0));
    // Otherwise the cancels did not hit the moment, and nothing was shown.
    let both = cancelled > 0 && passed > 0;
    report.promise("both outcomes occur", format!("{cancelled} and {passed}"), "> 0", both);

    let history = gather(&house, &suites, &[&stand]).await;
    let visitor = Visitor::of(&house, &user).await;
    let (mut refused_and_cancelled, mut page_differs, mut event_differs) = (0, 0, 0);
    let mut finished_all_the_same = 0;
    for suite in &history.suites {
        for run in &suite.runs {
            let dashed = dashed(&run.id);
            let refused = answers.get(&dashed) == Some(&StatusCode::CONFLICT);
            finished_all_the_same += usize::from(!refused && run.status != "cancelled");
            refused_and_cancelled += usize::from(refused && run.status == "cancelled");
            page_differs += usize::from(visitor.run_status(&dashed).await != run.status);
            let last = suite.events.iter().rev().find_map(|event| match &event.what {
                Told::Run { run: id, status } if *id == run.id => Some(status),
                _ => None,
            });
            event_differs += usize::from(last != Some(&run.status));
        }
    }
    // It was on its way to the end already: the status that came first stays.
    report.count("accepted, and finished all the same", finished_all_the_same);
    report.none("refused as finished, and cancelled after all", refused_and_cancelled);
    report.none("runs whose page says something else", page_differs);
    report.none("runs whose last event says something else", event_differs);
    let rules = Rules { runs_per_user: TOGETHER, ..Rules::default() };
    report.violations(&check(&history, &rules));
    report
}

/// How long such a suite takes when nobody cancels it.
async fn undisturbed(user: &User, body: &Value) -> Duration {
    let began = Instant::now();
    let suite = user.make("/suites", body).await;
    loop {
        let suite = user.get(&format!("/suites/{}", id(&suite))).await;
        if suite["status"] == "finished" {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "a suite does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn cancel_at(user: &User, run: String, at: Instant) -> (String, StatusCode) {
    tokio::time::sleep_until(at).await;
    let answer = user.ask(Method::POST, &format!("/runs/{run}/cancel")).send().await;
    (run, answer.unwrap().status())
}

/// An id in hexadecimal, with its dashes.
fn dashed(bare: &str) -> String {
    let (a, rest) = bare.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    [a, b, c, d, e].join("-")
}
