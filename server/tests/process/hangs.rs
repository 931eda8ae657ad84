//! What refuses to end cannot keep the process: SIGTERM ends it in time though
//! every one of its threads is stuck.
//!
//! The log goes into a pipe, and whoever read it stands still. Once the pipe is
//! full each thread of the server stops at the next line that it logs, and the
//! stages of an orderly stop are not even begun.

use super::binary;
use futures::future::join_all;
use fault_injection::house::House;
use std::time::Duration;
use tokio::time::Instant;

/// The promise, and what a busy machine may add.
const IN_TIME: Duration = Duration::from_secs(22);
/// At once, so that every thread of the server has something to log.
const AT_ONCE: usize = 64;
/// Nobody is answered for so long: they are stuck.
const STUCK: Duration = Duration::from_secs(2);

/// Asks until nobody is answered any more.
async fn fill_the_log(house: &House) {
    let url = format!("http://{}/health/live", house.addr);
    let began = Instant::now();
    loop {
        let asked = (0..AT_ONCE).map(|_| house.client.get(&url).timeout(STUCK).send());
        let answers = join_all(asked).await;
        if answers.iter().all(|answer| answer.as_ref().is_err_and(reqwest::Error::is_timeout)) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it never stops at its log");
    }
}

#[tokio::test]
async fn with_every_thread_stuck_it_ends_in_time() {
    let house = House::of(&binary()).with("REHEARSAL_LOG", "info,tower_http=debug");
    let mut house = house.with_unread_log().started().await;
    fill_the_log(&house).await;
    house.signal();
    let (status, took) = house.ended().await;
    eprintln!("ended with {status} in {took:?}, every thread stuck");
    assert_eq!(status.code(), Some(1), "not in good order, and by itself");
    assert!(took < IN_TIME, "{took:?}");
}

#[tokio::test]
async fn with_every_thread_stuck_a_second_signal_ends_it_at_once() {
    let house = House::of(&binary()).with("REHEARSAL_LOG", "info,tower_http=debug");
    let mut house = house.with_unread_log().started().await;
    fill_the_log(&house).await;
    house.signal();
    // Two signals at the same moment would be one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    house.signal();
    let (status, took) = house.ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(took < Duration::from_secs(4), "{took:?}");
}
