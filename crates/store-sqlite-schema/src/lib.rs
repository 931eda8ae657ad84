//! Migrations of the SQLite store. They are a crate of their own so that
//! `cargo xtask sqlx` can migrate a database while the statements of
//! `store-sqlite` do not compile yet.

use sqlx::migrate::Migrator;

/// All migrations, oldest first.
pub static SCHEMA: Migrator = sqlx::migrate!("../../migrations/sqlite");
