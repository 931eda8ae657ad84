//! Cancels runs at about the time when they finish: each run has one outcome,
//! and API, events and page agree on it.

use crate::browser_session::BrowserSession;
use crate::history::{Limits, check, collect};
use crate::report::{Report, SoakOptions};
use crate::workload::{
    TIMEOUT, create_suite_request, report_run_counts, script_with_latency, server_with_user_limit,
    suite_duration,
};
use crate::{ApiClient, Binary, Setup, id};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, StatusCode};
use std::collections::HashMap;
use tokio::time::Instant;

/// Runs of one suite, which start together.
const RUNS: usize = 10;

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("cancel", options);
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let wanted = options.choose(100, 1_000);
    let server = server_with_user_limit(binary, RUNS);
    let Setup { provider, server, user, agent } =
        Setup::start(server, script_with_latency(40)).await;
    let body = create_suite_request(&user, &agent, RUNS, 1, RUNS).await;

    let suite = user.create("/suites", &body).await;
    let uncancelled = suite_duration(&user.wait_for_suite_within(&id(&suite), TIMEOUT).await);
    let mut delay = uncancelled;
    let mut suites = Vec::new();
    let mut responses: HashMap<String, StatusCode> = HashMap::new();
    while responses.len() < wanted {
        let suite = user.create("/suites", &body).await;
        let start = Instant::now();
        let cancels = suite["runs"].as_array().unwrap().iter().map(|run| {
            let at = delay.mul_f64(rng.random_range(0.7..1.3));
            cancel_at(&user, id(run), start + at)
        });
        let all = futures::future::join_all(cancels).await;
        // Searches for the delay at which half of the cancels come too late,
        // and follows it when the machine gets slower or faster.
        let late = all.iter().filter(|(_, status)| *status == StatusCode::CONFLICT).count();
        delay = delay.mul_f64(if 2 * late > RUNS { 0.85 } else { 1.15 });
        responses.extend(all);
        user.wait_for_suite_within(&id(&suite), TIMEOUT).await;
        suites.push((user.clone(), suite));
    }

    let count = |status| responses.values().filter(|response| **response == status).count();
    let (accepted, conflict) = (count(StatusCode::ACCEPTED), count(StatusCode::CONFLICT));
    report.record("cancels", responses.len());
    report.record("duration of a suite without cancels", format!("{} ms", uncancelled.as_millis()));
    report.record("final delay of the cancels", format!("{} ms", delay.as_millis()));
    report.record("202 responses", accepted);
    report.record("409 responses", conflict);
    report.require_zero("other responses", responses.len() - accepted - conflict);
    let counts = report_run_counts(&mut report, &suites).await;
    let [cancelled, passed] =
        ["cancelled", "passed"].map(|status| counts.get(status).copied().unwrap_or(0));
    // Otherwise the cancels missed the end of the runs and show nothing.
    let both = cancelled > 0 && passed > 0;
    report.require("both outcomes occur", format!("{cancelled} and {passed}"), "> 0", both);

    let history = collect(&server, &suites, &[&provider]).await;
    let browser = BrowserSession::sign_in(&server, &user).await;
    let (mut refused_and_cancelled, mut page_differs, mut event_differs) = (0, 0, 0);
    let mut accepted_and_finished = 0;
    for suite in &history.suites {
        for run in &suite.runs {
            let uuid = hyphenated(&run.id);
            let refused = responses.get(&uuid) == Some(&StatusCode::CONFLICT);
            accepted_and_finished += usize::from(!refused && run.status != "cancelled");
            refused_and_cancelled += usize::from(refused && run.status == "cancelled");
            page_differs += usize::from(browser.run_status(&uuid).await != run.status);
            event_differs += usize::from(suite.statuses_of(&run.id).last() != Some(&*run.status));
        }
    }
    // The run was finishing already: its first final status stays.
    report.record("accepted cancels of runs that finished", accepted_and_finished);
    report.require_zero("refused cancels of runs that were cancelled", refused_and_cancelled);
    report.require_zero("runs with another status on their page", page_differs);
    report.require_zero("runs with another status in their last event", event_differs);
    report.violations(&check(&history, &Limits::per_user(RUNS)));
    report
}

async fn cancel_at(user: &ApiClient, run: String, at: Instant) -> (String, StatusCode) {
    tokio::time::sleep_until(at).await;
    let response = user.request(Method::POST, &format!("/runs/{run}/cancel")).send().await;
    (run, response.unwrap().status())
}

/// Adds the hyphens to a hexadecimal UUID.
fn hyphenated(hex: &str) -> String {
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
