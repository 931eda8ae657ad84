//! Users, their spaces and their tokens over SQLite.

use crate::trouble::DbResult;
use super::SqliteStore;
use super::rows::{maybe_time, time_of, uuid_of};
use store::accounts::{AccountStore, NOTE_USE_EVERY, UserRow};
use store::{StoreError, Stored};
use domain::{ApiToken, Timestamp, TokenId, UserId};
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

/// How long a request waits until the use of its token or session is noted. The
/// note itself goes on without it.
pub(super) const NOTE_WAIT: Duration = Duration::from_millis(250);

/// A user with the personal space.
macro_rules! select_users {
    ($tail:literal) => {
        concat!(
            "SELECT u.id, u.email, u.password_hash, u.created_at, s.id AS space_id ",
            "FROM users u JOIN spaces s ON s.user_id = u.id ",
            $tail
        )
    };
}

fn user(row: &SqliteRow) -> Stored<UserRow> {
    Ok(UserRow {
        id: uuid_of(row, "id")?.into(),
        space_id: uuid_of(row, "space_id")?.into(),
        email: row.try_get("email").db()?,
        password_hash: row.try_get("password_hash").db()?,
        created_at: time_of(row, "created_at")?,
    })
}

fn token(row: &SqliteRow) -> Stored<ApiToken> {
    Ok(ApiToken {
        id: uuid_of(row, "id")?.into(),
        name: row.try_get("name").db()?,
        created_at: time_of(row, "created_at")?,
        last_used_at: maybe_time(row, "last_used_at")?,
    })
}

/// What a breach of a rule of uniqueness means.
pub(super) fn unique(rule: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => StoreError::Duplicate(rule),
        _ => crate::trouble::of(&error),
    }
}

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_user(&self, user: &UserRow, only_first: bool) -> Stored<()> {
        let user = user.clone();
        let written = self.writer.write(move |c| {
            async move {
                if only_first {
                    let others: i64 =
                        sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(&mut *c).await.db()?;
                    if others > 0 {
                        return Err(StoreError::Duplicate("first"));
                    }
                }
                sqlx::query(
                    "INSERT INTO users (id, email, password_hash, created_at) VALUES (?, ?, ?, ?)",
                )
                .bind(user.id.0)
                .bind(user.email.to_lowercase())
                .bind(&user.password_hash)
                .bind(user.created_at.0)
                .execute(&mut *c)
                .await
                .map_err(unique("email"))?;
                sqlx::query("INSERT INTO spaces (id, user_id, created_at) VALUES (?, ?, ?)")
                    .bind(user.space_id.0)
                    .bind(user.id.0)
                    .bind(user.created_at.0)
                    .execute(&mut *c)
                    .await.db()?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn count_users(&self) -> Stored<u32> {
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(&self.read).await.db()?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn user_by_email(&self, email: &str) -> Stored<Option<UserRow>> {
        let row = sqlx::query(select_users!("WHERE u.email = ?"))
            .bind(email.to_lowercase())
            .fetch_optional(&self.read)
            .await.db()?;
        row.as_ref().map(user).transpose()
    }

    async fn first_user(&self) -> Stored<Option<UserRow>> {
        let row = sqlx::query(select_users!("ORDER BY u.created_at, u.id LIMIT 1"))
            .fetch_optional(&self.read)
            .await.db()?;
        row.as_ref().map(user).transpose()
    }

    async fn user(&self, id: UserId) -> Stored<Option<UserRow>> {
        let row = sqlx::query(select_users!("WHERE u.id = ?"))
            .bind(id.0)
            .fetch_optional(&self.read)
            .await.db()?;
        row.as_ref().map(user).transpose()
    }

    async fn create_token(&self, user: UserId, token: &ApiToken, hash: &[u8]) -> Stored<()> {
        let (token, hash) = (token.clone(), hash.to_vec());
        let written = self.writer.write(move |c| {
            async move {
                sqlx::query(
                    "INSERT INTO tokens (id, user_id, name, hash, created_at) \
                     VALUES (?, ?, ?, ?, ?)",
                )
                .bind(token.id.0)
                .bind(user.0)
                .bind(&token.name)
                .bind(hash)
                .bind(token.created_at.0)
                .execute(c)
                .await
                .map_err(unique("token"))?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn tokens(&self, user: UserId) -> Stored<Vec<ApiToken>> {
        let rows = sqlx::query(
            "SELECT id, name, created_at, last_used_at FROM tokens \
             WHERE user_id = ? ORDER BY created_at DESC, id DESC",
        )
        .bind(user.0)
        .fetch_all(&self.read)
        .await.db()?;
        rows.iter().map(token).collect()
    }

    async fn user_by_token(&self, hash: &[u8], now: Timestamp) -> Stored<Option<UserRow>> {
        let row = sqlx::query(
            "SELECT u.id, u.email, u.password_hash, u.created_at, s.id AS space_id, \
             t.id AS token_id, t.last_used_at \
             FROM tokens t JOIN users u ON u.id = t.user_id JOIN spaces s ON s.user_id = u.id \
             WHERE t.hash = ?",
        )
        .bind(hash)
        .fetch_optional(&self.read)
        .await.db()?;
        let Some(row) = row else { return Ok(None) };
        let noted = maybe_time(&row, "last_used_at")?;
        if noted.is_none_or(|noted| now.since(noted) >= NOTE_USE_EVERY) {
            let id = uuid_of(&row, "token_id")?;
            let written = self.writer.write(move |c| {
                async move {
                    sqlx::query("UPDATE tokens SET last_used_at = ? WHERE id = ?")
                        .bind(now.0)
                        .bind(id)
                        .execute(c)
                        .await.db()?;
                    Ok(())
                }
                .boxed()
            });
            // A note only: while the store takes no changes, reading goes on.
            if let Ok(Err(error)) = tokio::time::timeout(NOTE_WAIT, written).await {
                tracing::warn!(%error, "a token's use was not noted");
            }
        }
        user(&row).map(Some)
    }

    async fn delete_token(&self, user: UserId, id: TokenId) -> Stored<bool> {
        let written = self.writer.write(move |c| {
            async move {
                let done = sqlx::query("DELETE FROM tokens WHERE id = ? AND user_id = ?")
                    .bind(id.0)
                    .bind(user.0)
                    .execute(c)
                    .await.db()?;
                Ok(done.rows_affected() > 0)
            }
            .boxed()
        });
        written.await
    }
}
