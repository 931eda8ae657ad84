//! Event streams: content, order and end.

use super::fake_event_source::SUITE;
use super::support::{TestRequest, TestServer};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use domain::{ProgressEvent, Timestamp, WaitReason, Waiting};
use futures::StreamExt;
use rstest::rstest;
use std::sync::atomic::Ordering;
use std::time::Duration;
use telemetry::parser::ParsedMetrics;
use telemetry::scrape::{initialize, recorder};
use tokio::time::{Instant, advance, timeout};

/// Reads a stream like a client.
struct Client {
    body: axum::body::BodyDataStream,
    text: String,
}

/// One frame. The name of a comment is `:`.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    retry: Option<u32>,
    name: String,
    id: Option<i64>,
    data: String,
}

impl Client {
    async fn open(server: &TestServer, query: &str, last: Option<&str>) -> (StatusCode, Self) {
        let path = format!("/api/v1/suites/{SUITE}/events{query}");
        let mut request = TestRequest::get(&path).header("authorization", "Bearer good");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response: Response<Body> = server.send_raw(request.0).await;
        let status = response.status();
        (status, Self { body: response.into_body().into_data_stream(), text: String::new() })
    }

    /// The next frame; `None` at the end of the stream.
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = parse(frame);
                self.text = rest.to_owned();
                return Some(frame);
            }
            let bytes = self.body.next().await?.expect("bytes");
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    /// The next frame, without progress and comments.
    async fn event(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if !["progress", ":", ""].contains(&frame.name.as_str()) {
                return Some(frame);
            }
        }
    }

    /// IDs of the events until the stream ends or is idle for 1 s.
    async fn ids(&mut self) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Ok(Some(frame)) = timeout(Duration::from_secs(1), self.event()).await {
            ids.extend(frame.id);
        }
        ids
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame { retry: None, name: String::new(), id: None, data: String::new() };
    for line in text.lines() {
        match line.split_once(':').map(|(key, value)| (key, value.trim_start())) {
            Some(("", _)) => frame.name = ":".to_owned(),
            Some(("event", name)) => frame.name = name.to_owned(),
            Some(("id", id)) => frame.id = id.parse().ok(),
            Some(("data", data)) => frame.data.push_str(data),
            Some(("retry", wait)) => frame.retry = wait.parse().ok(),
            other => assert_eq!(other, None, "an unknown line"),
        }
    }
    frame
}

#[tokio::test(start_paused = true)]
async fn stream_starts_with_a_snapshot_and_has_no_gaps() {
    let server = TestServer::new();
    server.events.push_turn("one");
    let (status, mut client) = Client::open(&server, "", None).await;
    assert_eq!(status, StatusCode::OK);
    let retry = client.frame().await.expect("a frame");
    assert_eq!((retry.name.as_str(), retry.retry), ("", Some(2000)));
    let snapshot = client.event().await.expect("a frame");
    assert_eq!((snapshot.name.as_str(), snapshot.id), ("snapshot", Some(1)));
    server.events.push_turn("two");
    server.events.push_turn("three");
    assert_eq!(client.ids().await, [2, 3]);
    server.events.finish();
    let finished = client.event().await.expect("a frame");
    assert_eq!((finished.name.as_str(), finished.id), ("finished", Some(4)));
    assert!(finished.data.contains("\"status\":\"finished\""), "{}", finished.data);
    assert_eq!(client.frame().await, None);
}

#[rstest]
#[case::header("", Some("1"), &[2, 3])]
#[case::parameter("?after=2", None, &[3])]
#[case::header_takes_precedence("?after=0", Some("2"), &[3])]
#[case::from_the_start("?after=0", None, &[1, 2, 3])]
#[case::up_to_date("", Some("3"), &[])]
#[case::invalid_id_starts_over("", Some("x"), &[3])] // the snapshot
#[case::id_ahead_of_the_log_starts_over("", Some("99"), &[3])] // the snapshot
#[tokio::test(start_paused = true)]
async fn returning_client_gets_missed_events(
    #[case] query: &str,
    #[case] last: Option<&str>,
    #[case] expected: &[i64],
) {
    let server = TestServer::new();
    for message in ["one", "two", "three"] {
        server.events.push_turn(message);
    }
    let (_, mut client) = Client::open(&server, query, last).await;
    assert_eq!(client.ids().await, expected);
}

#[tokio::test(start_paused = true)]
async fn finished_stream_ends_and_returns_204_afterwards() {
    let server = TestServer::new();
    server.events.push_turn("one");
    server.events.finish();
    assert_eq!(Client::open(&server, "", Some("2")).await.0, StatusCode::NO_CONTENT);
    let (status, mut late) = Client::open(&server, "", Some("1")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(late.ids().await, [2]);
    // A new client gets a snapshot and the end.
    let (_, mut first) = Client::open(&server, "", None).await;
    assert_eq!(first.event().await.map(|frame| frame.name).as_deref(), Some("snapshot"));
    assert_eq!(first.event().await.map(|frame| frame.name).as_deref(), Some("finished"));
    assert_eq!(first.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn sends_snapshot_and_end_when_all_events_were_pruned() {
    let server = TestServer::new();
    server.events.push_turn("one");
    server.events.push_turn("two");
    server.events.finish();
    server.events.prune();
    assert_eq!(Client::open(&server, "", Some("3")).await.0, StatusCode::NO_CONTENT);
    for last in ["0", "1"] {
        let (_, mut client) = Client::open(&server, "", Some(last)).await;
        let response = timeout(Duration::from_secs(1), client.event()).await.expect("immediately");
        let response = response.expect("a frame");
        assert_eq!((response.name.as_str(), response.id), ("snapshot", Some(3)));
        assert_eq!(client.event().await.map(|frame| frame.name).as_deref(), Some("finished"));
        assert_eq!(client.frame().await, None, "nothing to wait for");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_is_sent_at_most_four_times_per_second() {
    let server = TestServer::new();
    let (_, mut client) = Client::open(&server, "", None).await;
    let started = Instant::now();
    let mut done = Vec::new();
    while started.elapsed() < Duration::from_secs(3) {
        server.events.push_turn("message");
        while let Ok(Some(frame)) = timeout(Duration::from_millis(10), client.frame()).await {
            if frame.name == "progress" {
                assert_eq!(frame.id, None);
                let data: serde_json::Value = serde_json::from_str(&frame.data).expect("JSON");
                done.push(data["done"].as_u64().expect("a number"));
            }
        }
    }
    assert!((10..=13).contains(&done.len()), "{} times in 3 s", done.len());
    assert!(done.is_sorted(), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn sends_snapshot_when_events_were_pruned() {
    let server = TestServer::new();
    for i in 0..300 {
        server.events.push_turn(&i.to_string());
    }
    server.events.finish();
    let (_, mut client) = Client::open(&server, "?after=0", None).await;
    assert_eq!(client.event().await.and_then(|frame| frame.id), Some(1));
    server.events.prune();
    for id in 2..=256 {
        assert_eq!(client.event().await.and_then(|frame| frame.id), Some(id), "already read");
    }
    let response = timeout(Duration::from_secs(6), client.event()).await.expect("within seconds");
    let response = response.expect("a frame");
    assert_eq!((response.name.as_str(), response.id), ("snapshot", Some(301)));
    assert_eq!(client.event().await.map(|frame| frame.name).as_deref(), Some("finished"));
    assert_eq!(client.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn idle_stream_pings_without_repeating_events() {
    let server = TestServer::new();
    let (_, mut client) = Client::open(&server, "", None).await;
    assert!(client.ids().await.len() == 1);
    let started = Instant::now();
    let frame = client.frame().await.expect("a frame");
    assert_eq!(frame.name, ":");
    assert!(started.elapsed() <= Duration::from_secs(15));
    let reads = server.events.progress_reads.load(Ordering::SeqCst);
    assert!(reads <= 5, "{reads} reads: one at the start, one every five seconds");
}

#[tokio::test(start_paused = true)]
async fn waiting_runs_are_reported_within_seconds_without_an_event() {
    let server = TestServer::new();
    server.events.push_turn("one");
    let (_, mut client) = Client::open(&server, "", None).await;
    client.ids().await;
    let circuit = Some(Waiting { what: WaitReason::Circuit, until: Some(Timestamp(9)) });
    for held in [circuit, None] {
        *server.events.held.lock() = held;
        let response = async {
            loop {
                let frame = client.frame().await.expect("a frame");
                if frame.name == "progress" {
                    return frame.data;
                }
            }
        };
        let data = timeout(Duration::from_secs(6), response).await.expect("within seconds");
        let progress: ProgressEvent = serde_json::from_str(&data).expect("a progress");
        assert_eq!(progress.pending_waiting_on, held);
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_waiting_streams() {
    let server = TestServer::new();
    let (_, mut client) = Client::open(&server, "", None).await;
    client.ids().await;
    let shutdown = server.shutdown.clone();
    tokio::spawn(async move {
        advance(Duration::from_millis(1)).await;
        shutdown.cancel();
    });
    let ended = timeout(Duration::from_secs(1), client.event()).await;
    assert_eq!(ended.expect("immediately"), None);
}

#[tokio::test(start_paused = true)]
async fn slow_client_gets_one_batch_at_a_time() {
    let server = TestServer::new();
    for i in 0..1000 {
        server.events.push_turn(&i.to_string());
    }
    let (_, mut client) = Client::open(&server, "?after=0", None).await;
    let first = client.event().await.expect("a frame");
    assert_eq!(first.id, Some(1));
    assert_eq!(server.events.largest_read.load(Ordering::SeqCst), 256);
    assert_eq!(client.ids().await, (2..=1000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn lost_notification_delays_events_without_losing_them() {
    let server = TestServer::new();
    server.events.stop_notifications();
    let (_, mut client) = Client::open(&server, "", None).await;
    client.event().await.expect("the snapshot");
    server.events.push_turn("missed");
    let response = timeout(Duration::from_secs(6), client.event()).await.expect("within seconds");
    assert_eq!(response.and_then(|frame| frame.id), Some(1));
}

#[tokio::test]
async fn suite_of_another_user_is_not_found() {
    let server = TestServer::new();
    let other = super::fake_services::id(99);
    let response = server.api(TestRequest::get(&format!("/api/v1/suites/{other}/events"))).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    let bad = server.api(TestRequest::get(&format!("/api/v1/suites/{SUITE}/events?after=x"))).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(start_paused = true)]
async fn active_suites_stream_starts_immediately() {
    let server = TestServer::new();
    let request = TestRequest::get("/api/v1/events").header("authorization", "Bearer good");
    let response = server.send_raw(request.0).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut client = Client { body: response.into_body().into_data_stream(), text: String::new() };
    let frame = client.frame().await.expect("a frame");
    assert_eq!((frame.name.as_str(), frame.retry), ("suites", Some(2000)));
    assert_eq!(frame.data, "{\"live\":[]}");
    let quiet = timeout(Duration::from_secs(10), client.event()).await;
    assert!(quiet.is_err(), "nothing changed");
    let dashboards = server.fake.dashboards.load(Ordering::SeqCst);
    assert_eq!(dashboards, 0, "only the unfinished suites are read");
    server.shutdown.cancel();
    assert_eq!(client.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn lag_is_measured_once_per_commit_after_subscription() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    initialize();
    let samples = || {
        let numbers = ParsedMetrics::read(&recorder.handle().render());
        let value = |what: &str| numbers.value(&format!("rehearsal_event_lag_seconds_{what}"), &[]);
        (value("count"), value("sum"))
    };
    let server = TestServer::new();
    // More than one batch: the latest event is in a later read.
    for n in 1..=300 {
        server.events.push_turn(&format!("old {n}"));
    }
    advance(Duration::from_secs(60)).await;
    let (_, mut client) = Client::open(&server, "?after=0", None).await;
    assert_eq!(client.ids().await, (1..=300).collect::<Vec<_>>());
    assert_eq!(samples(), (0.0, 0.0), "earlier events are not measured");
    server.events.push_turn("new");
    server.events.push_turn("newest");
    advance(Duration::from_millis(300)).await;
    assert_eq!(client.ids().await, [301, 302]);
    let (count, sum) = samples();
    assert_eq!(count, 1.0, "one sample per commit");
    assert!((0.3..0.31).contains(&sum), "{sum}");
}

/// Opens both streams with the given credential.
async fn open_both(server: &TestServer, name: &'static str, value: &str) -> [Client; 2] {
    let open = async |path: String| {
        let response = server.send_raw(TestRequest::get(&path).header(name, value).0).await;
        assert_eq!(response.status(), StatusCode::OK);
        Client { body: response.into_body().into_data_stream(), text: String::new() }
    };
    let suite = format!("/api/v1/suites/{SUITE}/events");
    [open(suite).await, open("/api/v1/events".to_owned()).await]
}

/// Asserts that the stream ends soon while events continue.
async fn assert_ends_soon(server: &TestServer, client: &mut Client) {
    let started = Instant::now();
    loop {
        server.events.push_turn("message");
        advance(Duration::from_millis(500)).await;
        if let Ok(None) = timeout(Duration::from_millis(500), client.frame()).await {
            return;
        }
        assert!(started.elapsed() <= Duration::from_secs(10), "the stream continues");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_their_token_is_revoked() {
    let server = TestServer::new();
    let mut streams = open_both(&server, "authorization", "Bearer good").await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30) {
        server.events.push_turn("message");
        advance(Duration::from_millis(500)).await;
        for client in &mut streams {
            let response = timeout(Duration::from_millis(500), client.frame()).await;
            assert!(!matches!(response, Ok(None)), "the token is valid");
        }
    }
    server.fake.revoked.store(true, Ordering::SeqCst);
    for client in &mut streams {
        assert_ends_soon(&server, client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_their_user_signs_out() {
    let server = TestServer::new();
    let (mine, other) = (server.cookie().await, server.cookie().await);
    let mut streams = open_both(&server, "cookie", &mine).await;
    let [_, mut stays] = open_both(&server, "cookie", &other).await;
    let out = server.send(TestRequest::form("/forms/sign-out", "").header("cookie", &mine)).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    for client in &mut streams {
        assert_ends_soon(&server, client).await;
    }
    assert!(stays.frame().await.is_some(), "the other session is valid");
    let more = timeout(Duration::from_secs(20), stays.frame()).await;
    assert!(!matches!(more, Ok(None)), "the other stream continues");
}
