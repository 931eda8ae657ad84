//! A corrupt integer in any column of `runs` affects only its run.

use crate::SqliteStore;
use crate::testing::{open, other_connection};
use domain::{ErrorKind, RunId, RunStatus};
use sqlx::AssertSqlSafe;
use store::StoreError;
use store::accounts::AccountStore;
use store::contract::queue::{T0, claim, suite};
use store::contract::{ANNA, person};
use store::queue::{Claim, QueueStore};
use store::suites::{NewSuite, SuiteStore};
use store::transition::Lease;

/// A store whose table `runs` accepts values of any type, as a damaged file does.
async fn open_without_strict_runs() -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open().await;
    store.create_user(&person(1, "anna@example.org"), true).await.unwrap();
    for sql in [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'runs'",
    ] {
        execute(&store, sql.to_owned()).await;
    }
    store.close().await;
    let store = SqliteStore::open(&folder.path().join("test.db")).await.unwrap();
    (folder, store)
}

async fn execute(store: &SqliteStore, sql: String) {
    store.writer.execute(sqlx::query(AssertSqlSafe(sql))).await.unwrap();
}

async fn corrupt(store: &SqliteStore, run: RunId, column: &str, value: &str) {
    let run = run.0.simple();
    let sql = format!("UPDATE runs SET {column} = {value} WHERE id = x'{run}'");
    let mut other = other_connection(store).await;
    sqlx::query(AssertSqlSafe(sql)).execute(&mut other).await.unwrap();
}

async fn assert_failed(store: &SqliteStore, run: RunId, case: &str) {
    let row = store.run(ANNA, run).await.expect(case).expect(case);
    assert_eq!(row.status, RunStatus::Error, "{case}");
    assert_eq!(row.error.as_ref().expect(case).kind, ErrorKind::InvalidScenario, "{case}");
}

#[tokio::test]
async fn corrupt_integer_in_any_column_of_runs_fails_that_run_alone() {
    let (_folder, store) = open_without_strict_runs().await;
    let columns: Vec<String> =
        sqlx::query_scalar("SELECT name FROM pragma_table_info('runs') WHERE type = 'INTEGER'")
            .fetch_all(&store.read)
            .await
            .unwrap();
    assert!(columns.len() >= 21, "{columns:?}");
    let values = ["-1", "9223372036854775807", "'text'"];
    let cases = columns.iter().flat_map(|column| values.map(|value| (column.as_str(), value)));
    for (n, (column, value)) in (1..).zip(cases) {
        let case = format!("{column} = {value}");
        let new = NewSuite { allow_parallel: true, queue_per_user: 1000, ..suite(n, 1, 3) };
        let (suite_id, ids) = (new.id, [0, 1, 2].map(|i| new.runs[i].id));
        store.create_suite(new).await.unwrap();

        // A pending run ends when it would be claimed.
        corrupt(&store, ids[0], column, value).await;
        let expected = (ids[0].to_string(), column);
        match store.run(ANNA, ids[0]).await {
            Err(StoreError::Corrupt { table: "runs", row, column }) => {
                assert_eq!((row, column), expected, "{case}");
            }
            other => panic!("{case}: {other:?}"),
        }
        let (_, readable) = store.suite(ANNA, suite_id).await.unwrap().unwrap();
        assert_eq!(readable.len(), 2, "{case}: lists show the other runs");
        let most = Claim { runs_per_user: 1000, ..claim(9, T0) };
        let claimed = store.claim(most).await.unwrap();
        let claimed_ids: Vec<_> = claimed.iter().map(|run| run.id).collect();
        assert_eq!(claimed_ids, ids[1..], "{case}: the other runs start");
        assert_failed(&store, ids[0], &case).await;

        // A running run ends when its holder uses the lease.
        corrupt(&store, ids[1], column, value).await;
        if column == "lease_epoch" {
            store.heartbeat(claimed[0].lease_owner.as_ref().unwrap(), T0).await.unwrap();
        } else {
            let lease = Lease { run_id: ids[1], lease_epoch: claimed[0].lease_epoch };
            store.release(&lease, T0).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        }
        assert_failed(&store, ids[1], &case).await;
        let neighbor = store.run(ANNA, ids[2]).await.unwrap().unwrap();
        assert_eq!(neighbor.status, RunStatus::Running, "{case}: the neighbor keeps running");
    }
}
