//! SIGTERM ends the process in time even when all of its threads are blocked.
//!
//! The log goes to a pipe that is never read. Once the pipe is full, each thread
//! blocks at the next line that it logs, before any stage of the shutdown.

use super::new_server;
use fault_injection::TestServer;
use futures::future::join_all;
use std::time::Duration;
use tokio::time::Instant;

/// The 20 s of the product and a margin for a busy machine.
const MAX_EXIT_TIME: Duration = Duration::from_secs(22);
/// Enough concurrent requests to make every thread log.
const CONCURRENCY: usize = 64;
/// All threads are blocked when no request gets a response within this time.
const BLOCKED_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends requests until all threads are blocked.
async fn fill_the_log(server: &TestServer) {
    let url = format!("http://{}/health/live", server.addr);
    let start = Instant::now();
    loop {
        let requests =
            (0..CONCURRENCY).map(|_| server.client.get(&url).timeout(BLOCKED_TIMEOUT).send());
        let responses = join_all(requests).await;
        if responses.iter().all(|response| response.as_ref().is_err_and(reqwest::Error::is_timeout))
        {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the threads never block");
    }
}

#[tokio::test]
async fn sigterm_ends_process_with_blocked_threads_in_time() {
    let server = new_server().with_env("REHEARSAL_LOG", "info,tower_http=debug");
    let mut server = server.with_unread_log().started().await;
    fill_the_log(&server).await;
    server.send_sigterm();
    let (status, exit_time) = server.wait_for_exit().await;
    eprintln!("exited with {status} in {exit_time:?}, all threads blocked");
    assert_eq!(status.code(), Some(1), "a forced exit");
    assert!(exit_time < MAX_EXIT_TIME, "{exit_time:?}");
}

#[tokio::test]
async fn second_sigterm_ends_process_with_blocked_threads_at_once() {
    let server = new_server().with_env("REHEARSAL_LOG", "info,tower_http=debug");
    let mut server = server.with_unread_log().started().await;
    fill_the_log(&server).await;
    server.send_sigterm();
    // Two signals at the same time would be merged.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.send_sigterm();
    let (status, exit_time) = server.wait_for_exit().await;
    assert_eq!(status.code(), Some(1));
    assert!(exit_time < Duration::from_secs(4), "{exit_time:?}");
}
