//! "Queued 20 tests", and then nothing for forty minutes. Here a stream tells
//! every turn as it is stored; whoever comes back, also after the server was
//! killed, hears exactly what was missed: no gap, nothing twice.

use super::outside::{Event, SOON, Stream, assert_endings, binary, scenarios, start, until};
use serde_json::json;
use fault_injection::house::House;
use mock_provider::Script;
use std::time::Duration;

const RUNS: usize = 6;
const TURNS: usize = 4;

/// Those with a number, which are exactly the next after `seen`.
fn numbered(events: &[Event], seen: i64) -> Vec<&Event> {
    let numbered: Vec<_> = events.iter().filter(|event| event.id.is_some()).collect();
    for (event, expected) in numbered.iter().zip(seen + 1..) {
        assert_eq!(event.id, Some(expected), "no gap and nothing twice: {event:?}");
    }
    numbered
}

#[tokio::test]
async fn a_stream_that_breaks_again_and_again_tells_everything_once() {
    let stand = mock_provider::start(Script { latency_ms: 40, ..Script::default() }).await.unwrap();
    let mut house = House::new(&binary()).await;
    let user = house.user("stream@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", RUNS, TURNS).await;
    let suite = start(&user, &agent, &all, json!({})).await;

    // From the very first moment on it is known how much there will be.
    let mut stream = Stream::open(&user, &suite, None).await.expect("a live suite");
    let snapshot = stream.next().await.expect("it begins");
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["suite"]["total"], RUNS);
    assert_eq!(snapshot.data["suite"]["runs"].as_array().unwrap().len(), RUNS);
    let start_of_all = snapshot.id.expect("numbered");

    // Read a few, break off, come back; once over a dead server.
    let mut heard: Vec<Event> = Vec::new();
    let mut breaks = 0;
    'life: loop {
        let last = heard.last().and_then(|event: &Event| event.id).unwrap_or(start_of_all);
        for _ in 0..7 + breaks {
            match stream.next().await {
                Some(event) if event.id.is_some() => heard.push(event),
                Some(event) => assert_eq!(event.name, "progress"),
                None => break,
            }
            if heard.last().is_some_and(|event| event.name == "finished") {
                break 'life;
            }
        }
        breaks += 1;
        assert!(breaks < 100, "it does not end: {last}");
        if breaks == 2 {
            house.kill();
            house.start().await;
        }
        let last = heard.last().and_then(|event| event.id).unwrap_or(start_of_all);
        stream = Stream::open(&user, &suite, Some(last)).await.expect("not told to its end");
    }
    assert!(breaks >= 5, "it broke only {breaks} times");
    numbered(&heard, start_of_all);
    assert_eq!(heard.last().map(|event| event.name.as_str()), Some("finished"));
    let suite_id = suite.clone();
    let suite = user.finished(&suite).await;
    assert_endings(&suite, &[("passed", RUNS)]);

    // Replayed from the start it is the same, word for word.
    let replay = Stream::open(&user, &suite_id, Some(0)).await.expect("a replay").rest().await;
    let replayed = numbered(&replay, 0);
    let skip = usize::try_from(start_of_all).unwrap();
    let same = replayed[skip..].iter().zip(&heard);
    assert_eq!(replayed.len(), skip + heard.len());
    for (replayed, heard) in same {
        assert_eq!((&replayed.name, &replayed.data), (&heard.name, &heard.data));
    }
    let turns = replayed.iter().filter(|event| event.name == "turn").count();
    assert_eq!(turns, RUNS * TURNS * 2, "each turn once");
    let end = replayed.last().and_then(|event| event.id);
    assert!(Stream::open(&user, &suite_id, end).await.is_none(), "204: there will be no more");
}

#[tokio::test]
async fn turns_are_told_while_they_happen_and_progress_at_most_four_times_a_second() {
    let stand = mock_provider::start(Script { latency_ms: 60, ..Script::default() }).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("stream@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let all = scenarios(&user, "S", 9, TURNS).await;
    let suite = start(&user, &agent, &all, json!({})).await;
    let stream = Stream::open(&user, &suite, None).await.expect("a live suite");
    let events = tokio::time::timeout(SOON, stream.rest()).await.expect("it ends with the suite");
    until("the suite is final", SOON, async || {
        user.get(&format!("/suites/{suite}")).await["status"] == "finished"
    })
    .await;
    let place = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted);
    let first_turn = place(&|event| event.name == "turn").expect("turns are told");
    let final_run = |event: &Event| event.name == "run" && event.data["status"] == "passed";
    let first_end = place(&final_run).expect("ends are told");
    assert!(first_turn < first_end, "a turn is told before its run is over");

    let progress: Vec<_> = events.iter().filter(|event| event.name == "progress").collect();
    assert!(progress.len() >= 3, "{}", progress.len());
    assert!(progress.iter().all(|event| event.data["total"] == 9 && event.id.is_none()));
    let done: Vec<_> = progress.iter().map(|event| event.data["done"].as_u64().unwrap()).collect();
    assert!(done.is_sorted(), "it only grows: {done:?}");
    for five in progress.windows(5) {
        let span = five[4].at.duration_since(five[0].at);
        assert!(span >= Duration::from_millis(900), "five within {span:?}");
    }
}
