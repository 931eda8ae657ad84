//! Keeps what servers of models reject beyond a restart.

use clock::SharedClock;
use domain::ConnectionId;
use llm::{AdjustmentKey, AdjustmentSink, Adjustments, Learned};
use std::future::Future;
use std::sync::Arc;
use store::StoreResult;
use store::learned::{LearnedRow, LearnedStore};

/// What earlier processes learned. New knowledge is stored in tasks of their own, because
/// it is found during a model call, which must not wait for the database. A write that
/// fails costs a rejected call after the next start.
pub async fn restore(store: Arc<dyn LearnedStore>, clock: SharedClock) -> Learned {
    let rows = store.learned().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read what model servers reject; it is learned again");
        Vec::new()
    });
    let known: Vec<(AdjustmentKey, Adjustments)> = rows.into_iter().filter_map(parse).collect();
    Learned::restore(known, Arc::new(StoredAdjustments { store, clock }))
}

/// A row that an incompatible version wrote is ignored.
fn parse(row: LearnedRow) -> Option<(AdjustmentKey, Adjustments)> {
    let LearnedRow { connection_id, base_url, model, body } = row;
    let adjustments = serde_json::from_str(&body).ok()?;
    Some((AdjustmentKey { connection_id, base_url, model }, adjustments))
}

struct StoredAdjustments {
    store: Arc<dyn LearnedStore>,
    clock: SharedClock,
}

impl AdjustmentSink for StoredAdjustments {
    fn learned(&self, key: &AdjustmentKey, adjustments: &Adjustments) {
        let Ok(body) = serde_json::to_string(adjustments) else { return };
        let AdjustmentKey { connection_id, base_url, model } = key.clone();
        let row = LearnedRow { connection_id, base_url, model, body };
        let (store, now) = (self.store.clone(), self.clock.now());
        spawn(async move { store.put_learned(&row, now).await });
    }

    fn forgotten(&self, connection: ConnectionId) {
        let store = self.store.clone();
        spawn(async move { store.forget_learned(connection).await });
    }
}

fn spawn(write: impl Future<Output = StoreResult<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = write.await {
            tracing::debug!(%error, "what a model server rejects was not stored");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use clock::SystemClock;
    use domain::Timestamp;
    use llm::testing::endpoint;
    use parking_lot::Mutex;
    use tokio::sync::Notify;

    #[derive(Default)]
    struct Memory {
        rows: Mutex<Vec<LearnedRow>>,
        written: Notify,
    }

    #[async_trait]
    impl LearnedStore for Memory {
        async fn learned(&self) -> StoreResult<Vec<LearnedRow>> {
            Ok(self.rows.lock().clone())
        }
        async fn put_learned(&self, row: &LearnedRow, _: Timestamp) -> StoreResult<()> {
            self.rows.lock().push(row.clone());
            self.written.notify_one();
            Ok(())
        }
        async fn forget_learned(&self, _: ConnectionId) -> StoreResult<()> {
            self.rows.lock().clear();
            self.written.notify_one();
            Ok(())
        }
    }

    #[tokio::test]
    async fn next_process_knows_what_was_learned_and_forgets_edited_connections() {
        let store = Arc::new(Memory::default());
        let clock: SharedClock = Arc::new(SystemClock);
        let key = AdjustmentKey::new(&endpoint("http://x"), "m");
        let adjustments = Adjustments { max_tokens: Some(4096), ..Adjustments::default() };
        let sink = StoredAdjustments { store: store.clone(), clock: clock.clone() };
        sink.learned(&key, &adjustments);
        store.written.notified().await;
        let unreadable = LearnedRow { body: "?".into(), ..store.rows.lock()[0].clone() };
        store.rows.lock().insert(0, unreadable);

        let restored = restore(store.clone(), clock).await;
        assert_eq!(restored.get(&key), adjustments);
        restored.forget(key.connection_id);
        store.written.notified().await;
        assert_eq!((restored.get(&key), store.rows.lock().len()), (Adjustments::default(), 0));
    }
}
