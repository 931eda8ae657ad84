//! One engine a database, wherever the data folders are; and nobody changes the
//! schema under a server that runs.

use super::binary;
use fault_injection::house::{House, PASSWORD};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;

/// Far longer than a start takes.
const LONG: Duration = Duration::from_secs(60);
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Starts it where it must refuse; what it said.
async fn refused(mut house: House) -> String {
    house.spawn();
    assert!(!house.comes_up(LONG).await, "it serves");
    let (status, _) = house.ended().await;
    assert_eq!(status.code(), Some(1), "{}", house.log());
    house.log()
}

#[tokio::test]
async fn a_second_engine_on_the_same_database_is_refused() {
    let first = House::of(&binary()).with("REHEARSAL_SECRET_KEY", KEY).started().await;
    let file = first.data().join("rehearsal.db");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("linked.db");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        let second = House::of(&binary())
            .with("REHEARSAL_SECRET_KEY", KEY)
            .with("REHEARSAL_DATABASE_URL", format!("sqlite:{}", path.display()));
        let said = refused(second).await;
        assert!(said.contains("another rehearsal serves"), "{said}");
        assert!(said.contains("another REHEARSAL_DATABASE_URL"), "{said}");
    }
    let said = refused(House::of(&binary()).over(first.data())).await;
    assert!(said.contains("another REHEARSAL_DATA_DIR"), "{said}");
    assert!(first.is_ready().await, "the first one is not disturbed");
}

#[tokio::test]
async fn two_databases_in_one_folder_have_an_engine_each() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let one = House::of(&binary()).with("REHEARSAL_DATABASE_URL", url("one.db")).started().await;
    let two = House::of(&binary()).with("REHEARSAL_DATABASE_URL", url("two.db")).started().await;
    assert!(one.is_ready().await && two.is_ready().await);
}

#[tokio::test]
async fn who_is_refused_has_not_touched_the_database() {
    let folder = tempfile::tempdir().unwrap();
    // As a server of another version holds it.
    let held = std::fs::File::create(folder.path().join("engine.lock")).unwrap();
    held.try_lock().unwrap();
    let said = refused(House::of(&binary()).over(folder.path())).await;
    assert!(said.contains("another rehearsal serves"), "{said}");
    assert!(!folder.path().join("rehearsal.db").exists(), "made before the lock was held");
}

#[tokio::test]
async fn a_command_does_not_change_the_schema_under_a_server() {
    let house = House::new(&binary()).await;
    let file = SqliteConnectOptions::new().filename(house.data().join("rehearsal.db"));
    let mut c = SqliteConnection::connect_with(&file).await.unwrap();
    let applied = "SELECT COUNT(*) FROM _sqlx_migrations";
    let all: i64 = sqlx::query_scalar(applied).fetch_one(&mut c).await.unwrap();
    // As if the server were of the version before.
    for sql in [
        "CREATE TABLE kept AS SELECT * FROM _sqlx_migrations",
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM kept)",
    ] {
        sqlx::query(sql).execute(&mut c).await.unwrap();
    }
    let create = |email: &str| {
        house.command(&["user", "create", "--email", email, "--password-stdin"], PASSWORD)
    };
    let (made, said) = create("early@example.org");
    assert!(!made);
    assert!(said.contains("stop it"), "{said}");
    assert!(said.contains("schema"), "{said}");
    let now: i64 = sqlx::query_scalar(applied).fetch_one(&mut c).await.unwrap();
    assert_eq!(now, all - 1, "nothing was changed");
    sqlx::query(
        "INSERT INTO _sqlx_migrations SELECT * FROM kept WHERE version NOT IN \
                 (SELECT version FROM _sqlx_migrations)",
    )
    .execute(&mut c)
    .await
    .unwrap();
    let (made, said) = create("late@example.org");
    assert!(made, "up to date it goes on beside the server: {said}");
}

#[tokio::test]
async fn a_command_before_the_first_start_makes_the_database() {
    let mut house = House::of(&binary());
    let create = ["user", "create", "--email", "first@example.org", "--password-stdin"];
    let (made, said) = house.command(&create, PASSWORD);
    assert!(made, "{said}");
    house.start().await;
}
