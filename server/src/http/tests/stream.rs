//! The stream of a suite: what a reader gets, in what order, and when it ends.

use super::fake_live::SUITE;
use super::support::{Ask, Server};
use telemetry::reading::Numbers;
use telemetry::scrape::{begin, recorder};
use domain::{Progress, Timestamp, Waiting, WaitingOn};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use futures::StreamExt;
use rstest::rstest;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, advance, timeout};

/// A stream as a client reads it.
struct Client {
    body: axum::body::BodyDataStream,
    text: String,
}

/// One frame: its name (or `:` for a comment), id and data, and when to return.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    retry: Option<u32>,
    name: String,
    id: Option<i64>,
    data: String,
}

impl Client {
    async fn open(server: &Server, query: &str, last: Option<&str>) -> (StatusCode, Self) {
        let path = format!("/api/v1/suites/{SUITE}/events{query}");
        let mut ask = Ask::get(&path).header("authorization", "Bearer good");
        if let Some(last) = last {
            ask = ask.header("last-event-id", last);
        }
        let response: Response<Body> = server.send(ask.0).await;
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

    /// The next frame that is neither progress nor comment.
    async fn told(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if !["progress", ":", ""].contains(&frame.name.as_str()) {
                return Some(frame);
            }
        }
    }

    /// The ids of what is told until the end or until nothing comes for 1 s.
    async fn ids(&mut self) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Ok(Some(frame)) = timeout(Duration::from_secs(1), self.told()).await {
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
async fn it_begins_with_everything_and_goes_on_without_a_gap() {
    let server = Server::new();
    server.live.say("one");
    let (status, mut client) = Client::open(&server, "", None).await;
    assert_eq!(status, StatusCode::OK);
    let retry = client.frame().await.expect("a frame");
    assert_eq!((retry.name.as_str(), retry.retry), ("", Some(2000)));
    let snapshot = client.told().await.expect("a frame");
    assert_eq!((snapshot.name.as_str(), snapshot.id), ("snapshot", Some(1)));
    server.live.say("two");
    server.live.say("three");
    assert_eq!(client.ids().await, [2, 3]);
    server.live.finish();
    let finished = client.told().await.expect("a frame");
    assert_eq!((finished.name.as_str(), finished.id), ("finished", Some(4)));
    assert!(finished.data.contains("\"status\":\"finished\""), "{}", finished.data);
    assert_eq!(client.frame().await, None);
}

#[rstest]
#[case::header("", Some("1"), &[2, 3])]
#[case::parameter("?after=2", None, &[3])]
#[case::the_header_wins("?after=0", Some("2"), &[3])]
#[case::from_the_start("?after=0", None, &[1, 2, 3])]
#[case::nothing_new("", Some("3"), &[])]
#[case::no_number_begins_anew("", Some("x"), &[3])] // the snapshot
#[case::ahead_of_us_begins_anew("", Some("99"), &[3])] // the snapshot
#[tokio::test(start_paused = true)]
async fn a_returning_reader_gets_what_it_missed(
    #[case] query: &str,
    #[case] last: Option<&str>,
    #[case] expected: &[i64],
) {
    let server = Server::new();
    for words in ["one", "two", "three"] {
        server.live.say(words);
    }
    let (_, mut client) = Client::open(&server, query, last).await;
    assert_eq!(client.ids().await, expected);
}

#[tokio::test(start_paused = true)]
async fn after_the_end_there_is_nothing_to_come_back_for() {
    let server = Server::new();
    server.live.say("one");
    server.live.finish();
    assert_eq!(Client::open(&server, "", Some("2")).await.0, StatusCode::NO_CONTENT);
    let (status, mut late) = Client::open(&server, "", Some("1")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(late.ids().await, [2]);
    // A first reader sees the whole, is told that it is over, and no more.
    let (_, mut first) = Client::open(&server, "", None).await;
    assert_eq!(first.told().await.map(|frame| frame.name).as_deref(), Some("snapshot"));
    assert_eq!(first.told().await.map(|frame| frame.name).as_deref(), Some("finished"));
    assert_eq!(first.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_deleted_events_gets_the_whole_and_the_end() {
    let server = Server::new();
    server.live.say("one");
    server.live.say("two");
    server.live.finish();
    server.live.forget();
    assert_eq!(Client::open(&server, "", Some("3")).await.0, StatusCode::NO_CONTENT);
    for last in ["0", "1"] {
        let (_, mut client) = Client::open(&server, "", Some(last)).await;
        let told = timeout(Duration::from_secs(1), client.told()).await.expect("at once");
        let told = told.expect("a frame");
        assert_eq!((told.name.as_str(), told.id), ("snapshot", Some(3)));
        assert_eq!(client.told().await.map(|frame| frame.name).as_deref(), Some("finished"));
        assert_eq!(client.frame().await, None, "nothing to wait for");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_comes_at_most_four_times_a_second() {
    let server = Server::new();
    let (_, mut client) = Client::open(&server, "", None).await;
    let begun = Instant::now();
    let mut done = Vec::new();
    while begun.elapsed() < Duration::from_secs(3) {
        server.live.say("words");
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
async fn events_that_are_deleted_under_a_reader_are_made_up_for_by_the_whole() {
    let server = Server::new();
    for i in 0..300 {
        server.live.say(&i.to_string());
    }
    server.live.finish();
    let (_, mut client) = Client::open(&server, "?after=0", None).await;
    assert_eq!(client.told().await.and_then(|frame| frame.id), Some(1));
    server.live.forget();
    for id in 2..=256 {
        assert_eq!(client.told().await.and_then(|frame| frame.id), Some(id), "read before");
    }
    let told = timeout(Duration::from_secs(6), client.told()).await.expect("within seconds");
    let told = told.expect("a frame");
    assert_eq!((told.name.as_str(), told.id), ("snapshot", Some(301)));
    assert_eq!(client.told().await.map(|frame| frame.name).as_deref(), Some("finished"));
    assert_eq!(client.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_pings_and_tells_nothing_twice() {
    let server = Server::new();
    let (_, mut client) = Client::open(&server, "", None).await;
    assert!(client.ids().await.len() == 1);
    let begun = Instant::now();
    let frame = client.frame().await.expect("a frame");
    assert_eq!(frame.name, ":");
    assert!(begun.elapsed() <= Duration::from_secs(15));
    let reads = server.live.progress_reads.load(Ordering::SeqCst);
    assert!(reads <= 5, "{reads} reads: one at the start, one each five seconds");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_no_event_tells_of_is_told_within_seconds() {
    let server = Server::new();
    server.live.say("one");
    let (_, mut client) = Client::open(&server, "", None).await;
    client.ids().await;
    let circuit = Some(Waiting { what: WaitingOn::Circuit, until: Some(Timestamp(9)) });
    for held in [circuit, None] {
        *server.live.held.lock() = held;
        let told = async {
            loop {
                let frame = client.frame().await.expect("a frame");
                if frame.name == "progress" {
                    return frame.data;
                }
            }
        };
        let data = timeout(Duration::from_secs(6), told).await.expect("within seconds");
        let progress: Progress = serde_json::from_str(&data).expect("a progress");
        assert_eq!(progress.held, held);
    }
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_streams_and_waiting_ones_too() {
    let server = Server::new();
    let (_, mut client) = Client::open(&server, "", None).await;
    client.ids().await;
    let shutdown = server.shutdown.clone();
    tokio::spawn(async move {
        advance(Duration::from_millis(1)).await;
        shutdown.cancel();
    });
    let ended = timeout(Duration::from_secs(1), client.told()).await;
    assert_eq!(ended.expect("at once"), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_given_a_batch_at_a_time() {
    let server = Server::new();
    for i in 0..1000 {
        server.live.say(&i.to_string());
    }
    let (_, mut client) = Client::open(&server, "?after=0", None).await;
    let first = client.told().await.expect("a frame");
    assert_eq!(first.id, Some(1));
    assert_eq!(server.live.largest_read.load(Ordering::SeqCst), 256);
    assert_eq!(client.ids().await, (2..=1000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lost_wake_up_costs_seconds_not_events() {
    let server = Server::new();
    server.live.fall_silent();
    let (_, mut client) = Client::open(&server, "", None).await;
    client.told().await.expect("the snapshot");
    server.live.say("unheard");
    let told = timeout(Duration::from_secs(6), client.told()).await.expect("within seconds");
    assert_eq!(told.and_then(|frame| frame.id), Some(1));
}

#[tokio::test]
async fn another_ones_suite_is_not_there() {
    let server = Server::new();
    let other = super::fake_services::id(99);
    let told = server.api(Ask::get(&format!("/api/v1/suites/{other}/events"))).await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
    let bad = server.api(Ask::get(&format!("/api/v1/suites/{SUITE}/events?after=x"))).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(start_paused = true)]
async fn the_short_stream_begins_at_once() {
    let server = Server::new();
    let ask = Ask::get("/api/v1/events").header("authorization", "Bearer good");
    let response = server.send(ask.0).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut client = Client { body: response.into_body().into_data_stream(), text: String::new() };
    let frame = client.frame().await.expect("a frame");
    assert_eq!((frame.name.as_str(), frame.retry), ("suites", Some(2000)));
    assert_eq!(frame.data, "{\"live\":[]}");
    server.shutdown.cancel();
    assert_eq!(client.frame().await, None);
}

#[tokio::test(start_paused = true)]
async fn lag_is_measured_from_the_commit_and_only_of_what_happens_meanwhile() {
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    begin();
    let samples = || {
        let numbers = Numbers::read(&recorder.handle().render());
        let value = |what: &str| numbers.value(&format!("rehearsal_event_lag_seconds_{what}"), &[]);
        (value("count"), value("sum"))
    };
    let server = Server::new();
    // More than are read at once: the newest comes with a later read.
    for n in 1..=300 {
        server.live.say(&format!("old {n}"));
    }
    advance(Duration::from_secs(60)).await;
    let (_, mut client) = Client::open(&server, "?after=0", None).await;
    assert_eq!(client.ids().await, (1..=300).collect::<Vec<_>>());
    assert_eq!(samples(), (0.0, 0.0), "what was told before it came says nothing");
    server.live.say("new");
    server.live.say("newest");
    advance(Duration::from_millis(300)).await;
    assert_eq!(client.ids().await, [301, 302]);
    let (count, sum) = samples();
    assert_eq!(count, 1.0, "once a commit that is seen");
    assert!((0.3..0.31).contains(&sum), "{sum}");
}

/// The short stream, and that of a suite, as who shows this.
async fn both(server: &Server, name: &'static str, value: &str) -> [Client; 2] {
    let open = async |path: String| {
        let response = server.send(Ask::get(&path).header(name, value).0).await;
        assert_eq!(response.status(), StatusCode::OK);
        Client { body: response.into_body().into_data_stream(), text: String::new() }
    };
    let suite = format!("/api/v1/suites/{SUITE}/events");
    [open(suite).await, open("/api/v1/events".to_owned()).await]
}

/// Reads until the stream ends, while something is said all the time.
async fn ends_soon(server: &Server, client: &mut Client) {
    let began = Instant::now();
    loop {
        server.live.say("words");
        advance(Duration::from_millis(500)).await;
        if let Ok(None) = timeout(Duration::from_millis(500), client.frame()).await {
            return;
        }
        assert!(began.elapsed() <= Duration::from_secs(10), "it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_their_token_is_revoked() {
    let server = Server::new();
    let mut streams = both(&server, "authorization", "Bearer good").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        server.live.say("words");
        advance(Duration::from_millis(500)).await;
        for client in &mut streams {
            let told = timeout(Duration::from_millis(500), client.frame()).await;
            assert!(!matches!(told, Ok(None)), "it is good");
        }
    }
    server.fake.revoked.store(true, Ordering::SeqCst);
    for client in &mut streams {
        ends_soon(&server, client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_their_person_signs_out() {
    let server = Server::new();
    let (mine, other) = (server.cookie().await, server.cookie().await);
    let mut streams = both(&server, "cookie", &mine).await;
    let [_, mut stays] = both(&server, "cookie", &other).await;
    let out = server.told(Ask::form("/forms/sign-out", "").header("cookie", &mine)).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    for client in &mut streams {
        ends_soon(&server, client).await;
    }
    assert!(stays.frame().await.is_some(), "elsewhere they are signed in");
    let more = timeout(Duration::from_secs(20), stays.frame()).await;
    assert!(!matches!(more, Ok(None)), "and read on");
}
