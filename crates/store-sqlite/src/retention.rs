//! Retention over SQLite: each step deletes a bounded number of rows in one
//! transaction.
//!
//! The column `events_state` of a suite is 0 while its events are kept, 1 while they are being
//! deleted (no reader gets them), and 2 when they are gone.

use crate::SqliteStore;
use crate::retention_catalog::Versioned;
use crate::sqlite_error::{DbResult, RunStatement, Statement};
use async_trait::async_trait;
use domain::Timestamp;
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::StoreResult;
use store::retention::{DeletedRows, Expired, RetentionStore};

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn delete_expired(
        &self,
        expired: Expired,
        before: Timestamp,
        limit: u32,
    ) -> StoreResult<DeletedRows> {
        let step = Step { before: before.0, left: limit, deleted: DeletedRows::default() };
        self.writer.write(move |c| step.run(c, expired).boxed()).await
    }

    async fn optimize(&self) -> StoreResult<()> {
        let written = self.writer.write(|c| {
            async move {
                // All tables (0x10000), where it helps (0x02), by samples (0x10).
                sqlx::query("PRAGMA optimize = 0x10012").fetch_all(c).await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }
}

pub(super) struct Step {
    pub(super) before: i64,
    /// The number of rows that the step may still delete.
    pub(super) left: u32,
    deleted: DeletedRows,
}

impl Step {
    async fn run(mut self, c: &mut SqliteConnection, expired: Expired) -> StoreResult<DeletedRows> {
        let (before, left) = (self.before, self.left);
        let deletes_all = match expired {
            Expired::Keys => {
                let delete = sqlx::query!(
                    "DELETE FROM idempotency_keys WHERE rowid IN \
                     (SELECT rowid FROM idempotency_keys WHERE created_at <= ? LIMIT ?)",
                    before,
                    left,
                );
                self.delete(c, "idempotency_keys", delete).await?
            }
            Expired::SavedForms => {
                let delete = sqlx::query!(
                    "DELETE FROM drafts WHERE rowid IN \
                     (SELECT rowid FROM drafts WHERE created_at <= ? LIMIT ?)",
                    before,
                    left,
                );
                self.delete(c, "drafts", delete).await?
            }
            Expired::Sessions => {
                let delete = sqlx::query!(
                    "DELETE FROM sessions WHERE rowid IN \
                     (SELECT rowid FROM sessions WHERE expires_at <= ? LIMIT ?)",
                    before,
                    left,
                );
                self.delete(c, "sessions", delete).await?
            }
            Expired::Tokens => {
                let delete = sqlx::query!(
                    "DELETE FROM tokens WHERE id IN \
                     (SELECT id FROM tokens WHERE expires_at <= ? LIMIT ?)",
                    before,
                    left,
                );
                self.delete(c, "tokens", delete).await?
            }
            Expired::DeletedObjects => {
                self.delete_versioned(c, Versioned::Agent).await?
                    && self.delete_versioned(c, Versioned::Scenario).await?
                    && self.delete_versioned(c, Versioned::Profile).await?
            }
            Expired::Events => self.delete_events(c).await?,
            Expired::Suites => self.delete_suites(c).await?,
        };
        self.deleted.more = !deletes_all;
        Ok(self.deleted)
    }

    pub(super) fn count(&mut self, table: &'static str, rows: u64) {
        self.left = self.left.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
        if rows == 0 {
            return;
        }
        match self.deleted.rows.iter_mut().find(|(name, _)| *name == table) {
            Some((_, sum)) => *sum += rows,
            None => self.deleted.rows.push((table, rows)),
        }
    }

    /// Runs a delete whose limit is `left`. Returns whether no more rows match.
    pub(super) async fn delete(
        &mut self,
        c: &mut SqliteConnection,
        table: &'static str,
        statement: Statement<'_>,
    ) -> StoreResult<bool> {
        let limit = self.left;
        let deleted = statement.execute(c).await.db()?.rows_affected();
        self.count(table, deleted);
        Ok(deleted < u64::from(limit))
    }

    async fn delete_events_of(
        &mut self,
        c: &mut SqliteConnection,
        suite: &[u8],
    ) -> StoreResult<bool> {
        let delete = sqlx::query!(
            "DELETE FROM events WHERE rowid IN \
             (SELECT rowid FROM events WHERE suite_id = ? LIMIT ?)",
            suite,
            self.left,
        );
        self.delete(c, "events", delete).await
    }

    /// Deletes events, those of the suites that finished first first. Returns
    /// whether none is left.
    async fn delete_events(&mut self, c: &mut SqliteConnection) -> StoreResult<bool> {
        while self.left > 0 {
            let suite = sqlx::query_scalar!(
                r#"SELECT id AS "id: Vec<u8>" FROM suites
                   WHERE events_state < 2 AND finished_at <= ? ORDER BY finished_at LIMIT 1"#,
                self.before,
            );
            let Some(suite) = suite.fetch_optional(&mut *c).await.db()? else { return Ok(true) };
            sqlx::query!(
                "UPDATE suites SET events_state = 1 WHERE id = ? AND events_state = 0",
                suite,
            )
            .run(c)
            .await?;
            if self.delete_events_of(c, &suite).await? {
                sqlx::query!("UPDATE suites SET events_state = 2 WHERE id = ?", suite)
                    .run(c)
                    .await?;
                // A suite without events counts too, because it takes time.
                self.left = self.left.saturating_sub(1);
            }
        }
        Ok(false)
    }

    /// Deletes suites with all their rows, those that finished first first.
    /// Hides each suite, then deletes from the leaves to the root: no new row
    /// refers to a hidden suite. Returns whether none is left.
    async fn delete_suites(&mut self, c: &mut SqliteConnection) -> StoreResult<bool> {
        while self.left > 0 {
            // A suite with an unfinished rejudge stays, and one with a conversation that is
            // being copied.
            let suite = sqlx::query_scalar!(
                r#"SELECT id AS "id: Vec<u8>" FROM suites WHERE finished_at <= ? AND NOT EXISTS
                   (SELECT 1 FROM runs r CROSS JOIN evaluations e ON e.run_id = r.id
                   WHERE r.suite_id = suites.id AND e.is_first = 0
                   AND e.status IN ('pending', 'running')) AND NOT EXISTS
                   (SELECT 1 FROM conversation_copies c JOIN runs r ON r.id = c.source_run_id
                   WHERE r.suite_id = suites.id)
                   ORDER BY finished_at LIMIT 1"#,
                self.before,
            );
            let Some(suite) = suite.fetch_optional(&mut *c).await.db()? else { return Ok(true) };
            sqlx::query!(
                "UPDATE suites SET deleted_at = ?, events_state = MAX(events_state, 1) \
                 WHERE id = ? AND deleted_at IS NULL",
                self.before,
                suite,
            )
            .run(c)
            .await?;
            if self.delete_events_of(c, &suite).await? && self.delete_runs_of(c, &suite).await? {
                sqlx::query!("DELETE FROM suites WHERE id = ?", suite).run(c).await?;
                self.count("suites", 1);
            }
        }
        Ok(false)
    }

    /// Returns whether the suite has no runs left.
    async fn delete_runs_of(
        &mut self,
        c: &mut SqliteConnection,
        suite: &[u8],
    ) -> StoreResult<bool> {
        while self.left > 0 {
            let run = sqlx::query_scalar!(
                r#"SELECT id AS "id: Vec<u8>" FROM runs WHERE suite_id = ? LIMIT 1"#,
                suite,
            );
            let Some(run) = run.fetch_optional(&mut *c).await.db()? else { return Ok(true) };
            if self.delete_rows_of(c, &run).await? {
                sqlx::query!("DELETE FROM runs WHERE id = ?", run).run(c).await?;
                self.count("runs", 1);
            }
        }
        Ok(false)
    }

    /// Returns whether no row refers to the run any more.
    async fn delete_rows_of(&mut self, c: &mut SqliteConnection, run: &[u8]) -> StoreResult<bool> {
        let calls = sqlx::query!(
            "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE run_id = ? LIMIT ?)",
            run,
            self.left,
        );
        if !self.delete(c, "calls", calls).await? {
            return Ok(false);
        }
        let evaluations = sqlx::query!(
            "DELETE FROM evaluations WHERE rowid IN \
             (SELECT rowid FROM evaluations WHERE run_id = ? LIMIT ?)",
            run,
            self.left,
        );
        if !self.delete(c, "evaluations", evaluations).await? {
            return Ok(false);
        }
        let turns = sqlx::query!(
            "DELETE FROM turns WHERE rowid IN (SELECT rowid FROM turns WHERE run_id = ? LIMIT ?)",
            run,
            self.left,
        );
        self.delete(c, "turns", turns).await
    }
}
