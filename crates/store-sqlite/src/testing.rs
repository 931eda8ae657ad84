//! Temporary databases for tests.

use crate::SqliteStore;

/// An empty store in a temporary folder, which must live as long as the store.
///
/// # Panics
/// When the folder or the database cannot be created.
pub async fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    (folder, store)
}
