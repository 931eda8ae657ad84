//! Browser sessions. A session stores its user, where and when the user signed in, and
//! the time of its last write, so that not every request writes it.

use super::HttpState;
use super::client_ip::client_ip;
use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use clock::SharedClock;
use domain::error::{AppError, ErrorCode};
use domain::services::AppResult;
use domain::{Timestamp, UserId};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::accounts::session_fields;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result as StoreResult;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

pub const COOKIE: &str = "rehearsal_session";
/// How long a session lasts after its last use.
const EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a user stays signed in at most, however often the session is used.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Maximum number of stored characters of the name of a browser.
const MAX_BROWSER: usize = 200;
/// Minimum time between two writes of a session that is only read.
const TOUCH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// `Retry-After` when the session store fails.
const RETRY_AFTER_SECONDS: u32 = 5;

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
    let expiry = tower_sessions::cookie::time::Duration::seconds(EXPIRY.as_secs().cast_signed());
    SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(expiry))
}

/// Where and when a sign-in began.
pub(super) struct SignInContext {
    /// Before the password was checked: a session that begins with a password which is
    /// replaced meanwhile is over.
    pub(super) began_at: Timestamp,
    pub(super) address: IpAddr,
    pub(super) browser: String,
}

impl FromRequestParts<HttpState> for SignInContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Infallible> {
        let proxies = &state.settings.trusted_proxies;
        let address = client_ip(&parts.headers, &parts.extensions, proxies);
        let browser = parts.headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok());
        let browser = browser.unwrap_or_default().chars().take(MAX_BROWSER).collect();
        Ok(Self { began_at: state.clock.now(), address, browser })
    }
}

/// The user of a session.
pub(super) struct SessionUser {
    pub(super) id: UserId,
    pub(super) signed_in_at: Timestamp,
}

/// The user of a session. Ends a session that is older than [`MAX_AGE`]. Extends the
/// expiry of the session if the last write is older than [`TOUCH_INTERVAL`].
///
/// # Errors
/// 503 if the store fails.
pub(super) async fn user(session: &Session, clock: &SharedClock) -> AppResult<Option<SessionUser>> {
    let Some(id) = session.get::<UserId>(session_fields::USER).await.map_err(unavailable)? else {
        return Ok(None);
    };
    let time = async |field| session.get::<i64>(field).await.map_err(unavailable);
    let now = clock.now();
    let touched_at = Timestamp(time(session_fields::TOUCHED_AT).await?.unwrap_or(0));
    // A session of an earlier version has no time of its sign-in. Its age counts from
    // the first time that this version sees it.
    let stored = time(session_fields::SIGNED_IN_AT).await?.map(Timestamp);
    let signed_in_at = stored.unwrap_or(touched_at);
    let age = now.since(signed_in_at);
    if stored.is_some() && age >= MAX_AGE {
        end(session).await?;
        return Ok(None);
    }
    if now.since(touched_at) >= TOUCH_INTERVAL {
        let write = async {
            session.insert(session_fields::TOUCHED_AT, now.0).await?;
            if stored.is_none() {
                session.insert(session_fields::SIGNED_IN_AT, now.0).await?;
            }
            Ok::<_, tower_sessions::session::Error>(())
        };
        write.await.map_err(unavailable)?;
        // The row and the cookie expire with the session, so that streams end, too.
        if let Ok(left) = (MAX_AGE.saturating_sub(age)).min(EXPIRY).try_into() {
            session.set_expiry(Some(Expiry::OnInactivity(left)));
        }
    }
    Ok(Some(SessionUser { id, signed_in_at }))
}

/// Starts a session for `user` with a new ID, which prevents session fixation.
/// Saves it at once, because an error of the layer after the response could not
/// be reported.
///
/// # Errors
/// 503 if the store fails.
pub(super) async fn start(
    session: &Session,
    user: UserId,
    context: &SignInContext,
) -> AppResult<()> {
    session.clear().await;
    let saved = async {
        session.cycle_id().await?;
        session.insert(session_fields::USER, user).await?;
        session.insert(session_fields::SIGNED_IN_AT, context.began_at.0).await?;
        session.insert(session_fields::TOUCHED_AT, context.began_at.0).await?;
        session.insert(session_fields::ADDRESS, context.address.to_string()).await?;
        session.insert(session_fields::BROWSER, &context.browser).await?;
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
