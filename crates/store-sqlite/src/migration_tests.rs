//! A database of the first schema is migrated, and its rows read the same.

use super::SqliteStore;
use domain::services::HistoryFilter;
use domain::{
    AuthScheme, ConnectionId, Evaluation, RunStatus, SpaceId, SuiteId, SuiteStatus, Timestamp,
    UserId,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use store::accounts::AccountStore;
use store::catalog::{ConnectionStore, SettingStore};
use store::rows::ModelSnapshot;
use store::suites::SuiteStore;
use store_sqlite_schema::SCHEMA;
use uuid::Uuid;

/// Rows of the first schema: a finished suite with one run, its turn, call,
/// evaluation and event.
const FIRST_ROWS: &str = "
INSERT INTO users VALUES (x'00000000000000000000000000000001', 'a@example.org', 'h', 0);
INSERT INTO spaces VALUES (x'00000000000000000000000000000002', x'00000000000000000000000000000001', 0);
INSERT INTO facts VALUES ('canary', x'0102');
INSERT INTO sessions VALUES (x'0a', '{\"user_id\":\"00000000-0000-0000-0000-000000000001\",\"touched_at\":8}', 99);
INSERT INTO sessions VALUES (x'0b', 'damaged', 99);
INSERT INTO tokens VALUES (x'0000000000000000000000000000000a', x'00000000000000000000000000000001', 'CI', x'0c', 1, NULL);
INSERT INTO suites VALUES (x'00000000000000000000000000000003', x'00000000000000000000000000000002',
  x'00000000000000000000000000000001', x'00000000000000000000000000000004', 1, 'Desk',
  '{\"agent\":{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"},\"judge\":{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"},\"simulated_user\":{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"}}',
  'finished', 1, 3, 1, NULL, 'a note', 2, 5, 6, 7, NULL);
INSERT INTO runs VALUES (x'00000000000000000000000000000005', x'00000000000000000000000000000003',
  x'00000000000000000000000000000002', x'00000000000000000000000000000001', x'00000000000000000000000000000004', 1,
  x'00000000000000000000000000000006', 1, 'Refund', 1, 0, NULL, 300000, 1, 'passed', NULL, NULL, 0, 87.5, NULL, NULL,
  'script_finished', 4, 3, 2, NULL, NULL, 99, 10, 0, NULL, 5, 6, 7,
  '{\"agent\":{\"calls\":1,\"input_tokens\":2,\"output_tokens\":3},\"simulated_user\":{\"calls\":1,\"input_tokens\":0,\"output_tokens\":0},\"judge\":{\"calls\":1,\"input_tokens\":0,\"output_tokens\":0}}',
  1, 1);
INSERT INTO turns VALUES (x'00000000000000000000000000000005', 0, 'user', 'I want my money back', NULL, NULL, NULL, NULL, NULL, NULL, 6);
INSERT INTO calls VALUES (x'00000000000000000000000000000007', x'00000000000000000000000000000005', NULL, 4, 'agent', 0, 6,
  'ok', 1, 9, 7);
INSERT INTO evaluations VALUES (x'00000000000000000000000000000008', x'00000000000000000000000000000005',
  x'00000000000000000000000000000003', x'00000000000000000000000000000002', x'00000000000000000000000000000001', 0, 'done',
  '{\"connection_id\":\"00000000-0000-0000-0000-000000000009\",\"model\":\"m\"}', 'EVALUATION', NULL, 5, 1, 2,
  NULL, NULL, NULL, 6);
INSERT INTO events VALUES (x'00000000000000000000000000000003', 1, 'turn', x'00000000000000000000000000000005', 0, NULL, 6);
";

/// Inserts a connection of each kind. Returns how each must authenticate.
async fn connections_by_kind(old: &mut SqliteConnection) -> Vec<(ConnectionId, AuthScheme)> {
    let mut schemes = Vec::new();
    for (n, (kind, scheme)) in [
        ("anthropic", AuthScheme::XApiKey),
        ("openai", AuthScheme::Bearer),
        ("demo", AuthScheme::None),
    ]
    .into_iter()
    .enumerate()
    {
        let id = Uuid::from_u128(100 + n as u128);
        sqlx::query(
            "INSERT INTO connections (id, space_id, name, kind, base_url, headers, created_at, \
             updated_at) VALUES (?, x'00000000000000000000000000000002', 'C', ?, '', '{}', 6, 6)",
        )
        .bind(id)
        .bind(kind)
        .execute(&mut *old)
        .await
        .expect("a row");
        schemes.push((ConnectionId(id), scheme));
    }
    schemes
}

#[tokio::test]
async fn database_of_first_schema_migrates_with_its_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.expect("connects");
    SCHEMA.run_to(1, &mut old).await.expect("the first schema");
    let evaluation = Evaluation::pending(Uuid::from_u128(8).into(), "m", 1, Timestamp(6));
    let evaluation = serde_json::to_string(&evaluation).expect("JSON");
    let evaluation_bytes = evaluation.len();
    let rows = AssertSqlSafe(FIRST_ROWS.replace("EVALUATION", &evaluation));
    sqlx::raw_sql(rows).execute(&mut old).await.expect("rows");
    let newest: i64 = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut old)
        .await
        .expect("reads");
    assert_eq!(newest, 1, "nothing newer is there yet");
    let schemes = connections_by_kind(&mut old).await;
    old.close().await.expect("closes");

    let store = SqliteStore::open(&file).await.expect("comes up to date");
    for (id, scheme) in schemes {
        let migrated = store.connection_for_engine(id).await.unwrap().expect("is there");
        assert_eq!(migrated.auth, scheme.into(), "{:?}", migrated.kind);
        assert_eq!((migrated.query.len(), migrated.timeout_seconds), (0, None));
    }
    let newest: i64 = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&store.read)
        .await
        .expect("reads");
    assert_eq!(Some(newest), SCHEMA.iter().last().map(|migration| migration.version));
    let (space, suite) = (SpaceId(Uuid::from_u128(2)), SuiteId(Uuid::from_u128(3)));
    let (row, runs) = store.suite(space, suite).await.unwrap().expect("is there");
    assert_eq!(
        (row.state.status(), row.note.as_str(), row.seq),
        (SuiteStatus::Finished, "a note", 2)
    );
    assert_eq!((runs[0].status, runs[0].score), (RunStatus::Passed, Some(87.5)));
    assert_eq!(runs[0].usage.agent.output_tokens, 3);
    let counts = (runs[0].lease_epoch, runs[0].recoveries, runs[0].recoveries_without_progress);
    assert_eq!(counts, (4, 3, 2));
    assert_ne!(runs[0].model_snapshot, ModelSnapshot::unreadable());
    assert_eq!(runs[0].model_snapshot.judge.model, "m");
    let evaluation = store.evaluations(runs[0].id).await.unwrap().remove(0);
    let counts =
        (evaluation.lease_epoch, evaluation.recoveries, evaluation.recoveries_without_progress);
    assert_eq!(counts, (5, 1, 2));
    let call: i64 =
        sqlx::query_scalar("SELECT lease_epoch FROM calls").fetch_one(&store.read).await.unwrap();
    assert_eq!(call, 4);
    assert_eq!(store.suites(space, &HistoryFilter::default(), None, 9).await.unwrap().len(), 1);
    assert_eq!(store.runs(space, &HistoryFilter::default(), None, 9).await.unwrap().len(), 1);
    let events = store.events_after(suite, 0, 9).await.unwrap();
    let message = events[0].2.as_ref().map(|turn| turn.message.as_str());
    assert_eq!(message, Some("I want my money back"));
    assert_eq!(store.metadata("canary").await.unwrap(), Some(vec![1, 2]));
    let sessions = store.sessions(UserId(Uuid::from_u128(1)), Timestamp(9)).await.unwrap();
    assert_eq!((sessions.len(), sessions[0].last_used_at), (1, Timestamp(8)));
    let user = store.user_by_token(&[0x0c], Timestamp(i64::MAX)).await.unwrap();
    assert!(user.is_some(), "an old token works without an expiry");
    let bytes: i64 = sqlx::query_scalar("SELECT transcript_bytes FROM spaces")
        .fetch_one(&store.read)
        .await
        .unwrap();
    let stored = 20 + evaluation_bytes;
    assert_eq!(usize::try_from(bytes), Ok(stored), "the bytes of the turn and the rejudge");
    let check: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&store.read).await.unwrap();
    assert_eq!(check, "ok");
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&store.read).await.unwrap();
    assert!(broken.is_empty());
}

/// Suite 1 has nine runs, 2 re-runs four of them, 3 all of these, 4 all of 1; the parent of
/// 5 was deleted.
#[tokio::test]
async fn stored_reruns_are_marked_as_parts_and_outages_stay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.expect("connects");
    SCHEMA.run_to(7, &mut old).await.expect("the former schema");
    let first = "INSERT INTO users VALUES (x'01', 'a@b.c', 'h', 1, 0); \
         INSERT INTO spaces VALUES (x'02', x'01', 1, 0); \
         INSERT INTO outages VALUES (x'01', x'09', 77);";
    sqlx::raw_sql(first).execute(&mut old).await.expect("rows");
    for (id, total, parent) in
        [(1, 9, "NULL"), (2, 4, "x'01'"), (3, 4, "x'02'"), (4, 9, "x'01'"), (5, 2, "x'07'")]
    {
        let suite = format!(
            "INSERT INTO suites (id, space_id, user_id, agent_id, agent_revision, agent_name, \
             model_snapshot, status, total, concurrency, repeats, parent_id, note, seq, created_at) \
             VALUES (x'0{id}', x'02', x'01', x'08', 1, 'A', '{{}}', 'finished', {total}, 1, 1, \
             {parent}, '', 0, {id})"
        );
        sqlx::raw_sql(AssertSqlSafe(suite)).execute(&mut old).await.expect("a suite");
    }
    old.close().await.expect("closes");
    let store = SqliteStore::open(&file).await.expect("comes up to date");
    let parts: Vec<Option<i64>> = sqlx::query_scalar("SELECT part_of FROM suites ORDER BY id")
        .fetch_all(&store.read)
        .await
        .expect("reads");
    assert_eq!(parts, [None, Some(9), Some(9), None, None]);
    let outage: (String, i64) = sqlx::query_as("SELECT model, began_at FROM outages")
        .fetch_one(&store.read)
        .await
        .expect("reads");
    assert_eq!(outage, (String::new(), 77));
}
