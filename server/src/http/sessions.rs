//! The session cookie of browsers. A session holds who it is, and when it was
//! last written, so that reading pages does not write on every request.

use clock::SharedClock;
use domain::services::AppResult;
use domain::{Timestamp, UserId};
use domain::error::{AppError, ErrorCode};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result as StoreResult;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

/// The name of the cookie.
pub const COOKIE: &str = "rehearsal_session";
/// How long a session lives after it was last used, in days.
const DAYS: i64 = 30;
/// How often a session is written at most while it is only used.
const TOUCH_EVERY: Duration = Duration::from_secs(5 * 60);

/// When it is worth trying again after the store failed, in seconds.
const TRY_AGAIN_S: u32 = 5;

const USER: &str = "user_id";
const TOUCHED: &str = "touched_at";

/// Any session store, shared. Its `save` must not bring back a session that
/// was deleted: a request that is still running while somebody signs out
/// would otherwise sign them in again.
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

/// The layer that reads and writes the cookie. `secure` when people reach the
/// server by https.
pub(super) fn layer(store: SharedSessions, secure: bool) -> SessionManagerLayer<SharedSessions> {
    let life = tower_sessions::cookie::time::Duration::days(DAYS);
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(life))
}

/// Who the session belongs to. Touches it when the last touch is long ago.
///
/// # Errors
/// 503 when the store cannot be read.
pub(super) async fn user(session: &Session, clock: &SharedClock) -> AppResult<Option<UserId>> {
    let Some(user) = session.get::<UserId>(USER).await.map_err(unavailable)? else {
        return Ok(None);
    };
    let touched: Option<i64> = session.get(TOUCHED).await.map_err(unavailable)?;
    let age = clock.now().since(Timestamp(touched.unwrap_or(0)));
    if age >= TOUCH_EVERY {
        session.insert(TOUCHED, clock.now().0).await.map_err(unavailable)?;
    }
    Ok(Some(user))
}

/// Signs `user` in, under a new session id: one that somebody planted before
/// is worth nothing afterwards. It is stored when this returns: what the layer
/// does after the answer could only fail without a word.
///
/// # Errors
/// 503 when the store cannot be written.
pub(super) async fn begin(session: &Session, user: UserId, clock: &SharedClock) -> AppResult<()> {
    session.clear().await;
    let stored = async {
        session.cycle_id().await?;
        session.insert(USER, user).await?;
        session.insert(TOUCHED, clock.now().0).await?;
        session.save().await
    };
    if let Err(error) = stored.await {
        // The layer does not try again to store an empty one.
        session.clear().await;
        let sentence = "You could not be signed in just now. Please try again.";
        return Err(failed(&error, sentence));
    }
    Ok(())
}

/// Ends the session, on the server and in the browser.
///
/// # Errors
/// 503 when the store cannot be written.
pub(super) async fn end(session: &Session) -> AppResult<()> {
    session.flush().await.map_err(unavailable)
}

fn unavailable(error: tower_sessions::session::Error) -> AppError {
    failed(&error, "Your session could not be read just now. Please try again.")
}

fn failed(error: &tower_sessions::session::Error, sentence: &str) -> AppError {
    tracing::error!(%error, "the session store failed");
    let unavailable = AppError::new(ErrorCode::Unavailable, sentence);
    AppError { retry_after: Some(TRY_AGAIN_S), ..unavailable }
}
