//! Three clicks on "Run all" were three times everything, each sequential
//! inside and all in parallel, until connections and rate limits were used up.
//! Here clicks from three pages are one suite; who wants more at once says so,
//! and then the limits of user and server hold, and users take turns.

use super::outside::{SOON, assert_endings, binary, endings, scenarios, start, start_of, until};
use reqwest::Method;
use serde_json::{Value, json};
use fault_injection::house::{House, id};
use mock_provider::{Entry, Script};

#[tokio::test]
async fn three_clicks_from_three_pages_are_one_suite() {
    let stand = mock_provider::start(Script { latency_ms: 100, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("clicks@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", 4, 2).await;
    let body = start_of(&agent, &all, json!({}));
    // Each page has minted a key of its own.
    let clicks = ["page-1", "page-2", "page-3"].map(|key| {
        user.ask(Method::POST, "/suites").header("Idempotency-Key", key).json(&body).send()
    });
    let mut started = Vec::new();
    for answer in futures::future::join_all(clicks).await {
        let answer = answer.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let body: Value = serde_json::from_str(&text).unwrap();
        match status {
            202 => started.push(id(&body)),
            409 => assert!(text.contains("/suites/"), "the refusal leads to the suite: {text}"),
            other => panic!("{other}: {text}"),
        }
    }
    assert_eq!(started.len(), 1, "one of three begins something");
    assert_endings(&user.finished(&started[0]).await, &[("passed", 4)]);
    assert_eq!(stand.journal().len(), 4 * 3, "everything was asked once");
}

/// The most requests that were being answered at one moment, given how long
/// each takes at least.
fn most_at_once(journal: &[Entry], takes_ms: u64) -> usize {
    let during = |at: u64| {
        journal.iter().filter(|entry| entry.at_ms <= at && at < entry.at_ms + takes_ms).count()
    };
    journal.iter().map(|entry| during(entry.at_ms)).max().unwrap_or(0)
}

#[tokio::test]
async fn in_parallel_on_purpose_the_limits_hold_and_users_take_turns() {
    const CALLS: usize = 2;
    const LATENCY: u64 = 80;
    let stand = mock_provider::start(Script { latency_ms: LATENCY, ..Script::default() }).await.unwrap();
    let house = House::of(&binary())
        .with("REHEARSAL_MAX_CALLS", CALLS)
        .with("REHEARSAL_RUNS_PER_USER", 12)
        .started()
        .await;
    let ada = house.user("ada@example.org");
    let agent = ada.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&ada, "Ada", 8, 2).await;
    let mut suites = Vec::new();
    for _ in 0..3 {
        let more = json!({"allow_parallel": true, "concurrency": 12});
        suites.push(start(&ada, &agent, &all, more).await);
    }
    let eve = house.user("eve@example.org");
    let hers = eve.agent("openai", &stand.openai_url()).await;
    let one = scenarios(&eve, "Eve", 1, 3).await;
    until("Ada's queue is at work", SOON, async || stand.journal().len() >= 4).await;
    let asked_before = stand.journal().len();
    let short = start(&eve, &hers, &one, json!({})).await;
    assert_endings(&eve.finished_within(&short, SOON).await, &[("passed", 1)]);
    let journal = stand.journal();
    assert!(journal.len() < 3 * 8 * 3, "Ada's queue is not through when Eve's only run is");
    let of_eve = |entry: &Entry| entry.body.to_string().contains("Eve0 question");
    let places: Vec<usize> =
        journal.iter().enumerate().filter(|(_, e)| of_eve(e)).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 4, "three answers and the judge");
    let first = places[0] - asked_before;
    assert!(first <= 6 * CALLS, "{first} of Ada's calls went before Eve's first");
    for pair in places.windows(2) {
        // While hers is answered and while it waits for the next free place,
        // each place serves Ada twice at most; of her there wait a dozen.
        let between = pair[1] - pair[0] - 1;
        assert!(between <= 2 * CALLS + 1, "{between} of Ada's calls went first: {places:?}");
    }
    let mut passed = 0;
    for suite in suites {
        let suite = ada.finished(&suite).await;
        passed += endings(&suite).get("passed").copied().unwrap_or(0);
    }
    assert_eq!(passed, 3 * 8);
    let most = most_at_once(&stand.journal(), LATENCY - 5);
    assert_eq!(most, CALLS, "calls at once at the provider");
}
