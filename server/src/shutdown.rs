//! Graceful shutdown within a time limit.
//!
//! After the first SIGTERM or SIGINT the server reports that it is not ready, ends
//! streams, cancels calls, releases runs, drains requests and closes the store. Each
//! stage has a time limit. The process exits after [`MAX_DURATION`] even if all its
//! threads are blocked, for example by a full log pipe. A second signal exits
//! immediately. No data is lost: the next start recovers the runs as after a crash.

use std::future::Future;
use std::process::exit;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Maximum time from the signal to the exit.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(20);
/// Time limit for the engine to release its runs.
pub(crate) const ENGINE_TIMEOUT: Duration = Duration::from_secs(11);
/// Time limit for open requests.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(2);

const OVERDUE: &str =
    "shutdown not complete 20 s after the signal; exiting, and the next start recovers the runs";

/// Time limit for a log line. A full pipe or a stalled disk blocks the writer.
const LOG_TIMEOUT: Duration = Duration::from_millis(500);

/// Starts a thread that cancels `shutdown` at the first signal and enforces the time
/// limit. Returns when the signal handlers are installed.
///
/// The thread has its own runtime, because all threads of the server's runtime may be
/// blocked.
pub(crate) async fn spawn_signal_handler(shutdown: CancellationToken) {
    let (ready, is_ready) = oneshot::channel();
    let thread = std::thread::Builder::new().name("shutdown".to_owned());
    let spawned = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(handle_signals(shutdown, ready)),
            Err(error) => tracing::error!(%error, "cannot install signal handlers"),
        }
    });
    match spawned {
        // The thread logs its own error.
        Ok(_) => drop(is_ready.await),
        Err(error) => tracing::error!(%error, "cannot install signal handlers"),
    }
}

async fn handle_signals(shutdown: CancellationToken, ready: oneshot::Sender<()>) {
    let Some(mut signals) = Signals::new() else {
        tracing::error!("cannot install signal handlers");
        return;
    };
    let _ = ready.send(());
    signals.next().await;
    let overdue = tokio::time::sleep(MAX_DURATION.saturating_sub(LOG_TIMEOUT));
    shutdown.cancel();
    log_with_timeout(|| tracing::info!("shutdown requested"));
    tokio::select! {
        () = signals.next() => {
            log_with_timeout(|| tracing::warn!("shutdown requested again; exiting immediately"));
        }
        () = overdue => log_with_timeout(|| tracing::error!("{OVERDUE}")),
    }
    exit(1);
}

/// Logs from another thread and waits at most [`LOG_TIMEOUT`].
fn log_with_timeout(log: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("shutdown log".to_owned());
    let spawned = thread.spawn(move || {
        log();
        let _ = done.send(());
    });
    if spawned.is_ok() {
        let _ = is_done.recv_timeout(LOG_TIMEOUT);
    }
}

/// Runs one stage with a time limit. Returns whether it completed. The stage is a
/// detached task, so that a timeout does not interrupt its database writes.
pub(crate) async fn stage(
    stage: &str,
    limit: Duration,
    work: impl Future<Output = ()> + Send + 'static,
) -> bool {
    let started = tokio::time::Instant::now();
    match tokio::time::timeout(limit, tokio::spawn(work)).await {
        Ok(Ok(())) => {
            tracing::debug!(stage, duration_ms = started.elapsed().as_millis(), "stopped");
            true
        }
        Ok(Err(error)) => {
            tracing::error!(stage, %error, "shutdown stage failed");
            false
        }
        Err(_) => {
            tracing::error!(stage, "shutdown stage timed out");
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
    use super::{DRAIN_TIMEOUT, ENGINE_TIMEOUT, LOG_TIMEOUT, MAX_DURATION, STORE_TIMEOUT, stage};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn stage_limits_fit_into_the_total_limit() {
        let stages = ENGINE_TIMEOUT + DRAIN_TIMEOUT + STORE_TIMEOUT;
        assert!(stages + Duration::from_secs(1) < MAX_DURATION - LOG_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn stage_that_times_out_keeps_running() {
        let started = tokio::time::Instant::now();
        let (go, done) = (CancellationToken::new(), CancellationToken::new());
        let (may_go, is_done) = (go.clone(), done.clone());
        let work = async move {
            may_go.cancelled().await;
            is_done.cancel();
        };
        assert!(!stage("a stage", Duration::from_secs(2), work).await);
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        go.cancel();
        done.cancelled().await;
    }

    #[tokio::test(start_paused = true)]
    async fn completed_stage_returns_immediately() {
        let started = tokio::time::Instant::now();
        let work = tokio::time::sleep(Duration::from_millis(50));
        assert!(stage("a stage", Duration::from_secs(2), work).await);
        assert_eq!(started.elapsed(), Duration::from_millis(50));
    }
}
