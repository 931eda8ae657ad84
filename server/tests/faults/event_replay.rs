//! Failure mode: the page shows "Queued 20 tests" and then nothing for forty minutes. The
//! stream sends every turn when it is stored, and a client that reconnects, even
//! after a kill of the server, receives exactly the events that it missed.

use super::support::{Event, EventStream, TIMEOUT, assert_outcomes, new_server, wait_until};
use fault_injection::Setup;
use mock_provider::Script;
use serde_json::json;
use std::time::Duration;

const RUNS: usize = 6;
const TURNS: usize = 4;

/// The events with a number, which must follow `seen` without a gap.
fn numbered(events: &[Event], seen: i64) -> Vec<&Event> {
    let numbered: Vec<_> = events.iter().filter(|event| event.id.is_some()).collect();
    for (event, expected) in numbered.iter().zip(seen + 1..) {
        assert_eq!(event.id, Some(expected), "no gap and no duplicate: {event:?}");
    }
    numbered
}

#[tokio::test]
async fn reconnecting_client_receives_every_event_once() {
    let Setup { provider: _provider, mut server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 40, ..Script::default() }).await;
    let all = user.create_scenarios("S", RUNS, TURNS).await;
    let suite = user.start_suite(&agent, &all, json!({})).await;

    // The first event contains all runs.
    let mut stream = EventStream::open(&user, &suite, None).await.expect("a live suite");
    let snapshot = stream.next().await.expect("a snapshot");
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["suite"]["total"], RUNS);
    assert_eq!(snapshot.data["suite"]["runs"].as_array().unwrap().len(), RUNS);
    let start_of_all = snapshot.id.expect("numbered");

    // Reads a few events, disconnects and reconnects; once the server is killed.
    let mut received: Vec<Event> = Vec::new();
    let mut breaks = 0;
    'read: loop {
        let last = received.last().and_then(|event: &Event| event.id).unwrap_or(start_of_all);
        for _ in 0..7 + breaks {
            match stream.next().await {
                Some(event) if event.id.is_some() => received.push(event),
                Some(event) => assert_eq!(event.name, "progress"),
                None => break,
            }
            if received.last().is_some_and(|event| event.name == "finished") {
                break 'read;
            }
        }
        breaks += 1;
        assert!(breaks < 100, "the stream does not end: {last}");
        if breaks == 2 {
            server.kill();
            server.start().await;
        }
        let last = received.last().and_then(|event| event.id).unwrap_or(start_of_all);
        stream = EventStream::open(&user, &suite, Some(last)).await.expect("the suite is live");
    }
    assert!(breaks >= 5, "only {breaks} reconnects");
    numbered(&received, start_of_all);
    assert_eq!(received.last().map(|event| event.name.as_str()), Some("finished"));
    let suite_id = suite.clone();
    let suite = user.wait_for_suite(&suite).await;
    assert_outcomes(&suite, &[("passed", RUNS)]);

    // A replay from the start has the same events.
    let replay = EventStream::open(&user, &suite_id, Some(0)).await.expect("a replay").rest().await;
    let replayed = numbered(&replay, 0);
    let skip = usize::try_from(start_of_all).unwrap();
    let same = replayed[skip..].iter().zip(&received);
    assert_eq!(replayed.len(), skip + received.len());
    for (replayed, received) in same {
        assert_eq!((&replayed.name, &replayed.data), (&received.name, &received.data));
    }
    let turns = replayed.iter().filter(|event| event.name == "turn").count();
    assert_eq!(turns, RUNS * TURNS * 2, "each turn once");
    let end = replayed.last().and_then(|event| event.id);
    assert!(EventStream::open(&user, &suite_id, end).await.is_none(), "204: no more events");
}

#[tokio::test]
async fn turns_are_streamed_live_and_progress_at_most_four_times_per_second() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 60, ..Script::default() }).await;
    let all = user.create_scenarios("S", 9, TURNS).await;
    let suite = user.start_suite(&agent, &all, json!({})).await;
    let stream = EventStream::open(&user, &suite, None).await.expect("a live suite");
    let events =
        tokio::time::timeout(TIMEOUT, stream.rest()).await.expect("the stream ends with the suite");
    wait_until("the suite is final", TIMEOUT, async || {
        user.get(&format!("/suites/{suite}")).await["status"] == "finished"
    })
    .await;
    let position = |matches: &dyn Fn(&Event) -> bool| events.iter().position(matches);
    let first_turn = position(&|event| event.name == "turn").expect("turn events");
    let final_run = |event: &Event| event.name == "run" && event.data["status"] == "passed";
    let first_end = position(&final_run).expect("end events");
    assert!(first_turn < first_end, "turns arrive before their run ends");

    let progress: Vec<_> = events.iter().filter(|event| event.name == "progress").collect();
    assert!(progress.len() >= 3, "{}", progress.len());
    assert!(progress.iter().all(|event| event.data["total"] == 9 && event.id.is_none()));
    let done: Vec<_> = progress.iter().map(|event| event.data["done"].as_u64().unwrap()).collect();
    assert!(done.is_sorted(), "progress never decreases: {done:?}");
    for five in progress.windows(5) {
        let span = five[4].received_at.duration_since(five[0].received_at);
        assert!(span >= Duration::from_millis(900), "five progress events within {span:?}");
    }
}
