//! Copies of conversations to the runs that continue or judge them. A conversation may have
//! megabytes, so it is copied in steps: each is a change of its own, and other changes are
//! stored in between. What a crash or an unavailable database leaves is finished at the next
//! boot, by the reaper, or by the worker of the run, which reads no incomplete conversation.

use crate::SqliteStore;
use crate::cell::{Cell, RowReader};
use crate::sqlite_error::{DbResult, RunStatement};
use domain::RunId;
use futures::FutureExt;
use sqlx::SqliteConnection;
use store::StoreResult;
use store::rows::RunRow;

/// The turns and bytes that one step copies; a longer turn is a step of its own.
const STEP_TURNS: u32 = 64;
const STEP_BYTES: i64 = 256 * 1024;

/// Plans the copy of a conversation to a run.
pub(super) async fn plan_copy(
    c: &mut SqliteConnection,
    run: RunId,
    source: RunId,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO conversation_copies (run_id, source_run_id, next_turn) VALUES (?, ?, 0)",
        run.0,
        source.0,
    )
    .run(c)
    .await
}

impl SqliteStore {
    /// Completes the copy of a conversation to a run.
    async fn finish_copy(&self, run: RunId) -> StoreResult<()> {
        while self.writer.write(move |c| copy_step(c, run).boxed()).await? {}
        Ok(())
    }

    /// Completes the copies to these runs. What fails is logged and tried again later.
    pub(crate) async fn finish_copies(&self, runs: impl IntoIterator<Item = RunId>) {
        for run in runs {
            if let Err(error) = self.finish_copy(run).await {
                tracing::warn!(%error, %run, "a conversation is not copied yet");
            }
        }
    }

    /// Completes the copies that were interrupted.
    pub(crate) async fn finish_all_copies(&self) -> StoreResult<()> {
        let runs = sqlx::query_scalar!("SELECT run_id FROM conversation_copies");
        let runs: Vec<Cell<Vec<u8>>> = runs.fetch_all(&self.read).await.db()?;
        self.finish_copies(runs.into_iter().map(|run| run.uuid().into())).await;
        Ok(())
    }

    /// Completes the conversation of a run before it is read.
    pub(crate) async fn finish_copy_before_read(&self, run: &RunRow) -> StoreResult<()> {
        if run.source_run_id.is_none() {
            return Ok(());
        }
        let is_incomplete = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM conversation_copies WHERE run_id = ?) AS "exists!: bool""#,
            run.id.0,
        );
        if is_incomplete.fetch_one(&self.read).await.db()? {
            self.finish_copy(run.id).await?;
        }
        Ok(())
    }
}

/// Copies the next turns of a conversation. Returns whether turns are left. Two callers that
/// copy to the same run at the same time alternate.
pub(super) async fn copy_step(c: &mut SqliteConnection, run: RunId) -> StoreResult<bool> {
    let copy = sqlx::query!(
        "SELECT c.source_run_id, c.next_turn FROM conversation_copies c \
         JOIN runs r ON r.id = c.run_id WHERE c.run_id = ?",
        run.0,
    );
    // Without its run, nothing refers to the copy.
    let Some(copy) = copy.fetch_optional(&mut *c).await.db()? else { return end(c, run).await };
    let row = RowReader::new("conversation_copies", &run);
    let source: RunId = row.get("source_run_id", copy.source_run_id)?;
    let next: i64 = row.get("next_turn", copy.next_turn)?;
    let sizes = sqlx::query!(
        r#"SELECT idx, octet_length(message) + ifnull(octet_length(tool_calls), 0)
           + ifnull(octet_length(tool), 0) + ifnull(octet_length(reply), 0) AS "bytes!: i64"
           FROM turns WHERE run_id = ? AND idx >= ? ORDER BY idx LIMIT ?"#,
        source.0,
        next,
        STEP_TURNS,
    );
    let mut bytes = 0;
    let mut last = None;
    for turn in sizes.fetch_all(&mut *c).await.db()? {
        bytes += turn.bytes;
        if last.is_some() && bytes > STEP_BYTES {
            break;
        }
        last = Some(row.get::<i64>("idx", turn.idx)?);
    }
    let Some(last) = last else { return end(c, run).await };
    sqlx::query!(
        "INSERT INTO turns (run_id, idx, speaker, message, tool_calls, tool, finish, latency_ms, \
         input_tokens, output_tokens, reply, at) SELECT ?, idx, speaker, message, tool_calls, tool, \
         finish, latency_ms, input_tokens, output_tokens, reply, at FROM turns \
         WHERE run_id = ? AND idx BETWEEN ? AND ?",
        run.0,
        source.0,
        next,
        last,
    )
    .run(&mut *c)
    .await?;
    let next = last + 1;
    sqlx::query!("UPDATE conversation_copies SET next_turn = ? WHERE run_id = ?", next, run.0)
        .run(c)
        .await?;
    Ok(true)
}

async fn end(c: &mut SqliteConnection, run: RunId) -> StoreResult<bool> {
    sqlx::query!("DELETE FROM conversation_copies WHERE run_id = ?", run.0).run(c).await?;
    Ok(false)
}
