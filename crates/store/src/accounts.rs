//! Users, their personal spaces and their API tokens.

use super::StoreResult;
use async_trait::async_trait;
use domain::services::{AuthMethod, Caller};
use domain::{ApiToken, BrowserSession, SpaceId, Timestamp, TokenId, UserId};
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
    /// Sessions that began earlier are over.
    pub sessions_valid_from: Timestamp,
}

impl UserRow {
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            user_id: self.id,
            space_id: self.space_id,
            email: self.email.clone(),
            auth: AuthMethod::Password,
        }
    }
}

/// The last use of a token or session is stored at most this often: otherwise
/// every request would cost a commit.
pub const LAST_USED_UPDATE_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The fields of a stored session. Whoever signs a user in writes them, and the store
/// reads them to list the sessions of a user.
pub mod session_fields {
    /// A `UserId`.
    pub const USER: &str = "user_id";
    /// When the user signed in, in milliseconds.
    pub const SIGNED_IN_AT: &str = "signed_in_at";
    /// When the session was last written, in milliseconds.
    pub const TOUCHED_AT: &str = "touched_at";
    /// The address from which the user signed in.
    pub const ADDRESS: &str = "address";
    /// The name of the browser.
    pub const BROWSER: &str = "browser";
}

/// The maximum length of a list of sessions.
pub const MAX_LISTED_SESSIONS: u32 = 100;

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
    /// Replaces the password and ends all sessions of the user; those that begin at `now`
    /// or later are valid. `false` if there is no such user.
    async fn set_password(&self, user: UserId, hash: &str, now: Timestamp) -> StoreResult<bool>;
    /// Ends all sessions of the user; those that begin at `now` or later are valid.
    async fn end_sessions(&self, user: UserId, now: Timestamp) -> StoreResult<()>;
    /// Ends a session of the user, named by [`BrowserSession::id`]. `false` if the user has
    /// no such session.
    async fn end_session(&self, user: UserId, id: &str) -> StoreResult<bool>;
    /// The sessions of the user that are valid at `now`, at most
    /// [`MAX_LISTED_SESSIONS`], the last used first.
    async fn sessions(&self, user: UserId, now: Timestamp) -> StoreResult<Vec<BrowserSession>>;
    /// Stores a token by its hash.
    ///
    /// # Errors
    /// `QuotaExceeded` if the user has `max` tokens already.
    async fn create_token(
        &self,
        user: UserId,
        token: &ApiToken,
        hash: &[u8],
        max: u32,
    ) -> StoreResult<()>;
    /// Newest first.
    async fn tokens(&self, user: UserId) -> StoreResult<Vec<ApiToken>>;
    /// The user of the token with this hash, unless it expired. Updates the token's last use (see
    /// [`LAST_USED_UPDATE_INTERVAL`]).
    async fn user_by_token(&self, hash: &[u8], now: Timestamp) -> StoreResult<Option<UserRow>>;
    /// `false` if the user has no such token.
    async fn delete_token(&self, user: UserId, id: TokenId) -> StoreResult<bool>;
}
