//! The cleaner: deletes what is old, in steps so small that no turn waits long
//! behind one.

use super::catalog::KEPT_DRAFTS;
use super::cleaning::{CleanStore, Old};
use super::{Stored, suites::KEPT_KEYS};
use clock::SharedClock;
use domain::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first round after the start: when others have begun.
const FIRST: Duration = Duration::from_secs(60);
/// Between two rounds.
const EVERY: Duration = Duration::from_secs(600);
/// Most rows of a step.
const STEP: u32 = 250;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(200);
/// Events are kept so long after the end of their suite.
const KEPT_EVENTS: Duration = Duration::from_secs(7 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Cleans now and then until `closing`. Finished suites go after `keep_days`;
/// without that they stay for ever.
pub async fn run(
    store: Arc<dyn CleanStore>,
    clock: SharedClock,
    keep_days: Option<u32>,
    closing: CancellationToken,
) {
    let mut wait = FIRST;
    while closing.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = EVERY;
        for (what, before) in old(clock.now(), keep_days) {
            match clean(store.as_ref(), what, before, &closing).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(?what, rows, "cleaned"),
                Err(error) => tracing::warn!(?what, %error, "could not be cleaned"),
            }
        }
        if let Err(error) = store.tidy().await {
            tracing::warn!(%error, "the store could not tidy up");
        }
    }
}

/// What goes now, and how old it must be.
fn old(now: Timestamp, keep_days: Option<u32>) -> Vec<(Old, Timestamp)> {
    let mut all = vec![
        (Old::Keys, now.minus(KEPT_KEYS)),
        (Old::Drafts, now.minus(KEPT_DRAFTS)),
        (Old::Sessions, now),
        (Old::Events, now.minus(KEPT_EVENTS)),
    ];
    all.extend(keep_days.map(|days| (Old::Suites, now.minus(DAY * days))));
    all
}

/// Step by step until nothing is left; answers how many rows went.
async fn clean(
    store: &dyn CleanStore,
    what: Old,
    before: Timestamp,
    closing: &CancellationToken,
) -> Stored<u64> {
    let mut sum = 0;
    loop {
        let step = store.clean(what, before, STEP).await?;
        for (table, rows) in &step.rows {
            metrics::counter!("rehearsal_cleaned_rows_total", "table" => *table).increment(*rows);
        }
        sum += step.total();
        let pause = closing.run_until_cancelled(tokio::time::sleep(PAUSE));
        if !step.more || pause.await.is_none() {
            return Ok(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::{Clock, TokioClock};
    use crate::cleaning::Cleaned;
    use async_trait::async_trait;
    use parking_lot::Mutex;

    /// A store with so much that is old; notes what it is asked.
    #[derive(Default)]
    struct Dusty {
        left: Mutex<u64>,
        asked: Mutex<Vec<(Old, Timestamp, u32, Timestamp)>>,
        tidied: Mutex<u32>,
        clock: Option<TokioClock>,
    }

    #[async_trait]
    impl CleanStore for Dusty {
        async fn clean(&self, what: Old, before: Timestamp, most: u32) -> Stored<Cleaned> {
            let now = self.clock.map(|clock| clock.now()).unwrap_or_default();
            self.asked.lock().push((what, before, most, now));
            if what != Old::Events {
                return Ok(Cleaned::default());
            }
            let mut left = self.left.lock();
            let step = (*left).min(u64::from(most));
            *left -= step;
            Ok(Cleaned { rows: vec![("events", step)], more: *left > 0 })
        }
        async fn tidy(&self) -> Stored<()> {
            *self.tidied.lock() += 1;
            Ok(())
        }
    }

    async fn rounds(keep_days: Option<u32>, left: u64, life: Duration) -> Arc<Dusty> {
        let clock = TokioClock::starting_at(Timestamp(1_700_000_000_000));
        let store =
            Arc::new(Dusty { left: Mutex::new(left), clock: Some(clock), ..Dusty::default() });
        let closing = CancellationToken::new();
        let cleaner = run(store.clone(), Arc::new(clock), keep_days, closing.clone());
        let cleaner = tokio::spawn(cleaner);
        tokio::time::sleep(life).await;
        closing.cancel();
        tokio::time::timeout(Duration::from_secs(1), cleaner).await.unwrap().unwrap();
        store
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_in_small_steps_with_pauses_between_them() {
        let store = rounds(None, 5_200, Duration::from_secs(300)).await;
        assert_eq!(*store.left.lock(), 0);
        let asked = store.asked.lock();
        let steps: Vec<_> = asked.iter().filter(|step| step.0 == Old::Events).collect();
        assert_eq!(steps.len(), 21, "250 at a time");
        assert!(steps.iter().all(|step| step.2 <= 250));
        assert!(steps.windows(2).all(|two| two[1].3.since(two[0].3) >= PAUSE), "turns go between");
        assert_eq!(*store.tidied.lock(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn suites_stay_for_ever_unless_somebody_says_otherwise() {
        let store = rounds(None, 0, Duration::from_secs(3600)).await;
        assert!(store.asked.lock().iter().all(|step| step.0 != Old::Suites));
        assert_eq!(*store.tidied.lock(), 6, "one round in 10 minutes");
        let store = rounds(Some(30), 0, Duration::from_secs(61)).await;
        let asked = store.asked.lock();
        let age = |what| {
            let (_, before, _, now) = asked.iter().find(|step| step.0 == what).unwrap();
            now.since(*before).as_secs()
        };
        assert_eq!(age(Old::Suites), 30 * 24 * 3600);
        assert_eq!(age(Old::Events), 7 * 24 * 3600);
        assert_eq!((age(Old::Keys), age(Old::Drafts)), (24 * 3600, 24 * 3600));
        assert_eq!(age(Old::Sessions), 0, "they say themselves when they expire");
    }

    #[tokio::test(start_paused = true)]
    async fn closing_ends_it_in_the_middle() {
        let store = rounds(None, 1_000_000, Duration::from_secs(70)).await;
        assert!(*store.left.lock() > 900_000, "it did not finish first");
    }
}
