//! Cleaning over SQLite: each step is one change of the writer.

use crate::trouble::DbResult;
use super::SqliteStore;
use store::Stored;
use store::cleaning::{CleanStore, Cleaned, Old};
use domain::Timestamp;
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::SqliteConnection;
use uuid::Uuid;

#[async_trait]
impl CleanStore for SqliteStore {
    async fn clean(&self, what: Old, before: Timestamp, most: u32) -> Stored<Cleaned> {
        let step = Step { before, left: u64::from(most), done: Cleaned::default() };
        self.writer.write(move |c| step.take(c, what).boxed()).await
    }

    async fn tidy(&self) -> Stored<()> {
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

/// One step, and how many rows it may still delete.
struct Step {
    before: Timestamp,
    left: u64,
    done: Cleaned,
}

impl Step {
    async fn take(mut self, c: &mut SqliteConnection, what: Old) -> Stored<Cleaned> {
        match what {
            Old::Keys => self.by_age(c, "idempotency_keys", KEYS).await?,
            Old::Drafts => self.by_age(c, "drafts", DRAFTS).await?,
            Old::Sessions => self.by_age(c, "sessions", SESSIONS).await?,
            Old::Events => self.events(c).await?,
            Old::Suites => self.suites(c).await?,
        }
        Ok(self.done)
    }

    fn count(&mut self, table: &'static str, rows: u64) {
        self.left = self.left.saturating_sub(rows);
        if rows == 0 {
            return;
        }
        match self.done.rows.iter_mut().find(|(name, _)| *name == table) {
            Some((_, sum)) => *sum += rows,
            None => self.done.rows.push((table, rows)),
        }
    }

    /// Runs a delete with a limit; answers whether it found all there was.
    async fn delete(
        &mut self,
        c: &mut SqliteConnection,
        table: &'static str,
        sql: &'static str,
        of: Uuid,
    ) -> Stored<bool> {
        let most = self.left;
        let most_bound = i64::try_from(most).unwrap_or(i64::MAX);
        let done = sqlx::query(sql).bind(of).bind(most_bound).execute(c).await.db()?.rows_affected();
        self.count(table, done);
        Ok(done < most)
    }

    async fn by_age(
        &mut self,
        c: &mut SqliteConnection,
        table: &'static str,
        sql: &'static str,
    ) -> Stored<()> {
        let most = self.left;
        let most_bound = i64::try_from(most).unwrap_or(i64::MAX);
        let done = sqlx::query(sql).bind(self.before.0).bind(most_bound).execute(c).await.db()?;
        self.count(table, done.rows_affected());
        self.done.more = done.rows_affected() >= most;
        Ok(())
    }

    /// Events of the suites that ended longest ago.
    async fn events(&mut self, c: &mut SqliteConnection) -> Stored<()> {
        self.done.more = true;
        while self.left > 0 {
            let suite: Option<Uuid> =
                sqlx::query_scalar(NEXT_EVENTS).bind(self.before.0).fetch_optional(&mut *c).await.db()?;
            let Some(suite) = suite else {
                self.done.more = false;
                return Ok(());
            };
            sqlx::query("UPDATE suites SET events_state = 1 WHERE id = ? AND events_state = 0")
                .bind(suite)
                .execute(&mut *c)
                .await.db()?;
            if self.delete(c, "events", EVENTS, suite).await? {
                sqlx::query("UPDATE suites SET events_state = 2 WHERE id = ?")
                    .bind(suite)
                    .execute(&mut *c)
                    .await.db()?;
                // A suite without events costs a little too.
                self.left = self.left.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// Suites that ended longest ago, with everything in them: hidden at once,
    /// and then from the leaves to the root. From then on nothing new refers to
    /// what is in them.
    async fn suites(&mut self, c: &mut SqliteConnection) -> Stored<()> {
        self.done.more = true;
        while self.left > 0 {
            let suite: Option<Uuid> =
                sqlx::query_scalar(NEXT_SUITE).bind(self.before.0).fetch_optional(&mut *c).await.db()?;
            let Some(suite) = suite else {
                self.done.more = false;
                return Ok(());
            };
            sqlx::query(
                "UPDATE suites SET deleted_at = ?, events_state = MAX(events_state, 1) \
                 WHERE id = ? AND deleted_at IS NULL",
            )
            .bind(self.before.0)
            .bind(suite)
            .execute(&mut *c)
            .await.db()?;
            let empty =
                self.delete(c, "events", EVENTS, suite).await? && self.runs_of(c, suite).await?;
            if empty {
                sqlx::query("DELETE FROM suites WHERE id = ?").bind(suite).execute(&mut *c).await.db()?;
                self.count("suites", 1);
            }
        }
        Ok(())
    }

    /// Whether all runs of the suite are gone.
    async fn runs_of(&mut self, c: &mut SqliteConnection, suite: Uuid) -> Stored<bool> {
        while self.left > 0 {
            let run: Option<Uuid> =
                sqlx::query_scalar("SELECT id FROM runs WHERE suite_id = ? LIMIT 1")
                    .bind(suite)
                    .fetch_optional(&mut *c)
                    .await.db()?;
            let Some(run) = run else { return Ok(true) };
            let bare = self.delete(c, "calls", CALLS, run).await?
                && self.delete(c, "evaluations", EVALUATIONS, run).await?
                && self.delete(c, "turns", TURNS, run).await?;
            if bare {
                sqlx::query("DELETE FROM runs WHERE id = ?").bind(run).execute(&mut *c).await.db()?;
                self.count("runs", 1);
            }
        }
        Ok(false)
    }
}

const KEYS: &str = "DELETE FROM idempotency_keys WHERE rowid IN \
    (SELECT rowid FROM idempotency_keys WHERE created_at <= ? LIMIT ?)";
const DRAFTS: &str = "DELETE FROM drafts WHERE rowid IN \
    (SELECT rowid FROM drafts WHERE created_at <= ? LIMIT ?)";
const SESSIONS: &str = "DELETE FROM sessions WHERE rowid IN \
    (SELECT rowid FROM sessions WHERE expires_at <= ? LIMIT ?)";
const NEXT_EVENTS: &str = "SELECT id FROM suites \
    WHERE events_state < 2 AND finished_at <= ? ORDER BY finished_at LIMIT 1";
/// Not one in which a judging is asked for or under way.
const NEXT_SUITE: &str = "SELECT id FROM suites WHERE finished_at <= ? AND NOT EXISTS \
    (SELECT 1 FROM runs r CROSS JOIN evaluations e ON e.run_id = r.id \
    WHERE r.suite_id = suites.id AND e.is_first = 0 AND e.status IN ('pending', 'running')) \
    ORDER BY finished_at LIMIT 1";
const EVENTS: &str = "DELETE FROM events WHERE rowid IN \
    (SELECT rowid FROM events WHERE suite_id = ? LIMIT ?)";
const CALLS: &str = "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE run_id = ? LIMIT ?)";
const EVALUATIONS: &str = "DELETE FROM evaluations WHERE rowid IN \
    (SELECT rowid FROM evaluations WHERE run_id = ? LIMIT ?)";
const TURNS: &str = "DELETE FROM turns WHERE rowid IN \
    (SELECT rowid FROM turns WHERE run_id = ? LIMIT ?)";
