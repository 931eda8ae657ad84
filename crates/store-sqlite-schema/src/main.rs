//! `store-sqlite-schema FILE` creates a database with the newest schema.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: store-sqlite-schema FILE")?;
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut database = options.connect().await?;
    store_sqlite_schema::SCHEMA.run(&mut database).await?;
    Ok(database.close().await?)
}
