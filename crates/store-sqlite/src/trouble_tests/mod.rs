//! The writer under trouble: locked by others, disk full, connection broken.
//! Each change is stored or answered as not stored, never half, and the writer
//! goes on by itself.
//!
//! Here: a store whose writer can be kept busy and be troubled.

mod connection;
mod full;
mod locks;

use crate::trouble::DbResult;
use store::StoreError;
use crate::SqliteStore;
use crate::writer::{ONE_TRY, Patience, Writer};
use futures::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Bench {
    store: SqliteStore,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// A store whose writer waits this long for a lock.
async fn store(first: Duration) -> Bench {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.db");
    let mut store = SqliteStore::open(&file).await.expect("opens");
    store.writer.close().await;
    let options = SqliteConnectOptions::new().filename(&file).busy_timeout(ONE_TRY);
    let connection = SqliteConnection::connect_with(&options).await.expect("connects");
    let patience = Patience { first, again: Duration::from_millis(100) };
    store.writer = Writer::start(connection, options, patience);
    Bench { store, file, _folder: folder }
}

impl Bench {
    /// Another process's connection.
    async fn another(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.file);
        SqliteConnection::connect_with(&options).await.expect("connects")
    }

    async fn put(&self, name: &'static str) -> Result<(), StoreError> {
        self.store.writer.write(move |c| put(c, name, 1).boxed()).await
    }

    async fn names(&self) -> Vec<String> {
        let names = sqlx::query_scalar("SELECT name FROM facts ORDER BY name");
        names.fetch_all(&self.store.read).await.expect("reads")
    }

    async fn tell(&self, pragma: &'static str) {
        let told = self.store.writer.write(move |c| {
            async move {
                sqlx::query(pragma).fetch_all(c).await.db()?;
                Ok(())
            }
            .boxed()
        });
        told.await.expect("a pragma");
    }

    /// A change that keeps the writer busy: what is queued meanwhile shares the
    /// next transaction.
    async fn busy(&self) -> Busy {
        let (go, wait) = oneshot::channel::<()>();
        let (begun, began) = oneshot::channel();
        let writer = self.store.writer.clone();
        let held = tokio::spawn(async move {
            let held = writer.write(move |_| {
                async move {
                    let _ = begun.send(());
                    let _ = wait.await;
                    Ok(())
                }
                .boxed()
            });
            held.await
        });
        began.await.expect("began");
        Busy { go, held }
    }
}

/// A writer that is kept busy, see [`Bench::busy`].
struct Busy {
    go: oneshot::Sender<()>,
    held: JoinHandle<Result<(), StoreError>>,
}

impl Busy {
    /// Lets the writer go on.
    async fn over(self) {
        self.go.send(()).expect("waits");
        self.held.await.expect("no panic").expect("stored");
    }
}

/// Stores a fact of so many bytes.
async fn put(c: &mut SqliteConnection, name: &'static str, bytes: i64) -> Result<(), StoreError> {
    let put = sqlx::query("INSERT INTO facts (name, value) VALUES (?, zeroblob(?))");
    put.bind(name).bind(bytes).execute(c).await.db()?;
    Ok(())
}

async fn run(c: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(c).await.expect(sql);
}

fn because(answer: &Result<(), StoreError>, of: &str) -> bool {
    matches!(answer, Err(StoreError::Unavailable(why)) if why.contains(of))
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
