//! The aggregate of people: users, their spaces, their tokens.

use super::Stored;
use domain::services::Caller;
use domain::{ApiToken, SpaceId, Timestamp, TokenId, UserId};
use async_trait::async_trait;
use std::time::Duration;

/// A user as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// The personal space.
    pub space_id: SpaceId,
    /// In lower case.
    pub email: String,
    /// argon2id in PHC form.
    pub password_hash: String,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl UserRow {
    /// Who asks, when it is this user.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { user_id: self.id, space_id: self.space_id, email: self.email.clone() }
    }
}

/// A token's use, and that of a session, is noted at most so often: a write a
/// request would be a commit a request.
pub const NOTE_USE_EVERY: Duration = Duration::from_secs(5 * 60);

/// Users and tokens.
#[async_trait]
pub trait AccountStore: Send + Sync + 'static {
    /// Makes a user with a personal space. With `only_first`, only when there
    /// is no other: look and insert are one transaction.
    ///
    /// # Errors
    /// `Duplicate("email")`, `Duplicate("first")`.
    async fn create_user(&self, user: &UserRow, only_first: bool) -> Stored<()>;
    /// How many there are.
    async fn count_users(&self) -> Stored<u32>;
    /// By address, compared in lower case.
    async fn user_by_email(&self, email: &str) -> Stored<Option<UserRow>>;
    /// The first account that was made, if there is one.
    async fn first_user(&self) -> Stored<Option<UserRow>>;
    /// By id.
    async fn user(&self, id: UserId) -> Stored<Option<UserRow>>;
    /// Makes a token; only its hash is stored.
    async fn create_token(&self, user: UserId, token: &ApiToken, hash: &[u8]) -> Stored<()>;
    /// A user's tokens, newest first.
    async fn tokens(&self, user: UserId) -> Stored<Vec<ApiToken>>;
    /// Whose token has this hash; notes its use at most every 5 minutes.
    async fn user_by_token(&self, hash: &[u8], now: Timestamp) -> Stored<Option<UserRow>>;
    /// Ends one of the user's tokens; `false` if there is none.
    async fn delete_token(&self, user: UserId, id: TokenId) -> Stored<bool>;
}
