//! The write-ahead log's length.
//!
//! SQLite copies the log into the database by itself, and begins it anew where
//! no reader is in its way. Under readers that never pause it would grow
//! without end, and its file never shrinks; so now and then the writer looks.

use sqlx::{Row, SqliteConnection};

/// After so many pages (16 MiB) SQLite copies the log into the database, within
/// the commit that reached them.
pub(super) const COPIED_AFTER: &str = "4000";
/// Longer than this (in pages of 4 KiB: 64 MiB) it is cut.
pub(super) const LONGEST: i64 = 16_384;

/// Cuts the log if it has grown long: waits for readers as long as the
/// connection's busy timeout, and tries again next time where they stay.
pub(super) async fn keep_short(c: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let pages: i64 =
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *c).await?.try_get(1)?;
    if pages > LONGEST {
        let cut = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *c).await?;
        let busy: i64 = cut.try_get(0)?;
        tracing::info!(pages, done = busy == 0, "the log of the database had grown long");
    }
    Ok(())
}
