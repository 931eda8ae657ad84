//! Server-sent events: a suite as it happens, and one's suites in short.
//!
//! A stream is pulled: the next events are read when the client took the ones
//! before, so a slow reader costs nothing but its own delay. Between reads it
//! holds no database connection, only a wake-up.

mod short;

pub(super) use short::suites;

use crate::http::HttpState;
use crate::http::pass::Pass;
use store::hub::Newest;
use domain::services::{AppResult, Caller};
use domain::{Finished, SuiteEvent, SuiteId, SuiteSnapshot};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Between two comments that keep the connection open.
const PING: Duration = Duration::from_secs(15);
/// After which a browser that lost the stream comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Between two `progress` events.
const PROGRESS: Duration = Duration::from_millis(250);
/// Events read at once.
const BATCH: u32 = 256;
/// A look without a wake-up, in case one was lost.
const LOOK: Duration = Duration::from_secs(5);

type Frame = Result<Event, Infallible>;

/// The stream of one suite. `after` is the last event the reader has.
///
/// # Errors
/// 404 when the suite is not the caller's.
pub(super) async fn suite(
    state: HttpState,
    caller: Caller,
    pass: Pass,
    id: SuiteId,
    after: Option<i64>,
) -> AppResult<Response> {
    // Before the first read, so that no commit after it goes unnoticed.
    let wake = state.live.watch(id);
    let known = wake.borrow().seq;
    let begin = begin(&state, &caller, id, after).await?;
    if matches!(begin, Begin::Never) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut reader = Reader {
        state,
        caller,
        pass,
        id,
        wake,
        seq: after.unwrap_or(0),
        known,
        ready: VecDeque::from([Ready::at_once(Event::default().retry(RETRY))]),
        look_at: Instant::now(),
        progress_due: Some(Instant::now()),
        progress_sent: None,
        over: false,
        done: false,
        _open: OpenStream::new(),
    };
    match begin {
        Begin::Snapshot(snapshot) => reader.tell_all(*snapshot),
        Begin::Events(events) => reader.tell(events, Newest::default()),
        Begin::Waiting | Begin::Never => {}
    }
    Ok(respond(stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    })))
}

/// How a stream begins.
enum Begin {
    /// With everything as it is.
    Snapshot(Box<SuiteSnapshot>),
    /// With what the reader missed.
    Events(Vec<(i64, SuiteEvent)>),
    /// With nothing yet: the reader has it all.
    Waiting,
    /// Not at all: it has it all, and nothing will come.
    Never,
}

/// A reader that returns mostly missed something; the whole suite is read only
/// where it did not.
async fn begin(
    state: &HttpState,
    caller: &Caller,
    id: SuiteId,
    after: Option<i64>,
) -> AppResult<Begin> {
    if let Some(after) = after {
        let missed = state.live.events_after(caller, id, after, BATCH).await?;
        if !missed.is_empty() {
            return Ok(Begin::Events(missed));
        }
    }
    let snapshot = state.live.snapshot(caller, id).await?;
    let over = snapshot.suite.status.is_final();
    Ok(match after {
        Some(after) if after == snapshot.seq && over => Begin::Never,
        Some(after) if after < snapshot.seq && over => {
            // It ended in between, or so long ago that its events are deleted.
            match state.live.events_after(caller, id, after, BATCH).await? {
                gone if gone.is_empty() => Begin::Snapshot(Box::new(snapshot)),
                missed => Begin::Events(missed),
            }
        }
        // Where something was committed in between, the next read brings it.
        Some(after) if after <= snapshot.seq => Begin::Waiting,
        // Ahead of us: it saw a database that is no more, and begins anew.
        Some(_) | None => Begin::Snapshot(Box::new(snapshot)),
    })
}

/// One reader of one suite.
struct Reader {
    state: HttpState,
    caller: Caller,
    /// What lets it read.
    pass: Pass,
    id: SuiteId,
    wake: watch::Receiver<Newest>,
    /// The last event that was published before this reader came: how long
    /// ago says nothing about the stream.
    known: i64,
    /// The last event that was told.
    seq: i64,
    /// Events that wait for the client, at most a batch.
    ready: VecDeque<Ready>,
    /// When it looks for events though nobody woke it.
    look_at: Instant,
    /// When progress may be told next, if there is news.
    progress_due: Option<Instant>,
    progress_sent: Option<String>,
    /// Every run is final, as the last progress said.
    over: bool,
    /// Nothing follows what is ready.
    done: bool,
    _open: OpenStream,
}

/// An event on its way to the client.
struct Ready {
    event: Event,
    /// When it was published, where it is the newest of a commit.
    published: Option<Instant>,
}

impl Ready {
    /// Of an event whose delay is not measured.
    fn at_once(event: Event) -> Self {
        Self { event, published: None }
    }
}

impl Reader {
    /// Tells the whole; and the end, if it is over already.
    fn tell_all(&mut self, snapshot: SuiteSnapshot) {
        self.seq = snapshot.seq;
        let status = snapshot.suite.status;
        let counts = snapshot.suite.counts;
        self.push(event("snapshot", Some(snapshot.seq), &snapshot));
        if status.is_final() {
            self.push(event("finished", None, &Finished { status, counts }));
            self.done = true;
        }
    }

    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        let shutdown = self.state.shutdown.clone();
        loop {
            if shutdown.is_cancelled() || !self.pass.holds(&self.state).await {
                return None;
            }
            if let Some(Ready { event, published }) = self.ready.pop_front() {
                if let Some(published) = published {
                    metrics::histogram!("rehearsal_event_lag_seconds").record(published.elapsed());
                }
                return Some(event);
            }
            if self.done {
                return None;
            }
            if self.progress_due.is_some_and(|due| due <= Instant::now()) {
                self.tell_progress().await;
                continue;
            }
            // Seen before the read: what is committed during it wakes again.
            let newest = *self.wake.borrow_and_update();
            // Who has the newest need not ask, unless for a wake-up that was lost.
            let has_all = 0 < newest.seq && newest.seq <= self.seq;
            let quiet = self.look_at <= Instant::now();
            if (!has_all || quiet) && !self.read(newest).await {
                return None;
            }
            if quiet && !self.done {
                // What runs that are not begun wait for changes without an event.
                self.progress_due.get_or_insert_with(Instant::now);
            }
            let due = self.progress_due.is_some_and(|due| due <= Instant::now());
            if self.ready.is_empty() && !due {
                tokio::select! {
                    () = shutdown.cancelled() => return None,
                    () = self.wait() => {}
                }
            }
        }
    }

    /// Reads what is new. `false` when it cannot: the client comes back, with
    /// the id of the last event it has.
    async fn read(&mut self, newest: Newest) -> bool {
        self.look_at = Instant::now() + LOOK;
        let live = &self.state.live;
        let events = match live.events_after(&self.caller, self.id, self.seq, BATCH).await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(suite = %self.id, %error, "a stream could not go on");
                return false;
            }
        };
        if events.is_empty() && self.over {
            return self.tell_what_is_left().await;
        }
        self.tell(events, newest);
        true
    }

    /// It is over, and the events that tell how were deleted while this reader
    /// came to them: it gets the whole instead.
    async fn tell_what_is_left(&mut self) -> bool {
        match self.state.live.snapshot(&self.caller, self.id).await {
            Ok(snapshot) => self.tell_all(snapshot),
            Err(error) => {
                tracing::warn!(suite = %self.id, %error, "a stream could not be ended");
                return false;
            }
        }
        true
    }

    /// Makes events ready for the client; the last of a suite ends the stream.
    fn tell(&mut self, events: Vec<(i64, SuiteEvent)>, newest: Newest) {
        for (seq, told) in events {
            self.seq = seq;
            self.progress_due.get_or_insert_with(Instant::now);
            let published = newest.at.filter(|_| seq == newest.seq && seq > self.known);
            self.ready.push_back(Ready { event: frame(seq, &told), published });
            if matches!(told, SuiteEvent::Finished(_)) {
                self.done = true;
                return;
            }
        }
    }

    fn push(&mut self, event: Event) {
        self.ready.push_back(Ready::at_once(event));
    }

    async fn tell_progress(&mut self) {
        self.progress_due = None;
        match self.state.live.progress(&self.caller, self.id, self.seq).await {
            Ok(progress) => {
                self.over = progress.done == progress.total;
                let text = serde_json::to_string(&progress).unwrap_or_default();
                if self.progress_sent.as_ref() != Some(&text) {
                    self.push(Event::default().event("progress").data(&text));
                    self.progress_sent = Some(text);
                    self.hold_progress();
                }
            }
            // The events are what counts; progress is told again with the next.
            Err(error) => tracing::debug!(suite = %self.id, %error, "no progress to tell"),
        }
    }

    /// Lets no second progress follow within a quarter of a second.
    fn hold_progress(&mut self) {
        self.progress_due = Some(Instant::now() + PROGRESS);
    }

    /// Waits until there may be news.
    async fn wait(&mut self) {
        let look_at = self.look_at.min(self.pass.look_at());
        let until = self.progress_due.map_or(look_at, |due| due.min(look_at));
        tokio::select! {
            woken = self.wake.changed() => {
                if woken.is_err() {
                    // Nobody tells any more: ask for another one, not at once.
                    sleep_until(Instant::now() + PROGRESS).await;
                    self.wake = self.state.live.watch(self.id);
                }
            }
            () = sleep_until(until) => {}
        }
    }
}

fn frame(seq: i64, told: &SuiteEvent) -> Event {
    match told {
        SuiteEvent::Snapshot(data) => event("snapshot", Some(seq), data),
        SuiteEvent::Run(data) => event("run", Some(seq), data),
        SuiteEvent::Turn(data) => event("turn", Some(seq), data),
        SuiteEvent::Progress(data) => event("progress", None, data),
        SuiteEvent::Finished(data) => event("finished", Some(seq), data),
    }
}

fn event(name: &str, id: Option<i64>, data: &impl Serialize) -> Event {
    // Serialising our own types does not fail; an empty object is skipped by
    // every reader.
    let text = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    let event = Event::default().event(name).data(text);
    match id {
        Some(id) => event.id(id.to_string()),
        None => event,
    }
}

fn respond(frames: impl Stream<Item = Frame> + Send + 'static) -> Response {
    let ping = KeepAlive::new().interval(PING).text("ping");
    let mut response = Sse::new(frames).keep_alive(ping).into_response();
    // A proxy that collects would make a stream of it that comes all at once.
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Counts the streams that are open.
struct OpenStream;

impl OpenStream {
    fn new() -> Self {
        metrics::gauge!("rehearsal_open_streams").increment(1.0);
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("rehearsal_open_streams").decrement(1.0);
    }
}
