//! A reader of one suite's stream, as a page is one: it stays, it comes back
//! with the last event it has, and it notices a gap or a double.

use crate::history::{Announced, Frames, Told, event, told_at};
use crate::house::User;
use crate::report::Figures;
use crate::wall::now_ms;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Before a reader comes back. A page waits for two seconds.
const BACK: Duration = Duration::from_millis(200);

/// What a reader has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The number of the last event.
    pub last: i64,
    /// How many.
    pub events: usize,
    /// Numbers that did not come.
    pub gaps: usize,
    /// Numbers that came twice.
    pub doubles: usize,
    /// How often it came back.
    pub returns: usize,
    /// Whether it has seen the end.
    pub finished: bool,
    /// The turns it was told of.
    pub announced: Vec<Announced>,
    /// From the time in the payload, which is that of the change before it was
    /// committed, to the wire; of what was told live.
    pub lags: Figures,
}

/// A running reader. Dropping it ends it.
pub struct Reader {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Begins to read a suite from its first event.
    #[must_use]
    pub fn of(user: &User, suite: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(follow(user.clone(), suite.to_owned(), Arc::clone(&seen)));
        Self { seen, task }
    }

    /// Looks at what it has seen so far.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock())
    }

    /// Waits until it has seen the end, at most so long; whether it has.
    pub async fn ended(&mut self, longest: Duration) -> bool {
        let _ = tokio::time::timeout(longest, &mut self.task).await;
        self.look(|seen| seen.finished)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(user: User, suite: String, seen: Arc<Mutex<Seen>>) {
    loop {
        let last = seen.lock().last;
        let path = format!("/suites/{suite}/events?after=0");
        let mut request = user.ask(Method::GET, &path);
        if last > 0 {
            request = request.header("Last-Event-ID", last.to_string());
        }
        match request.send().await {
            Ok(answer) if answer.status() == StatusCode::NO_CONTENT => {
                seen.lock().finished = true;
            }
            Ok(answer) if answer.status().is_success() => read(answer, &seen).await,
            _ => {}
        }
        if seen.lock().finished {
            return;
        }
        tokio::time::sleep(BACK).await;
        seen.lock().returns += 1;
    }
}

/// Reads until the stream ends or breaks.
async fn read(mut answer: reqwest::Response, seen: &Mutex<Seen>) {
    let mut frames = Frames::default();
    let since = now_ms();
    while let Ok(Some(piece)) = answer.chunk().await {
        let now = now_ms();
        for frame in frames.take(&piece) {
            let Some(seq) = frame.id else { continue };
            let mut seen = seen.lock();
            if seq <= seen.last {
                seen.doubles += 1;
                continue;
            }
            seen.gaps += usize::from(seq != seen.last + 1);
            seen.last = seq;
            seen.events += 1;
            let told = event(seq, &frame.event, &frame.data).map(|event| event.what);
            match told {
                Some(Told::Turn(turn)) => {
                    let data = serde_json::from_str(&frame.data).unwrap_or_default();
                    if let Some(at) = told_at(&data).filter(|at| *at >= since) {
                        #[allow(clippy::cast_precision_loss)] // milliseconds of a soak
                        seen.lags.add((now - at) as f64);
                    }
                    seen.announced.push(turn);
                }
                Some(Told::Finished { .. }) => seen.finished = true,
                _ => {}
            }
        }
    }
}
