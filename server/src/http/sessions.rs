//! Browser sessions. A session stores its user and the time of its last write,
//! so that not every request writes it.

use async_trait::async_trait;
use clock::SharedClock;
use domain::error::{AppError, ErrorCode};
use domain::services::AppResult;
use domain::{Timestamp, UserId};
use std::sync::Arc;
use std::time::Duration;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result as StoreResult;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

pub const COOKIE: &str = "rehearsal_session";
/// Days after the last use until a session expires.
const EXPIRY_DAYS: i64 = 30;
/// Minimum time between two writes of a session that is only read.
const TOUCH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// `Retry-After` when the session store fails.
const RETRY_AFTER_SECONDS: u32 = 5;
const USER: &str = "user_id";
const TOUCHED: &str = "touched_at";

/// A shared session store. Its `save` must not restore a deleted session:
/// otherwise a request that is in flight during sign-out would undo it.
#[derive(Clone, Debug)]
pub struct SharedSessions(pub Arc<dyn SessionStore>);

#[async_trait]
impl SessionStore for SharedSessions {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        self.0.create(record).await
    }
    async fn save(&self, record: &Record) -> StoreResult<()> {
        self.0.save(record).await
    }
    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        self.0.load(id).await
    }
    async fn delete(&self, id: &Id) -> StoreResult<()> {
        self.0.delete(id).await
    }
}

/// The layer that reads and writes the cookie, with the attribute `Secure` if
/// `secure`.
pub(super) fn layer(store: SharedSessions, secure: bool) -> SessionManagerLayer<SharedSessions> {
    let expiry = tower_sessions::cookie::time::Duration::days(EXPIRY_DAYS);
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(expiry))
}

/// The user of a session. Extends the expiry of the session if the last write is
/// older than [`TOUCH_INTERVAL`].
///
/// # Errors
/// 503 if the store fails.
pub(super) async fn user_id(session: &Session, clock: &SharedClock) -> AppResult<Option<UserId>> {
    let Some(user) = session.get::<UserId>(USER).await.map_err(unavailable)? else {
        return Ok(None);
    };
    let touched: Option<i64> = session.get(TOUCHED).await.map_err(unavailable)?;
    let age = clock.now().since(Timestamp(touched.unwrap_or(0)));
    if age >= TOUCH_INTERVAL {
        session.insert(TOUCHED, clock.now().0).await.map_err(unavailable)?;
    }
    Ok(Some(user))
}

/// Starts a session for `user` with a new ID, which prevents session fixation.
/// Saves it at once, because an error of the layer after the response could not
/// be reported.
///
/// # Errors
/// 503 if the store fails.
pub(super) async fn start(session: &Session, user: UserId, clock: &SharedClock) -> AppResult<()> {
    session.clear().await;
    let saved = async {
        session.cycle_id().await?;
        session.insert(USER, user).await?;
        session.insert(TOUCHED, clock.now().0).await?;
        session.save().await
    };
    if let Err(error) = saved.await {
        // The layer does not save an empty session.
        session.clear().await;
        return Err(store_error(&error, "You could not be signed in. Try again in a moment."));
    }
    Ok(())
}

/// Deletes the session and its cookie.
///
/// # Errors
/// 503 if the store fails.
pub(super) async fn end(session: &Session) -> AppResult<()> {
    session.flush().await.map_err(unavailable)
}

fn unavailable(error: tower_sessions::session::Error) -> AppError {
    store_error(&error, "Your session could not be read. Try again in a moment.")
}

fn store_error(error: &tower_sessions::session::Error, detail: &str) -> AppError {
    tracing::error!(%error, "session store failed");
    let unavailable = AppError::new(ErrorCode::Unavailable, detail);
    AppError { retry_after: Some(RETRY_AFTER_SECONDS), ..unavailable }
}
