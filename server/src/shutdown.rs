//! Stopping in good order, and in time whatever hangs.
//!
//! The first SIGTERM or SIGINT: not ready any more, streams end, calls in
//! flight are dropped, runs are given back, open requests may end, the store is
//! closed. Each stage has its time; together they stay below [`LONGEST`], at
//! which the process ends in any case: also where all of its threads are stuck,
//! say at a log that nobody reads any more. A second signal ends it at once.
//! Neither loses anything: boot takes up what a stop left behind, as after a
//! crash.

use std::future::Future;
use std::process::exit;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// From the signal to the end of the process, whatever hangs.
pub(crate) const LONGEST: Duration = Duration::from_secs(20);
/// For the engine to give back what it holds.
pub(crate) const ENGINE: Duration = Duration::from_secs(11);
/// For open requests to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);
/// For the store to be closed.
pub(crate) const STORE: Duration = Duration::from_secs(2);

/// What is logged when the time is over.
const OVERDUE: &str = "something still hangs 20 s after the signal; the process ends without it, and the next start \
     takes up what it left";

/// For the words that are logged on the way. A log that nobody reads any more
/// (a full pipe, a disk that hangs) holds up whoever writes to it.
const WORDS: Duration = Duration::from_millis(500);

/// Cancels `shutdown` at the first signal, and sees to the end from then on.
/// Returns when signals are heard.
///
/// On a thread of its own, with a runtime of its own: where each thread of the
/// server's runtime is blocked, nobody would be left to hear the signal.
pub(crate) async fn listen(shutdown: CancellationToken) {
    let (hears, is_heard) = oneshot::channel();
    let thread = std::thread::Builder::new().name("shutdown".to_owned());
    let listening = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(see_to_the_end(shutdown, hears)),
            Err(error) => tracing::error!(%error, "signals cannot be heard"),
        }
    });
    match listening {
        // Without an answer it said why not.
        Ok(_) => drop(is_heard.await),
        Err(error) => tracing::error!(%error, "signals cannot be heard"),
    }
}

async fn see_to_the_end(shutdown: CancellationToken, hears: oneshot::Sender<()>) {
    let Some(mut signals) = Signals::new() else {
        tracing::error!("signals cannot be heard");
        return;
    };
    let _ = hears.send(());
    signals.next().await;
    let overdue = tokio::time::sleep(LONGEST.saturating_sub(WORDS));
    shutdown.cancel();
    say(|| tracing::info!("asked to stop"));
    tokio::select! {
        () = signals.next() => say(|| tracing::warn!("asked to stop again; the process ends at once")),
        () = overdue => say(|| tracing::error!("{OVERDUE}")),
    }
    exit(1);
}

/// Logs from another thread, and waits a moment at most until it is done.
fn say(words: impl FnOnce() + Send + 'static) {
    let (said, is_said) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("last words".to_owned());
    let speaking = thread.spawn(move || {
        words();
        let _ = said.send(());
    });
    if speaking.is_ok() {
        let _ = is_said.recv_timeout(WORDS);
    }
}

/// Waits for one stage, at most so long; whether it ended. The stage is a task
/// of its own: what it does to the database is never dropped half-way.
pub(crate) async fn stage(
    what: &str,
    longest: Duration,
    work: impl Future<Output = ()> + Send + 'static,
) -> bool {
    let began = tokio::time::Instant::now();
    match tokio::time::timeout(longest, tokio::spawn(work)).await {
        Ok(Ok(())) => {
            tracing::debug!(what, took_ms = began.elapsed().as_millis(), "stopped");
            true
        }
        Ok(Err(error)) => {
            tracing::error!(what, %error, "could not be stopped");
            false
        }
        Err(_) => {
            tracing::error!(what, "still hangs; the process ends without it");
            false
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate()).ok()?;
        Some(Self { terminate, interrupt: signal(SignalKind::interrupt()).ok()? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DRAIN, ENGINE, LONGEST, STORE, WORDS, stage};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn the_stages_fit_into_the_whole() {
        assert!(ENGINE + DRAIN + STORE + Duration::from_secs(1) < LONGEST - WORDS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_hangs_is_left_and_not_dropped() {
        let began = tokio::time::Instant::now();
        let (go, done) = (CancellationToken::new(), CancellationToken::new());
        let (may_go, is_done) = (go.clone(), done.clone());
        let hangs = async move {
            may_go.cancelled().await;
            is_done.cancel();
        };
        assert!(!stage("a stage", Duration::from_secs(2), hangs).await);
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        go.cancel();
        done.cancelled().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_ends_is_not_waited_for_longer() {
        let began = tokio::time::Instant::now();
        let work = tokio::time::sleep(Duration::from_millis(50));
        assert!(stage("a stage", Duration::from_secs(2), work).await);
        assert_eq!(began.elapsed(), Duration::from_millis(50));
    }
}
