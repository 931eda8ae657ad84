//! Readiness: the heartbeat of the engine is recent, and the store accepts writes.

use crate::http::Readiness;
use async_trait::async_trait;
use clock::SharedClock;
use engine::Engine;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use store::catalog::SettingStore;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

/// Maximum age of the heartbeat: six intervals.
const MAX_HEARTBEAT_AGE: Duration = Duration::from_secs(30);
/// Maximum time that a probe waits for the store.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a successful write is cached.
const SUCCESS_TTL: Duration = Duration::from_secs(5);
/// How long a failed write is cached.
const FAILURE_TTL: Duration = Duration::from_secs(1);

pub(crate) struct ServerReadiness {
    write_check: WriteCheck,
    engine: Engine,
    clock: SharedClock,
}

impl ServerReadiness {
    pub(crate) fn new(store: Arc<dyn SettingStore>, engine: Engine, clock: SharedClock) -> Self {
        Self { write_check: WriteCheck::new(store, clock.clone()), engine, clock }
    }
}

#[async_trait]
impl Readiness for ServerReadiness {
    async fn ready(&self) -> Result<(), String> {
        if self.clock.now().since(self.engine.last_heartbeat()) > MAX_HEARTBEAT_AGE {
            return Err("The heartbeat of the engine is overdue.".to_owned());
        }
        if !self.write_check.accepts_writes().await {
            return Err("The database does not accept writes.".to_owned());
        }
        Ok(())
    }
}

/// Checks whether the store accepts writes. All probes share one write at a time, which
/// runs in its own task: probes return in time, writes are never interrupted, and the
/// number of writes is limited.
struct WriteCheck {
    store: Arc<dyn SettingStore>,
    clock: SharedClock,
    last: Mutex<Option<Attempt>>,
}

struct Attempt {
    started: Instant,
    /// `None` while the write is running.
    result: watch::Receiver<Option<bool>>,
}

impl Attempt {
    /// Whether the result is cached or pending. A success does not count if another write
    /// of the store has failed since.
    fn is_valid(&self, store_is_failing: bool) -> bool {
        let ttl = match *self.result.borrow() {
            // An error means that the task panicked.
            None => return self.result.has_changed().is_ok(),
            Some(true) if store_is_failing => return false,
            Some(true) => SUCCESS_TTL,
            Some(false) => FAILURE_TTL,
        };
        self.started.elapsed() < ttl
    }
}

impl WriteCheck {
    fn new(store: Arc<dyn SettingStore>, clock: SharedClock) -> Self {
        Self { store, clock, last: Mutex::default() }
    }

    async fn accepts_writes(&self) -> bool {
        let mut result = self.current_attempt();
        let written = timeout(TIMEOUT, result.wait_for(Option::is_some)).await;
        written.is_ok_and(|written| written.is_ok_and(|written| *written == Some(true)))
    }

    fn current_attempt(&self) -> watch::Receiver<Option<bool>> {
        let mut last = self.last.lock();
        let failing = self.store.is_failing();
        if let Some(attempt) = last.as_ref().filter(|attempt| attempt.is_valid(failing)) {
            return attempt.result.clone();
        }
        let (sender, result) = watch::channel(None);
        let (store, now) = (self.store.clone(), self.clock.now());
        let write = async move {
            let written = store.check_writable(now).await;
            if let Err(error) = &written {
                tracing::warn!(%error, "store does not accept writes");
            }
            sender.send_replace(Some(written.is_ok()));
        };
        tokio::spawn(write.in_current_span());
        *last = Some(Attempt { started: Instant::now(), result: result.clone() });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::{FAILURE_TTL, SUCCESS_TTL, TIMEOUT, WriteCheck};
    use clock::SystemClock;
    use sqlx::{Connection, Row, SqliteConnection};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;
    use store_sqlite::SqliteStore;

    async fn connect(path: &Path) -> SqliteConnection {
        let url = format!("sqlite:{}", path.display());
        SqliteConnection::connect(&url).await.expect("opens")
    }

    /// SQLite's counter of changes by other connections.
    async fn data_version(c: &mut SqliteConnection) -> i64 {
        let row = sqlx::query("PRAGMA data_version").fetch_one(c).await.expect("reads");
        row.get(0)
    }

    #[tokio::test]
    async fn concurrent_probes_share_one_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        let store = Arc::new(SqliteStore::open(&path).await.expect("opens"));
        let check = WriteCheck::new(store, Arc::new(SystemClock));
        let mut watcher = connect(&path).await;
        let before = data_version(&mut watcher).await;
        let results = futures::future::join_all((0..100).map(|_| check.accepts_writes())).await;
        assert!(results.iter().all(|written| *written));
        let once = data_version(&mut watcher).await;
        assert_ne!(once, before, "one write");
        for _ in 0..100 {
            assert!(check.accepts_writes().await);
        }
        assert_eq!(
            data_version(&mut watcher).await,
            once,
            "no second write within {SUCCESS_TTL:?}"
        );
    }

    #[tokio::test]
    async fn locked_database_is_reported_in_time_and_recovers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        let store = Arc::new(SqliteStore::open(&path).await.expect("opens"));
        let check = WriteCheck::new(store, Arc::new(SystemClock));
        let mut locker = connect(&path).await;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut locker).await.expect("locks");
        let started = tokio::time::Instant::now();
        let results = futures::future::join_all((0..50).map(|_| check.accepts_writes())).await;
        assert!(results.iter().all(|written| !*written), "locked");
        assert!(started.elapsed() < TIMEOUT + Duration::from_secs(3), "{:?}", started.elapsed());
        sqlx::query("ROLLBACK").execute(&mut locker).await.expect("unlocks");
        // The pending write succeeds.
        let started = tokio::time::Instant::now();
        while !check.accepts_writes().await {
            assert!(started.elapsed() < Duration::from_secs(30), "no recovery");
            tokio::time::sleep(FAILURE_TTL / 4).await;
        }
    }
}
