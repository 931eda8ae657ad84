//! Whether the server can work now: its engine beats, and its store takes
//! writes.

use clock::SharedClock;
use engine::Engine;
use crate::http::Readiness;
use store::catalog::SettingStore;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

/// A heartbeat older than this is not fresh: six were missed.
const STALE_BEAT: Duration = Duration::from_secs(30);
/// How long somebody who asks waits for the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long a write that went well speaks for those after it.
const FRESH: Duration = Duration::from_secs(5);
/// For how long one that did not.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether store and engine work.
pub(crate) struct Ready {
    writes: Writes,
    engine: Engine,
    clock: SharedClock,
}

impl Ready {
    pub(crate) fn new(store: Arc<dyn SettingStore>, engine: Engine, clock: SharedClock) -> Self {
        Self { writes: Writes::new(store, clock.clone()), engine, clock }
    }
}

#[async_trait]
impl Readiness for Ready {
    async fn ready(&self) -> Result<(), String> {
        if self.clock.now().since(self.engine.last_beat()) > STALE_BEAT {
            return Err("The engine's heartbeat is late.".to_owned());
        }
        if !self.writes.taken().await {
            return Err("The database takes no writes.".to_owned());
        }
        Ok(())
    }
}

/// Whether the store takes writes. One write at a time asks, in a task of its
/// own: however many ask and whatever the store does, nobody waits long, no
/// write is dropped half-way, and few are made.
struct Writes {
    store: Arc<dyn SettingStore>,
    clock: SharedClock,
    asked: Mutex<Option<Asked>>,
}

struct Asked {
    at: Instant,
    answer: watch::Receiver<Option<bool>>,
}

impl Asked {
    /// Whether this one's answer is still good, or still to come. A good one
    /// is not, once a write of somebody else has failed.
    fn counts(&self, trouble: bool) -> bool {
        let for_so_long = match *self.answer.borrow() {
            // Unless its task is gone without a word.
            None => return self.answer.has_changed().is_ok(),
            Some(true) if trouble => return false,
            Some(true) => FRESH,
            Some(false) => AGAIN,
        };
        self.at.elapsed() < for_so_long
    }
}

impl Writes {
    fn new(store: Arc<dyn SettingStore>, clock: SharedClock) -> Self {
        Self { store, clock, asked: Mutex::default() }
    }

    async fn taken(&self) -> bool {
        let mut answer = self.ask();
        let heard = timeout(PATIENCE, answer.wait_for(Option::is_some)).await;
        heard.is_ok_and(|heard| heard.is_ok_and(|taken| *taken == Some(true)))
    }

    fn ask(&self) -> watch::Receiver<Option<bool>> {
        let mut asked = self.asked.lock();
        let trouble = self.store.in_trouble();
        if let Some(last) = asked.as_ref().filter(|last| last.counts(trouble)) {
            return last.answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        let (store, now) = (self.store.clone(), self.clock.now());
        let write = async move {
            let written = store.writable(now).await;
            if let Err(error) = &written {
                tracing::warn!(%error, "the store takes no writes");
            }
            tell.send_replace(Some(written.is_ok()));
        };
        tokio::spawn(write.in_current_span());
        *asked = Some(Asked { at: Instant::now(), answer: answer.clone() });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, FRESH, PATIENCE, Writes};
    use clock::SystemClock;
    use store_sqlite::SqliteStore;
    use sqlx::{Connection, Row, SqliteConnection};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    async fn other(path: &Path) -> SqliteConnection {
        let url = format!("sqlite:{}", path.display());
        SqliteConnection::connect(&url).await.expect("opens")
    }

    /// Changes that others made to the file, as SQLite counts them.
    async fn version(c: &mut SqliteConnection) -> i64 {
        let row = sqlx::query("PRAGMA data_version").fetch_one(c).await.expect("reads");
        row.get(0)
    }

    #[tokio::test]
    async fn many_questions_are_one_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        let store = Arc::new(SqliteStore::open(&path).await.expect("opens"));
        let writes = Writes::new(store, Arc::new(SystemClock));
        let mut watcher = other(&path).await;
        let before = version(&mut watcher).await;
        let answers = futures::future::join_all((0..100).map(|_| writes.taken())).await;
        assert!(answers.iter().all(|taken| *taken));
        let once = version(&mut watcher).await;
        assert_ne!(once, before, "it does write");
        for _ in 0..100 {
            assert!(writes.taken().await);
        }
        assert_eq!(version(&mut watcher).await, once, "and not again within {FRESH:?}");
    }

    #[tokio::test]
    async fn a_locked_database_is_told_in_time_and_heals_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        let store = Arc::new(SqliteStore::open(&path).await.expect("opens"));
        let writes = Writes::new(store, Arc::new(SystemClock));
        let mut holder = other(&path).await;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.expect("takes the lock");
        let began = tokio::time::Instant::now();
        let answers = futures::future::join_all((0..50).map(|_| writes.taken())).await;
        assert!(answers.iter().all(|taken| !*taken), "locked");
        assert!(began.elapsed() < PATIENCE + Duration::from_secs(3), "{:?}", began.elapsed());
        sqlx::query("ROLLBACK").execute(&mut holder).await.expect("frees it");
        // The write that waited goes through, and speaks for the next.
        let began = tokio::time::Instant::now();
        while !writes.taken().await {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not heal");
            tokio::time::sleep(AGAIN / 4).await;
        }
    }
}
