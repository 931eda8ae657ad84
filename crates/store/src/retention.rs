//! Retention: the store deletes expired data in steps so small that no turn
//! waits long behind one.

use super::StoreResult;
use super::catalog::SAVED_FORM_TTL;
use super::suites::IDEMPOTENCY_KEY_TTL;
use async_trait::async_trait;
use clock::SharedClock;
use domain::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The delay of the first round, so that it does not slow down the start.
const FIRST_ROUND: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(600);
const MAX_ROWS_PER_STEP: u32 = 250;
const PAUSE_BETWEEN_STEPS: Duration = Duration::from_millis(200);
/// How long events are kept after the end of their suite.
const EVENT_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an expired token is still listed, so that its user sees why it stopped working.
const TOKEN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Idempotency keys, by their creation time.
    Keys,
    /// Rejected form input, by its creation time.
    SavedForms,
    /// Browser sessions, by their expiry time.
    Sessions,
    /// API tokens, by their expiry time.
    Tokens,
    /// Revisions of deleted agents and scenarios that no suite or run refers to, by the
    /// time of the deletion; also the agents and scenarios, after their last revision.
    /// An object is checked once a day, because most of its revisions may stay.
    DeletedObjects,
    /// Events of finished suites, by the finish time. Readers get a snapshot of
    /// the suite instead of the events that they missed.
    Events,
    /// Finished suites with everything in them, by the finish time. A suite with
    /// an unfinished rejudge stays.
    Suites,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedRows {
    /// The number of rows by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Whether more rows may be left.
    pub more: bool,
}

impl DeletedRows {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|(_, rows)| rows).sum()
    }
}

#[async_trait]
pub trait RetentionStore: Send + Sync + 'static {
    /// Deletes at most about `most` rows of the time `before` or older. A partly
    /// deleted suite is hidden.
    async fn delete_expired(
        &self,
        what: Expired,
        before: Timestamp,
        most: u32,
    ) -> StoreResult<DeletedRows>;
    /// Lets the database maintain itself, such as the statistics for queries.
    async fn optimize(&self) -> StoreResult<()>;
}

/// Deletes expired data until `closing`. Finished suites expire after `keep_days`,
/// or never.
pub async fn run(
    store: Arc<dyn RetentionStore>,
    clock: SharedClock,
    keep_days: Option<u32>,
    closing: CancellationToken,
) {
    let mut wait = FIRST_ROUND;
    while closing.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = INTERVAL;
        for (what, before) in due(clock.now(), keep_days) {
            match delete_all(store.as_ref(), what, before, &closing).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(?what, rows, "deleted expired rows"),
                Err(error) => tracing::warn!(?what, %error, "expired rows could not be deleted"),
            }
        }
        if let Err(error) = store.optimize().await {
            tracing::warn!(%error, "the store could not be optimized");
        }
    }
}

/// What expires, and from which age on.
fn due(now: Timestamp, keep_days: Option<u32>) -> Vec<(Expired, Timestamp)> {
    let mut due = vec![
        (Expired::Keys, now.minus(IDEMPOTENCY_KEY_TTL)),
        (Expired::SavedForms, now.minus(SAVED_FORM_TTL)),
        (Expired::Sessions, now),
        (Expired::Tokens, now.minus(TOKEN_TTL)),
        (Expired::DeletedObjects, now.minus(DAY)),
        (Expired::Events, now.minus(EVENT_TTL)),
    ];
    due.extend(keep_days.map(|days| (Expired::Suites, now.minus(DAY * days))));
    due
}

/// Deletes step by step until nothing is left. Returns the number of rows.
async fn delete_all(
    store: &dyn RetentionStore,
    what: Expired,
    before: Timestamp,
    closing: &CancellationToken,
) -> StoreResult<u64> {
    let mut sum = 0;
    loop {
        let step = store.delete_expired(what, before, MAX_ROWS_PER_STEP).await?;
        for (table, rows) in &step.rows {
            metrics::counter!("rehearsal_cleaned_rows_total", "table" => *table).increment(*rows);
        }
        sum += step.total();
        let pause = closing.run_until_cancelled(tokio::time::sleep(PAUSE_BETWEEN_STEPS));
        if !step.more || pause.await.is_none() {
            return Ok(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::{Clock, TokioClock};
    use parking_lot::Mutex;

    /// A store with `left` expired events. Records its calls.
    #[derive(Default)]
    struct FakeStore {
        left: Mutex<u64>,
        calls: Mutex<Vec<Call>>,
        optimized: Mutex<u32>,
        clock: Option<TokioClock>,
    }

    struct Call {
        what: Expired,
        before: Timestamp,
        most: u32,
        at: Timestamp,
    }

    #[async_trait]
    impl RetentionStore for FakeStore {
        async fn delete_expired(
            &self,
            what: Expired,
            before: Timestamp,
            most: u32,
        ) -> StoreResult<DeletedRows> {
            let at = self.clock.map(|clock| clock.now()).unwrap_or_default();
            self.calls.lock().push(Call { what, before, most, at });
            if what != Expired::Events {
                return Ok(DeletedRows::default());
            }
            let mut left = self.left.lock();
            let step = (*left).min(u64::from(most));
            *left -= step;
            Ok(DeletedRows { rows: vec![("events", step)], more: *left > 0 })
        }
        async fn optimize(&self) -> StoreResult<()> {
            *self.optimized.lock() += 1;
            Ok(())
        }
    }

    async fn run_for(time: Duration, keep_days: Option<u32>, left: u64) -> Arc<FakeStore> {
        let clock = TokioClock::starting_at(Timestamp(1_700_000_000_000));
        let store = Arc::new(FakeStore {
            left: Mutex::new(left),
            clock: Some(clock),
            ..FakeStore::default()
        });
        let closing = CancellationToken::new();
        let worker = run(store.clone(), Arc::new(clock), keep_days, closing.clone());
        let worker = tokio::spawn(worker);
        tokio::time::sleep(time).await;
        closing.cancel();
        tokio::time::timeout(Duration::from_secs(1), worker).await.unwrap().unwrap();
        store
    }

    #[tokio::test(start_paused = true)]
    async fn deletes_in_small_steps_with_pauses() {
        let store = run_for(Duration::from_secs(300), None, 5_200).await;
        assert_eq!(*store.left.lock(), 0);
        let calls = store.calls.lock();
        let steps: Vec<_> = calls.iter().filter(|call| call.what == Expired::Events).collect();
        assert_eq!(steps.len(), 21, "250 at a time");
        assert!(steps.iter().all(|step| step.most <= 250));
        assert!(steps.windows(2).all(|two| two[1].at.since(two[0].at) >= PAUSE_BETWEEN_STEPS));
        assert_eq!(*store.optimized.lock(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn suites_are_deleted_only_with_keep_days() {
        let store = run_for(Duration::from_secs(3600), None, 0).await;
        assert!(store.calls.lock().iter().all(|call| call.what != Expired::Suites));
        assert_eq!(*store.optimized.lock(), 6, "one round every 10 minutes");
        let store = run_for(Duration::from_secs(61), Some(30), 0).await;
        let calls = store.calls.lock();
        let age = |what| {
            let call = calls.iter().find(|call| call.what == what).unwrap();
            call.at.since(call.before).as_secs()
        };
        assert_eq!(age(Expired::Suites), 30 * 24 * 3600);
        assert_eq!(age(Expired::Events), 7 * 24 * 3600);
        assert_eq!((age(Expired::Keys), age(Expired::SavedForms)), (24 * 3600, 24 * 3600));
        assert_eq!(age(Expired::Sessions), 0, "sessions store their expiry time");
    }

    #[tokio::test(start_paused = true)]
    async fn closing_stops_the_worker_mid_round() {
        let store = run_for(Duration::from_secs(70), None, 1_000_000).await;
        assert!(*store.left.lock() > 900_000, "it did not finish first");
    }
}
