//! Users, their personal spaces and their API tokens.

use super::StoreResult;
use async_trait::async_trait;
use domain::services::Caller;
use domain::{ApiToken, SpaceId, Timestamp, TokenId, UserId};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    /// The personal space.
    pub space_id: SpaceId,
    /// In lower case.
    pub email: String,
    /// argon2id in PHC form.
    pub password_hash: String,
    pub created_at: Timestamp,
}

impl UserRow {
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { user_id: self.id, space_id: self.space_id, email: self.email.clone() }
    }
}

/// The last use of a token or session is stored at most this often: otherwise
/// every request would cost a commit.
pub const LAST_USED_UPDATE_INTERVAL: Duration = Duration::from_secs(5 * 60);

#[async_trait]
pub trait AccountStore: Send + Sync + 'static {
    /// Creates a user with a personal space. With `only_first`, refuses in the
    /// same transaction if another user exists.
    ///
    /// # Errors
    /// `Duplicate("email")`, `Duplicate("first")`.
    async fn create_user(&self, user: &UserRow, only_first: bool) -> StoreResult<()>;
    async fn count_users(&self) -> StoreResult<u32>;
    /// Ignores case.
    async fn user_by_email(&self, email: &str) -> StoreResult<Option<UserRow>>;
    /// The oldest account.
    async fn first_user(&self) -> StoreResult<Option<UserRow>>;
    async fn user(&self, id: UserId) -> StoreResult<Option<UserRow>>;
    /// Stores a token by its hash.
    async fn create_token(&self, user: UserId, token: &ApiToken, hash: &[u8]) -> StoreResult<()>;
    /// Newest first.
    async fn tokens(&self, user: UserId) -> StoreResult<Vec<ApiToken>>;
    /// The user of the token with this hash. Updates the token's last use (see
    /// [`LAST_USED_UPDATE_INTERVAL`]).
    async fn user_by_token(&self, hash: &[u8], now: Timestamp) -> StoreResult<Option<UserRow>>;
    /// `false` if the user has no such token.
    async fn delete_token(&self, user: UserId, id: TokenId) -> StoreResult<bool>;
}
