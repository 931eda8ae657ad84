//! The event stream of one suite.
//!
//! The client pulls: the next batch of events is read after the client has taken
//! the previous one, so a slow client delays only itself. Between reads a stream
//! holds no database connection.

use super::{OpenStream, RETRY, respond};
use crate::http::HttpState;
use crate::http::client_limits::StreamPermit;
use crate::http::stream_auth::StreamAuth;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use domain::services::{AppResult, Caller};
use domain::{FinishedEvent, SuiteEvent, SuiteId, SuiteSnapshot};
use futures::stream;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;
use store::event_notifier::LatestEvent;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Minimum time between two `progress` events.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Interval of reads without a notification, in case one was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of events per read.
const BATCH: u32 = 256;

/// Streams the events of a suite after the event `after`.
///
/// # Errors
/// 404 if the suite does not belong to the caller.
pub(in crate::http) async fn suite_events(
    state: HttpState,
    caller: Caller,
    auth: StreamAuth,
    permit: StreamPermit,
    id: SuiteId,
    after: Option<i64>,
) -> AppResult<Response> {
    // Subscribes before the first read, so that no later commit is missed.
    let latest = state.event_source.watch(id);
    let subscribed_at = latest.borrow().seq;
    let start = start(&state, &caller, id, after).await?;
    if matches!(start, Start::Complete) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut stream = SuiteStream {
        state,
        caller,
        auth,
        id,
        latest,
        subscribed_at,
        seq: after.unwrap_or(0),
        pending: VecDeque::from([Pending::unmeasured(Event::default().retry(RETRY))]),
        poll_at: Instant::now(),
        progress_due: Some(Instant::now()),
        last_progress: None,
        all_runs_final: false,
        finished: false,
        _open: OpenStream::new(permit),
    };
    match start {
        Start::Snapshot(snapshot) => stream.push_snapshot(&snapshot),
        Start::Events(events) => stream.push_events(&events, LatestEvent::default()),
        Start::Wait | Start::Complete => {}
    }
    Ok(respond(stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok(event), stream))
    })))
}

/// The first step of a stream.
enum Start {
    Snapshot(Box<SuiteSnapshot>),
    /// Send the events that the client missed.
    Events(Vec<(i64, SuiteEvent)>),
    /// The client is up to date, and more events may follow.
    Wait,
    /// The client has all events of a finished suite.
    Complete,
}

/// Usually a returning client missed events. Reads the whole suite only if it did
/// not.
async fn start(
    state: &HttpState,
    caller: &Caller,
    id: SuiteId,
    after: Option<i64>,
) -> AppResult<Start> {
    if let Some(after) = after {
        let missed = state.event_source.events_after(caller, id, after, BATCH).await?;
        if !missed.is_empty() {
            return Ok(Start::Events(missed));
        }
    }
    let snapshot = state.event_source.snapshot(caller, id).await?;
    let finished = snapshot.suite.status.is_final();
    Ok(match after {
        Some(after) if after == snapshot.seq && finished => Start::Complete,
        Some(after) if after < snapshot.seq && finished => {
            // The suite finished after the first read, or its events were pruned.
            match state.event_source.events_after(caller, id, after, BATCH).await? {
                pruned if pruned.is_empty() => Start::Snapshot(Box::new(snapshot)),
                missed => Start::Events(missed),
            }
        }
        // The next read returns events that were committed in between.
        Some(after) if after <= snapshot.seq => Start::Wait,
        // A cursor ahead of the log: the database was reset.
        Some(_) | None => Start::Snapshot(Box::new(snapshot)),
    })
}

struct SuiteStream {
    state: HttpState,
    caller: Caller,
    auth: StreamAuth,
    id: SuiteId,
    latest: watch::Receiver<LatestEvent>,
    /// The latest event when the stream started. The lag of earlier events is not
    /// measured.
    subscribed_at: i64,
    /// The last event that was pushed.
    seq: i64,
    /// Events for the client, at most one batch.
    pending: VecDeque<Pending>,
    /// Time of the next read without a notification.
    poll_at: Instant,
    /// Earliest time of the next `progress` event; `None` if nothing changed.
    progress_due: Option<Instant>,
    last_progress: Option<String>,
    all_runs_final: bool,
    /// No events follow the pending ones.
    finished: bool,
    _open: OpenStream,
}

struct Pending {
    event: Event,
    /// Set for the last event of a commit, to measure the lag.
    published_at: Option<Instant>,
}

impl Pending {
    fn unmeasured(event: Event) -> Self {
        Self { event, published_at: None }
    }
}

impl SuiteStream {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        let shutdown = self.state.shutdown.clone();
        loop {
            if shutdown.is_cancelled() || !self.auth.is_valid(&self.state).await {
                return None;
            }
            if let Some(Pending { event, published_at }) = self.pending.pop_front() {
                if let Some(at) = published_at {
                    metrics::histogram!("rehearsal_event_lag_seconds").record(at.elapsed());
                }
                return Some(event);
            }
            if self.finished {
                return None;
            }
            if self.is_progress_due() {
                self.push_progress().await;
                continue;
            }
            // Marked as seen before the read: a commit during the read notifies again.
            let latest = *self.latest.borrow_and_update();
            let up_to_date = 0 < latest.seq && latest.seq <= self.seq;
            let poll = self.poll_at <= Instant::now();
            if (!up_to_date || poll) && !self.read(latest).await {
                return None;
            }
            if poll && !self.finished {
                // What queued runs wait for changes without an event.
                self.progress_due.get_or_insert_with(Instant::now);
            }
            if self.pending.is_empty() && !self.is_progress_due() {
                tokio::select! {
                    () = shutdown.cancelled() => return None,
                    () = self.wait() => {}
                }
            }
        }
    }

    fn is_progress_due(&self) -> bool {
        self.progress_due.is_some_and(|due| due <= Instant::now())
    }

    /// Reads the next batch. Returns `false` on an error: the client then
    /// reconnects with the ID of its last event.
    async fn read(&mut self, latest: LatestEvent) -> bool {
        self.poll_at = Instant::now() + POLL_INTERVAL;
        let source = &self.state.event_source;
        let result = match source.events_after(&self.caller, self.id, self.seq, BATCH).await {
            // The last events were pruned while the client was reading.
            Ok(events) if events.is_empty() && self.all_runs_final => {
                let snapshot = source.snapshot(&self.caller, self.id).await;
                snapshot.map(|snapshot| self.push_snapshot(&snapshot))
            }
            Ok(events) => {
                self.push_events(&events, latest);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            tracing::warn!(suite = %self.id, %error, "cannot read events for a stream");
        }
        result.is_ok()
    }

    fn push_snapshot(&mut self, snapshot: &SuiteSnapshot) {
        self.seq = snapshot.seq;
        self.push(event("snapshot", Some(snapshot.seq), snapshot));
        let (status, counts) = (snapshot.suite.status, snapshot.suite.counts);
        if status.is_final() {
            self.push(event("finished", None, &FinishedEvent { status, counts }));
            self.finished = true;
        }
    }

    fn push_events(&mut self, events: &[(i64, SuiteEvent)], latest: LatestEvent) {
        for (seq, event) in events {
            self.seq = *seq;
            self.progress_due.get_or_insert_with(Instant::now);
            let measured = *seq == latest.seq && *seq > self.subscribed_at;
            let published_at = latest.at.filter(|_| measured);
            self.pending.push_back(Pending { event: suite_event(*seq, event), published_at });
            if matches!(event, SuiteEvent::Finished(_)) {
                self.finished = true;
                return;
            }
        }
    }

    async fn push_progress(&mut self) {
        self.progress_due = None;
        match self.state.event_source.progress(&self.caller, self.id, self.seq).await {
            Ok(progress) => {
                self.all_runs_final = progress.done == progress.total;
                let text = serde_json::to_string(&progress).unwrap_or_default();
                if self.last_progress.as_ref() != Some(&text) {
                    self.push(Event::default().event("progress").data(&text));
                    self.last_progress = Some(text);
                    self.progress_due = Some(Instant::now() + PROGRESS_INTERVAL);
                }
            }
            // The next event triggers progress again.
            Err(error) => tracing::debug!(suite = %self.id, %error, "cannot read progress"),
        }
    }

    fn push(&mut self, event: Event) {
        self.pending.push_back(Pending::unmeasured(event));
    }

    /// Waits for a notification or for the next scheduled check.
    async fn wait(&mut self) {
        let check_at = self.poll_at.min(self.auth.next_check());
        let until = self.progress_due.map_or(check_at, |due| due.min(check_at));
        tokio::select! {
            changed = self.latest.changed() => {
                if changed.is_err() {
                    // The sender was dropped. The delay prevents a busy loop.
                    sleep_until(Instant::now() + PROGRESS_INTERVAL).await;
                    self.latest = self.state.event_source.watch(self.id);
                }
            }
            () = sleep_until(until) => {}
        }
    }
}

fn suite_event(seq: i64, suite_event: &SuiteEvent) -> Event {
    match suite_event {
        SuiteEvent::Snapshot(data) => event("snapshot", Some(seq), data),
        SuiteEvent::Run(data) => event("run", Some(seq), data),
        SuiteEvent::Turn(data) => event("turn", Some(seq), data),
        SuiteEvent::Progress(data) => event("progress", None, data),
        SuiteEvent::Finished(data) => event("finished", Some(seq), data),
    }
}

fn event(name: &str, id: Option<i64>, data: &impl Serialize) -> Event {
    // Serialization of domain types does not fail. Clients skip an empty object.
    let text = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    let event = Event::default().event(name).data(text);
    match id {
        Some(id) => event.id(id.to_string()),
        None => event,
    }
}
