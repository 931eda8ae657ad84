//! Users, their spaces and their tokens over SQLite.

use crate::SqliteStore;
use crate::cell::{Cell, RowReader};
use crate::quota::require_room;
use crate::sqlite_error::{DbResult, RunStatement};
use async_trait::async_trait;
use domain::{ApiToken, BrowserSession, Timestamp, TokenId, UserId};
use futures::FutureExt;
use sqlx::SqliteConnection;
use std::time::Duration;
use store::accounts::{AccountStore, LAST_USED_UPDATE_INTERVAL, MAX_LISTED_SESSIONS, UserRow};
use store::{StoreError, StoreResult};

/// How long a request waits until the use of its token or session is stored. The
/// update itself continues without the request.
pub(super) const LAST_USED_WAIT: Duration = Duration::from_millis(250);

struct RawUser {
    id: Cell<Vec<u8>>,
    space_id: Cell<Vec<u8>>,
    email: Cell<String>,
    password_hash: Cell<String>,
    created_at: Cell<i64>,
    sessions_valid_from: Cell<i64>,
}

/// Users with their personal spaces.
macro_rules! select_users {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            RawUser,
            "SELECT u.id, u.email, u.password_hash, u.created_at, u.sessions_valid_from, \
             s.id AS space_id FROM users u JOIN spaces s ON s.user_id = u.id " + $tail
            $(, $argument)*
        )
    };
}

impl RawUser {
    fn read(self) -> StoreResult<UserRow> {
        let row = RowReader::new("users", &self.id);
        Ok(UserRow {
            id: row.get("id", self.id.clone())?,
            space_id: row.get("space_id", self.space_id)?,
            email: row.get("email", self.email)?,
            password_hash: row.get("password_hash", self.password_hash)?,
            created_at: row.get("created_at", self.created_at)?,
            sessions_valid_from: row.get("sessions_valid_from", self.sessions_valid_from)?,
        })
    }
}

/// Maps a violated unique constraint to [`StoreError::Duplicate`].
pub(super) fn unique(constraint: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => {
            StoreError::Duplicate(constraint)
        }
        _ => crate::sqlite_error::store_error(&error),
    }
}

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_user(&self, user: &UserRow, only_first: bool) -> StoreResult<()> {
        let user = user.clone();
        let written = self.writer.write(move |c| {
            async move {
                if only_first && count_users(&mut *c).await? > 0 {
                    return Err(StoreError::Duplicate("first"));
                }
                let email = user.email.to_lowercase();
                sqlx::query!(
                    "INSERT INTO users (id, email, password_hash, created_at) VALUES (?, ?, ?, ?)",
                    user.id.0,
                    email,
                    user.password_hash,
                    user.created_at.0,
                )
                .execute(&mut *c)
                .await
                .map_err(unique("email"))?;
                sqlx::query!(
                    "INSERT INTO spaces (id, user_id, created_at) VALUES (?, ?, ?)",
                    user.space_id.0,
                    user.id.0,
                    user.created_at.0,
                )
                .run(c)
                .await
            }
            .boxed()
        });
        written.await
    }

    async fn count_users(&self) -> StoreResult<u32> {
        count_users(&self.read).await
    }

    async fn user_by_email(&self, email: &str) -> StoreResult<Option<UserRow>> {
        let email = email.to_lowercase();
        let user =
            select_users!("WHERE u.email = ?", email).fetch_optional(&self.read).await.db()?;
        user.map(RawUser::read).transpose()
    }

    async fn first_user(&self) -> StoreResult<Option<UserRow>> {
        let first = select_users!("ORDER BY u.created_at, u.id LIMIT 1");
        first.fetch_optional(&self.read).await.db()?.map(RawUser::read).transpose()
    }

    async fn user(&self, id: UserId) -> StoreResult<Option<UserRow>> {
        let user = select_users!("WHERE u.id = ?", id.0).fetch_optional(&self.read).await.db()?;
        user.map(RawUser::read).transpose()
    }

    async fn set_password(&self, user: UserId, hash: &str, now: Timestamp) -> StoreResult<bool> {
        let hash = hash.to_owned();
        let written = self.writer.write(move |c| {
            async move {
                let update =
                    sqlx::query!("UPDATE users SET password_hash = ? WHERE id = ?", hash, user.0);
                let known = update.execute(&mut *c).await.db()?.rows_affected() > 0;
                end_sessions(c, user, now).await.map(|()| known)
            }
            .boxed()
        });
        written.await
    }

    async fn end_sessions(&self, user: UserId, now: Timestamp) -> StoreResult<()> {
        self.writer.write(move |c| end_sessions(c, user, now).boxed()).await
    }

    async fn end_session(&self, user: UserId, id: &str) -> StoreResult<bool> {
        let id = id.to_owned();
        let statement = sqlx::query!(
            "DELETE FROM sessions WHERE user_id = ? AND lower(hex(id_hash)) = ?",
            user.0,
            id,
        );
        Ok(self.writer.execute(statement).await? > 0)
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> StoreResult<Vec<BrowserSession>> {
        let sessions = sqlx::query!(
            r#"SELECT lower(hex(id_hash)) AS "id!: String", data FROM sessions
               WHERE user_id = ? AND expires_at > ?
               ORDER BY expires_at DESC LIMIT ?"#,
            user.0,
            now.0,
            MAX_LISTED_SESSIONS,
        )
        .fetch_all(&self.read)
        .await
        .db()?;
        let listed = sessions
            .into_iter()
            .filter_map(|session| crate::sessions::summary(session.id, &session.data.value()?));
        let mut sessions: Vec<_> = listed.collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_used_at));
        Ok(sessions)
    }

    async fn create_token(
        &self,
        user: UserId,
        token: &ApiToken,
        hash: &[u8],
        max: u32,
    ) -> StoreResult<()> {
        let (token, hash) = (token.clone(), hash.to_vec());
        let expires_at = token.expires_at.map(|at| at.0);
        let written = self.writer.write(move |c| {
            async move {
                let count = sqlx::query_scalar!(
                    r#"SELECT COUNT(*) AS "count!: u32" FROM tokens WHERE user_id = ?"#,
                    user.0,
                );
                require_room(count.fetch_one(&mut *c).await.db()?, 1, max, "tokens")?;
                sqlx::query!(
                    "INSERT INTO tokens (id, user_id, name, hash, created_at, expires_at) \
                     VALUES (?, ?, ?, ?, ?, ?)",
                    token.id.0,
                    user.0,
                    token.name,
                    hash,
                    token.created_at.0,
                    expires_at,
                )
                .execute(c)
                .await
                .map_err(unique("token"))?;
                Ok(())
            }
            .boxed()
        });
        written.await
    }

    async fn tokens(&self, user: UserId) -> StoreResult<Vec<ApiToken>> {
        let tokens = sqlx::query!(
            "SELECT id, name, created_at, last_used_at, expires_at FROM tokens \
             WHERE user_id = ? ORDER BY created_at DESC, id DESC",
            user.0,
        )
        .fetch_all(&self.read)
        .await
        .db()?;
        let read = tokens.into_iter().map(|token| {
            let row = RowReader::new("tokens", &token.id);
            Ok(ApiToken {
                id: row.get("id", token.id.clone())?,
                name: row.get("name", token.name)?,
                created_at: row.get("created_at", token.created_at)?,
                last_used_at: row.optional("last_used_at", token.last_used_at)?,
                expires_at: row.optional("expires_at", token.expires_at)?,
            })
        });
        Ok(crate::rows::readable(read))
    }

    async fn user_by_token(&self, hash: &[u8], now: Timestamp) -> StoreResult<Option<UserRow>> {
        let found = sqlx::query!(
            "SELECT u.id, u.email, u.password_hash, u.created_at, u.sessions_valid_from, \
             s.id AS space_id, t.id AS token_id, t.last_used_at \
             FROM tokens t JOIN users u ON u.id = t.user_id JOIN spaces s ON s.user_id = u.id \
             WHERE t.hash = ? AND (t.expires_at IS NULL OR t.expires_at > ?)",
            hash,
            now.0,
        )
        .fetch_optional(&self.read)
        .await
        .db()?;
        let Some(found) = found else { return Ok(None) };
        let token = RowReader::new("tokens", &found.token_id);
        let last_used: Option<Timestamp> = token.optional("last_used_at", found.last_used_at)?;
        if last_used.is_none_or(|at| now.since(at) >= LAST_USED_UPDATE_INTERVAL) {
            let id: TokenId = token.get("id", found.token_id.clone())?;
            let statement =
                sqlx::query!("UPDATE tokens SET last_used_at = ? WHERE id = ?", now.0, id.0);
            let written = self.writer.execute(statement);
            // Requests succeed while the store accepts no changes.
            if let Ok(Err(error)) = tokio::time::timeout(LAST_USED_WAIT, written).await {
                tracing::warn!(%error, "cannot store the last use of a token");
            }
        }
        let user = RawUser {
            id: found.id,
            space_id: found.space_id,
            email: found.email,
            password_hash: found.password_hash,
            created_at: found.created_at,
            sessions_valid_from: found.sessions_valid_from,
        };
        user.read().map(Some)
    }

    async fn delete_token(&self, user: UserId, id: TokenId) -> StoreResult<bool> {
        let deleted = sqlx::query!("DELETE FROM tokens WHERE id = ? AND user_id = ?", id.0, user.0);
        Ok(self.writer.execute(deleted).await? > 0)
    }
}

async fn end_sessions(c: &mut SqliteConnection, user: UserId, now: Timestamp) -> StoreResult<()> {
    sqlx::query!("UPDATE users SET sessions_valid_from = ? WHERE id = ?", now.0, user.0)
        .run(&mut *c)
        .await?;
    sqlx::query!("DELETE FROM sessions WHERE user_id = ?", user.0).run(c).await
}

async fn count_users(executor: impl sqlx::SqliteExecutor<'_>) -> StoreResult<u32> {
    sqlx::query_scalar!(r#"SELECT COUNT(*) AS "count!: u32" FROM users"#)
        .fetch_one(executor)
        .await
        .db()
}
