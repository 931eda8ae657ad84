//! There was no way to stop. Here cancelling means now: within a second no
//! call starts and those in flight are dropped; what was said is kept; and it
//! is a fact in the database, which a kill does not undo.

use super::outside::{
    SOON, about, assert_endings, binary, ending, runs, scenarios, start, until, whole_runs,
};
use serde_json::{Value, json};
use fault_injection::house::{House, User};
use mock_provider::{Action, Outcome, Script, Stand};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RUNS: usize = 12;
const AT_ONCE: usize = 4;

/// A suite whose second calls hang.
async fn hanging(user: &User, stand: &Stand) -> String {
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(user, "S", RUNS, 3).await;
    let suite = start(user, &agent, &all, json!({"concurrency": AT_ONCE})).await;
    until("the second calls hang", SOON, async || open(stand) == AT_ONCE).await;
    suite
}

fn open(stand: &Stand) -> usize {
    stand.journal().iter().filter(|entry| entry.outcome == Outcome::Open).count()
}

async fn cancel(user: &User, path: &str) -> (u16, Value) {
    let answer = user.post(&format!("{path}/cancel"), &json!({})).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn within_a_second_nothing_is_called_any_more_and_what_was_said_is_kept() {
    let stand = mock_provider::start(Script::of([about("question 1", Action::Hang)])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("stop@example.org");
    let suite = hanging(&user, &stand).await;
    let (asked, path) = (Instant::now(), format!("/suites/{suite}"));
    assert_eq!(cancel(&user, &path).await.0, 202);
    until("all is over", Duration::from_secs(1), async || {
        user.get(&path).await["status"] == "cancelled" && open(&stand) == 0
    })
    .await;
    assert!(asked.elapsed() <= Duration::from_millis(1500), "{:?}", asked.elapsed());
    let calls = stand.journal().len();
    let suite = user.get(&path).await;
    assert_endings(&suite, &[("cancelled", RUNS)]);
    let begun: Vec<_> = whole_runs(&user, &suite)
        .await
        .into_iter()
        .filter(|run| !run["transcript"].as_array().unwrap().is_empty())
        .collect();
    assert_eq!(begun.len(), AT_ONCE);
    assert!(begun.iter().all(|run| run["transcript"].as_array().unwrap().len() == 3));
    assert!(begun.iter().all(|run| run["passed"].is_null() && run["score"].is_null()));

    // Again is fine, and nothing comes after.
    assert_eq!(cancel(&user, &path).await.0, 202);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(stand.journal().len(), calls, "no call started after it");
    let dropped = stand.journal().iter().filter(|e| e.outcome == Outcome::Dropped).count();
    assert_eq!(dropped, AT_ONCE, "the calls in flight were dropped");
    assert_eq!(user.get(&path).await, suite, "final is final");
}

#[tokio::test]
async fn one_run_alone_is_stopped_and_its_neighbours_go_on() {
    let stand = mock_provider::start(Script::of([about("S0 question 1", Action::Hang)])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("stop@example.org");
    let agent = user.agent("anthropic", &stand.anthropic_url()).await;
    let all = scenarios(&user, "S", 3, 2).await;
    let suite = start(&user, &agent, &all, json!({})).await;
    until("the others are through", SOON, async || {
        user.get(&format!("/suites/{suite}")).await["counts"]["passed"] == 2
    })
    .await;
    let run = user.get(&format!("/suites/{suite}")).await["runs"][0].clone();
    let path = format!("/runs/{}", run["id"].as_str().unwrap());
    assert_eq!(cancel(&user, &path).await.0, 202);
    let suite = user.finished_within(&suite, Duration::from_secs(5)).await;
    assert_endings(&suite, &[("cancelled", 1), ("passed", 2)]);
    assert_eq!(suite["pass_rate"], 1.0, "who was stopped has not failed");
    // What finished otherwise cannot be stopped any more.
    let passed = runs(&suite)[1].clone();
    let path = format!("/runs/{}", passed["id"].as_str().unwrap());
    assert_eq!(cancel(&user, &path).await.0, 409);
    assert_eq!(ending(&user.get(&path).await), "passed");
}

#[tokio::test]
async fn a_kill_after_it_undoes_nothing() {
    let stand = mock_provider::start(Script::of([about("question 1", Action::Hang)])).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("stop@example.org");
    let suite = hanging(&user, &stand).await;
    assert_eq!(cancel(&user, &format!("/suites/{suite}")).await.0, 202);
    house.kill();
    stand.play(Script::default());
    let calls = stand.journal().len();
    house.start().await;
    let suite = user.finished_within(&suite, Duration::from_secs(5)).await;
    assert_eq!(suite["status"], "cancelled");
    assert_endings(&suite, &[("cancelled", RUNS)]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stand.journal().len(), calls, "the next life calls nobody for it");
}
