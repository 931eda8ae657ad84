//! Completions are counted and logged only after their commit.

use crate::testing::open;
use domain::{Counts, Finished, SuiteId, SuiteStatus};
use store::StoreError;
use store::ended::note;
use store::rows::EventRow;
use telemetry::capture::Capture;
use uuid::Uuid;

#[tokio::test]
async fn what_is_undone_is_never_told() {
    let (log, _captured) = Capture::new(tracing::Level::INFO);
    let (_folder, store) = open().await;
    let end = |number: u128, fails: bool| {
        store.writer.write(move |_| {
            Box::pin(async move {
                let finished =
                    Finished { status: SuiteStatus::Finished, counts: Counts::default() };
                note(SuiteId(Uuid::from_u128(number)), &[EventRow::Finished(finished)]);
                if fails { Err(StoreError::Stale) } else { Ok(()) }
            })
        })
    };
    // All in one transaction: what fails is undone alone.
    let (kept, undone, last) = tokio::join!(end(1, false), end(2, true), end(3, false));
    assert!(kept.is_ok() && undone.is_err() && last.is_ok());
    let told: Vec<_> =
        log.lines().iter().map(|line| line["fields"]["suite"].to_string()).collect();
    let suites = [1, 3].map(|n| format!("\"{}\"", Uuid::from_u128(n)));
    assert_eq!(told, suites);
}
