//! Effects of a change are published only after its commit.

use crate::testing::open;
use domain::{Counts, FinishedEvent, SuiteId, SuiteStatus};
use futures::FutureExt;
use store::StoreError;
use store::rows::EventRow;
use telemetry::capture::Capture;
use uuid::Uuid;

#[tokio::test]
async fn failed_change_leaves_no_effects() {
    let (log, _captured) = Capture::new(tracing::Level::INFO);
    let (_folder, store) = open().await;
    let finish = |number: u128, fails: bool| {
        store.writer.transaction(move |tx| {
            async move {
                let finished =
                    FinishedEvent { status: SuiteStatus::Finished, counts: Counts::default() };
                let suite = SuiteId(Uuid::from_u128(number));
                tx.effects.add_completed(suite, &[EventRow::Finished(finished)]);
                if fails { Err(StoreError::Stale) } else { Ok(()) }
            }
            .boxed()
        })
    };
    // All in one transaction: the failed change is undone alone.
    let (first, failed, last) = tokio::join!(finish(1, false), finish(2, true), finish(3, false));
    assert!(first.is_ok() && failed.is_err() && last.is_ok());
    let logged: Vec<_> =
        log.lines().iter().map(|line| line["fields"]["suite"].to_string()).collect();
    let suites = [1, 3].map(|n| format!("\"{}\"", Uuid::from_u128(n)));
    assert_eq!(logged, suites);
}
