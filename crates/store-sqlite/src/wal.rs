//! The length of the write-ahead log (WAL).
//!
//! SQLite checkpoints the WAL automatically and restarts it when no reader uses it.
//! While readers never pause it would grow without limit, and its file never
//! shrinks. Therefore the writer regularly truncates it.

use sqlx::{Row, SqliteConnection};

/// The number of pages (16 MiB) after which a commit runs a checkpoint.
pub(super) const CHECKPOINT_PAGES: &str = "4000";
/// A WAL of more pages (64 MiB) is truncated.
pub(super) const MAX_PAGES: i64 = 16_384;

/// Truncates the WAL if it is too long. Waits for readers until the busy timeout
/// of the connection.
pub(super) async fn truncate_if_long(c: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let pages: i64 =
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *c).await?.try_get(1)?;
    if pages > MAX_PAGES {
        let truncated = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *c).await?;
        let busy: i64 = truncated.try_get(0)?;
        tracing::info!(pages, done = busy == 0, "the write-ahead log was too long");
    }
    Ok(())
}
