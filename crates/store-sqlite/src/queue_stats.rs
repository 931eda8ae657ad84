//! Counts of unfinished runs.

use crate::SqliteStore;
use crate::sqlite_error::DbResult;
use domain::{RunStatus, Stage, Timestamp, WaitReason};
use store::StoreResult;
use store::queue_stats::QueueStats;

/// The partial index of unfinished runs answers it. A run whose `waiting` is no
/// JSON counts as waiting for nothing.
macro_rules! count_runs {
    () => {
        sqlx::query!(
            r#"SELECT status AS "status!", stage AS "stage?",
               CASE WHEN json_valid(waiting) THEN json_extract(waiting, '$.what') END
               AS "waits_for?: crate::cell::Cell<String>",
               MIN(lease_until) AS "lease_until?: crate::cell::Cell<i64>",
               COUNT(*) AS "runs!: u32"
               FROM runs WHERE status IN ('pending', 'running') GROUP BY 1, 2, 3"#,
        )
    };
}

impl SqliteStore {
    pub(super) async fn count_unfinished(&self) -> StoreResult<QueueStats> {
        let mut stats = QueueStats::default();
        for count in count_runs!().fetch_all(&self.read).await.db()? {
            let status = count.status.value().and_then(|word| RunStatus::parse(&word));
            let Some(status) = status else { continue };
            let stage = count.stage.and_then(|cell| Stage::parse(&cell.value()?));
            let waits_for = count.waits_for.and_then(|cell| WaitReason::parse(&cell.value()?));
            let lease_until = count.lease_until.and_then(|cell| cell.value()).map(Timestamp);
            stats.add(status, stage, waits_for, lease_until, count.runs);
        }
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::open;
    use sqlx::{AssertSqlSafe, Execute, Row};

    #[tokio::test]
    async fn reads_unfinished_runs_only() {
        let (_folder, store) = open().await;
        let count = count_runs!().sql();
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", count.as_str())));
        let plan = plan.fetch_all(&store.read).await.expect("plans");
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let partial = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runs' \
            AND sql LIKE '%WHERE status IN (''pending'', ''running'')'";
        let partial: Vec<String> =
            sqlx::query_scalar(partial).fetch_all(&store.read).await.expect("reads");
        let by_index =
            |step: &String| partial.iter().any(|index| step.ends_with(&format!(" INDEX {index}")));
        let reads: Vec<_> = steps.iter().filter(|step| step.contains("runs")).collect();
        assert!(!reads.is_empty() && reads.into_iter().all(by_index), "{steps:?}");
    }
}
