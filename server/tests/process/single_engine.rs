//! A database has at most one engine, whatever data folder or path is used, and
//! its schema does not change while a server runs.

use super::new_server;
use fault_injection::{PASSWORD, TestServer};
use std::time::Duration;

/// Much longer than a start takes.
const TIMEOUT: Duration = Duration::from_secs(60);
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Starts a server that must refuse. Returns its log.
async fn start_refused(mut server: TestServer) -> String {
    server.spawn();
    assert!(!server.wait_until_ready(TIMEOUT).await, "the server became ready");
    let (status, _) = server.wait_for_exit().await;
    assert_eq!(status.code(), Some(1), "{}", server.log());
    server.log()
}

#[tokio::test]
async fn second_engine_on_same_database_is_refused() {
    let first = new_server().with_env("REHEARSAL_SECRET_KEY", KEY).started().await;
    let file = first.data_dir().join("rehearsal.db");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("linked.db");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        let second = new_server()
            .with_env("REHEARSAL_SECRET_KEY", KEY)
            .with_env("REHEARSAL_DATABASE_URL", format!("sqlite:{}", path.display()));
        let log = start_refused(second).await;
        assert!(log.contains("another rehearsal process uses"), "{log}");
        assert!(log.contains("different REHEARSAL_DATABASE_URL"), "{log}");
    }
    let log = start_refused(new_server().with_data_dir(first.data_dir())).await;
    assert!(log.contains("different REHEARSAL_DATA_DIR"), "{log}");
    assert!(first.is_ready().await, "the first server still works");
}

#[tokio::test]
async fn two_databases_in_one_folder_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let one = new_server().with_env("REHEARSAL_DATABASE_URL", url("one.db")).started().await;
    let two = new_server().with_env("REHEARSAL_DATABASE_URL", url("two.db")).started().await;
    assert!(one.is_ready().await && two.is_ready().await);
}

#[tokio::test]
async fn refused_server_does_not_create_the_database() {
    let folder = tempfile::tempdir().unwrap();
    // The lock of a server of another version.
    let held = std::fs::File::create(folder.path().join("engine.lock")).unwrap();
    held.try_lock().unwrap();
    let log = start_refused(new_server().with_data_dir(folder.path())).await;
    assert!(log.contains("another rehearsal process uses"), "{log}");
    assert!(!folder.path().join("rehearsal.db").exists(), "created without the lock");
}

#[tokio::test]
async fn command_refuses_to_migrate_while_server_runs() {
    let server = new_server().started().await;
    let mut c = server.open_database().await;
    let applied = "SELECT COUNT(*) FROM _sqlx_migrations";
    let all: i64 = sqlx::query_scalar(applied).fetch_one(&mut c).await.unwrap();
    // Simulates a server of the previous version.
    for sql in [
        "CREATE TABLE kept AS SELECT * FROM _sqlx_migrations",
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM kept)",
    ] {
        sqlx::query(sql).execute(&mut c).await.unwrap();
    }
    let create = |email: &str| {
        server.run_command(&["user", "create", "--email", email, "--password-stdin"], PASSWORD)
    };
    let (created, output) = create("early@example.org");
    assert!(!created);
    assert!(output.contains("stop it"), "{output}");
    assert!(output.contains("schema"), "{output}");
    let now: i64 = sqlx::query_scalar(applied).fetch_one(&mut c).await.unwrap();
    assert_eq!(now, all - 1, "the schema is unchanged");
    sqlx::query(
        "INSERT INTO _sqlx_migrations SELECT * FROM kept WHERE version NOT IN \
                 (SELECT version FROM _sqlx_migrations)",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let (created, output) = create("late@example.org");
    assert!(created, "with a current schema the command succeeds: {output}");
}

#[tokio::test]
async fn command_before_first_start_creates_the_database() {
    let mut server = new_server();
    let create = ["user", "create", "--email", "first@example.org", "--password-stdin"];
    let (created, output) = server.run_command(&create, PASSWORD);
    assert!(created, "{output}");
    server.start().await;
}
