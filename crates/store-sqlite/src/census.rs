//! Counts what is unfinished.

use crate::trouble::DbResult;
use super::SqliteStore;
use store::Stored;
use store::census::Census;
use domain::{RunStatus, Stage, Timestamp, WaitingOn};
use sqlx::Row;

/// Led by the index of unfinished runs. What a waiting run's row has that is no
/// JSON counts as waiting for nothing.
const QUESTION: &str = "SELECT status, stage, \
     CASE WHEN json_valid(waiting) THEN json_extract(waiting, '$.what') END AS what, \
     MIN(lease_until) AS lapse, COUNT(*) AS runs \
     FROM runs WHERE status IN ('pending', 'running') GROUP BY 1, 2, 3";

impl SqliteStore {
    pub(super) async fn count_unfinished(&self) -> Stored<Census> {
        let mut census = Census::default();
        for row in sqlx::query(QUESTION).fetch_all(&self.read).await.db()? {
            let status: String = row.try_get("status").db()?;
            let stage: Option<String> = row.try_get("stage").db()?;
            let what: Option<String> = row.try_get("what").db()?;
            let lapse: Option<i64> = row.try_get("lapse").db()?;
            let Some(status) = RunStatus::from_word(&status) else { continue };
            let stage = stage.as_deref().and_then(Stage::from_word);
            let what = what.as_deref().and_then(WaitingOn::from_word);
            census.add(status, stage, what, lapse.map(Timestamp), row.try_get("runs").db()?);
        }
        Ok(census)
    }
}

#[cfg(test)]
mod tests {
    use super::QUESTION;
    use crate::SqliteStore;
    use sqlx::Row;

    #[tokio::test]
    async fn it_looks_at_nothing_that_is_final() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {QUESTION}")));
        let plan = plan.fetch_all(&store.read).await.expect("plans");
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        // An index that holds nothing but what is unfinished leads it.
        let only = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runs' \
            AND sql LIKE '%WHERE status IN (''pending'', ''running'')'";
        let only: Vec<String> =
            sqlx::query_scalar(only).fetch_all(&store.read).await.expect("reads");
        let led =
            |step: &String| only.iter().any(|index| step.ends_with(&format!(" INDEX {index}")));
        let looks: Vec<_> = steps.iter().filter(|step| step.contains("runs")).collect();
        assert!(!looks.is_empty() && looks.into_iter().all(led), "{steps:?} over {only:?}");
    }
}
