//! Temporary databases for tests.

use crate::SqliteStore;
#[cfg(test)]
use sqlx::{Connection, SqliteConnection};

/// An empty store in a temporary folder, which must live as long as the store.
///
/// # Panics
/// When the folder or the database cannot be created.
pub async fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    (folder, store)
}

/// A connection as another process has it.
#[cfg(test)]
pub(crate) async fn other_connection(store: &SqliteStore) -> SqliteConnection {
    let options = store.read.connect_options().as_ref().clone().read_only(false);
    SqliteConnection::connect_with(&options).await.expect("connects")
}
