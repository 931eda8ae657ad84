//! Reads the event stream of a suite as a page does: it stays connected,
//! resumes from the last event, and notices gaps and duplicates.

use crate::ApiClient;
use crate::clock::now_ms;
use crate::history::{EventKind, History, ObservedTurn, SseParser, event_time, parse_event};
use crate::report::{Report, Samples};
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The pause before a reader reconnects. A page waits two seconds.
const RECONNECT_DELAY: Duration = Duration::from_millis(200);
/// The time that readers get to see the end after all suites are final.
const END_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct StreamStats {
    /// The number of the last event.
    pub last: i64,
    pub events: usize,
    pub gaps: usize,
    pub duplicates: usize,
    pub reconnects: usize,
    /// Whether the reader has seen the end of the suite.
    pub finished: bool,
    pub turns: Vec<ObservedTurn>,
    /// Milliseconds from the time in the payload, which is set before the
    /// commit, to the arrival; only for events that happened while connected.
    pub lags: Samples,
}

/// A running reader. Dropping it stops it.
pub struct StreamReader {
    stats: Arc<Mutex<StreamStats>>,
    task: JoinHandle<()>,
}

impl StreamReader {
    /// Reads a suite from its first event.
    pub fn start(user: &ApiClient, suite: &str) -> Self {
        let stats = Arc::new(Mutex::new(StreamStats::default()));
        let task = tokio::spawn(follow(user.clone(), suite.to_owned(), Arc::clone(&stats)));
        Self { stats, task }
    }

    pub fn turn_count(&self) -> usize {
        self.stats.lock().turns.len()
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The readers of a soak.
#[derive(Clone, Default)]
pub struct Readers(Arc<Mutex<Vec<StreamReader>>>);

impl Readers {
    pub fn add(&self, reader: StreamReader) {
        self.0.lock().push(reader);
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of readers that have not seen the end.
    pub fn unfinished(&self) -> usize {
        self.0.lock().iter().filter(|reader| !reader.stats.lock().finished).count()
    }

    /// Waits until all readers have seen the end, reports gaps and duplicates,
    /// adds the observed turns to the history, and returns the totals.
    pub async fn finish(self, report: &mut Report, history: &mut History) -> StreamStats {
        let deadline = Instant::now() + END_TIMEOUT;
        let mut readers = std::mem::take(&mut *self.0.lock());
        let (mut total, mut unfinished) = (StreamStats::default(), 0);
        for reader in &mut readers {
            let _ = tokio::time::timeout_at(deadline, &mut reader.task).await;
            let stats = std::mem::take(&mut *reader.stats.lock());
            unfinished += usize::from(!stats.finished);
            total.events += stats.events;
            total.gaps += stats.gaps;
            total.duplicates += stats.duplicates;
            total.reconnects += stats.reconnects;
            total.lags.join(&stats.lags);
            total.turns.extend(stats.turns);
        }
        report.require_zero(
            "events that a reader missed or received twice",
            total.gaps + total.duplicates,
        );
        report.require_zero("readers that did not see the end", unfinished);
        history.observed.extend(total.turns.iter().cloned());
        total
    }
}

async fn follow(user: ApiClient, suite: String, stats: Arc<Mutex<StreamStats>>) {
    loop {
        let last = stats.lock().last;
        let path = format!("/suites/{suite}/events?after=0");
        let mut request = user.request(Method::GET, &path);
        if last > 0 {
            request = request.header("Last-Event-ID", last.to_string());
        }
        match request.send().await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                stats.lock().finished = true;
            }
            Ok(response) if response.status().is_success() => read(response, &stats).await,
            _ => {}
        }
        if stats.lock().finished {
            return;
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
        stats.lock().reconnects += 1;
    }
}

/// Reads until the stream ends or breaks.
async fn read(mut response: reqwest::Response, stats: &Mutex<StreamStats>) {
    let mut parser = SseParser::default();
    let connected_at = now_ms();
    while let Ok(Some(chunk)) = response.chunk().await {
        let now = now_ms();
        for frame in parser.push(&chunk) {
            let Some(seq) = frame.id else { continue };
            let mut stats = stats.lock();
            if seq <= stats.last {
                stats.duplicates += 1;
                continue;
            }
            stats.gaps += usize::from(seq != stats.last + 1);
            stats.last = seq;
            stats.events += 1;
            match parse_event(seq, &frame.event, &frame.data).map(|event| event.kind) {
                Some(EventKind::Turn(turn)) => {
                    let data = serde_json::from_str(&frame.data).unwrap_or_default();
                    if let Some(at) = event_time(&data).filter(|at| *at >= connected_at) {
                        stats.lags.add((now - at) as f64);
                    }
                    stats.turns.push(turn);
                }
                Some(EventKind::SuiteFinished { .. }) => stats.finished = true,
                _ => {}
            }
        }
    }
}
