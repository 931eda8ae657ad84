//! Forms for sign-up, sign-in, sign-out and the theme.

use super::session_ended::{self, PendingForm};
use super::{PostedForm, redirect_after, see_other, store_problems, with_notice};
use crate::http::HttpState;
use crate::http::auth::{Identity, SignedIn};
use crate::http::problem::ErrorResponse;
use crate::http::sessions::{self, SignInContext};
use axum::extract::{FromRequest, FromRequestParts};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use domain::error::AppError;
use domain::services::{AppResult, Caller};
use services::account_log::{AccountEvent, log_event};
use std::net::IpAddr;
use tower_sessions::Session;

const ACCOUNT_PAGE: &str = "/settings/account";
/// Maximum number of characters of an email in a rejected form.
const MAX_EMAIL: usize = 320;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/sign-up", post(sign_up))
        .route("/forms/sign-in", post(sign_in))
        .route("/forms/sign-out", post(sign_out))
        .route("/forms/theme", post(theme))
}

struct Credentials {
    posted: PostedForm,
    email: String,
    password: String,
    session: Session,
    context: SignInContext,
    /// The request without its body, to render a page.
    parts: Parts,
}

impl FromRequest<HttpState> for Credentials {
    type Rejection = Response;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, state).await;
        let session = session.map_err(IntoResponse::into_response)?;
        let Ok(context) = SignInContext::from_request_parts(&mut parts, state).await;
        let request = Request::from_parts(parts.clone(), body);
        let posted = PostedForm::from_request(request, state).await;
        let posted = posted.map_err(IntoResponse::into_response)?;
        let email = posted.text("email").trim().to_owned();
        let password = posted.text("password");
        Ok(Self { posted, email, password, session, context, parts })
    }
}

/// Records an attempt to sign in, and logs it if there were too many.
async fn record_attempt(state: &HttpState, client: IpAddr, email: &str) -> AppResult<()> {
    let recorded = state.sign_ins.record_attempt(client, email);
    if recorded.is_err() {
        state.services.accounts.log_throttled_sign_in(email).await;
    }
    recorded
}

async fn sign_up(State(state): State<HttpState>, form: Credentials) -> Response {
    if let Err(error) = record_attempt(&state, form.context.address, &form.email).await {
        return ErrorResponse::from(error).into_response();
    }
    let result = state.services.accounts.sign_up(&form.email, &form.password).await;
    start_session(&state, form, result, "/sign-up").await
}

async fn sign_in(State(state): State<HttpState>, form: Credentials) -> Response {
    if let Err(error) = record_attempt(&state, form.context.address, &form.email).await {
        return match PendingForm::of(&form.posted) {
            Some(_) => sign_in_again(&state, form, error).await,
            None => ErrorResponse::from(error).into_response(),
        };
    }
    let result = state.services.accounts.sign_in(&form.email, &form.password).await;
    start_session(&state, form, result, "/sign-in").await
}

/// Starts a session after success and redirects, else redirects to the form.
async fn start_session(
    state: &HttpState,
    form: Credentials,
    result: AppResult<Caller>,
    page: &str,
) -> Response {
    let pending = PendingForm::of(&form.posted);
    let signed_in = match result {
        Ok(caller) => {
            sessions::start(&form.session, caller.user_id, &form.context).await.map(|()| caller)
        }
        Err(error) => Err(error),
    };
    if let Ok(caller) = &signed_in {
        state.sign_ins.record_success(form.context.address, &caller.email);
    }
    match signed_in {
        Ok(caller) => match pending {
            Some(pending) => match pending.store(state, &caller).await {
                Ok(location) => see_other(&location),
                Err(error) => sign_in_again(state, form, error).await,
            },
            None => see_other(&form.posted.redirect_target("/")),
        },
        Err(error) if pending.is_some() => sign_in_again(state, form, error).await,
        Err(error) => {
            // Stores only the email of an anonymous user, and passes `next` on.
            let email: String = form.email.chars().take(MAX_EMAIL).collect();
            let draft = domain::Draft(serde_json::json!({ "email": email }));
            let next = form.posted.next.as_deref().map(domain::url::percent_encode);
            let page = next.map_or_else(|| page.to_owned(), |next| format!("{page}?next={next}"));
            store_problems(&*state.services.saved_forms, None, draft, &page, error).await
        }
    }
}

/// Renders the sign-in page again with the pending form.
async fn sign_in_again(state: &HttpState, form: Credentials, error: AppError) -> Response {
    let email = form.email.chars().take(MAX_EMAIL).collect();
    session_ended::sign_in_failed(state, form.parts, &form.posted, email, error).await
}

async fn sign_out(Extension(identity): Extension<Identity>, session: Session) -> Response {
    match sessions::end(&session).await {
        Ok(()) => {
            if let Some(caller) = identity.0 {
                log_event(AccountEvent::SignedOut, Some(caller.user_id), None);
            }
            see_other("/sign-in?notice=signed_out")
        }
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// The forms of the account page. Only signed-in users reach them.
pub(super) fn account_routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/password", post(change_password))
        .route("/forms/sessions/end", post(end_sessions))
        .route("/forms/sessions/{id}/end", post(end_session))
}

/// Changes the password. All sessions end, and this browser gets a new one.
async fn change_password(
    State(state): State<HttpState>,
    user: SignedIn,
    session: Session,
    context: SignInContext,
    form: PostedForm,
) -> Response {
    let (current, new) = (form.text("current_password"), form.text("new_password"));
    // The current password can be guessed here as well as on the sign-in page.
    let result = match record_attempt(&state, context.address, &user.caller.email).await {
        Ok(()) => user.services.accounts.change_password(&user.caller, &current, &new).await,
        Err(error) => Err(error),
    };
    let result = match result {
        Ok(()) => {
            let context = SignInContext { began_at: state.clock.now(), ..context };
            sessions::start(&session, user.caller.user_id, &context).await
        }
        Err(error) => Err(error),
    };
    redirect_after(&user, form, ACCOUNT_PAGE, result, |()| {
        with_notice(ACCOUNT_PAGE, "password_changed")
    })
    .await
}

/// Ends one session of the list. The page asks for a new sign-in if it is that of this
/// browser.
async fn end_session(user: SignedIn, Path(id): Path<String>, form: PostedForm) -> Response {
    let result = user.services.accounts.end_session(&user.caller, &id).await;
    redirect_after(&user, form, ACCOUNT_PAGE, result, |()| {
        with_notice(ACCOUNT_PAGE, "session_ended")
    })
    .await
}

async fn end_sessions(user: SignedIn, session: Session, form: PostedForm) -> Response {
    let result = match user.services.accounts.end_sessions(&user.caller).await {
        Ok(()) => sessions::end(&session).await,
        Err(error) => Err(error),
    };
    redirect_after(&user, form, ACCOUNT_PAGE, result, |()| {
        "/sign-in?notice=signed_out_everywhere".to_owned()
    })
    .await
}

/// Stores the theme in a cookie, so that the server renders the right one. Unknown
/// themes mean `system`.
async fn theme(form: PostedForm) -> Response {
    let target = form.next.clone().or_else(|| form.page.clone());
    let mut response = see_other(target.as_deref().unwrap_or("/"));
    let cookie = match form.text("theme").as_str() {
        "light" => "theme=light; Path=/; Max-Age=31536000; SameSite=Lax",
        "dark" => "theme=dark; Path=/; Max-Age=31536000; SameSite=Lax",
        _ => "theme=system; Path=/; Max-Age=31536000; SameSite=Lax",
    };
    response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    response
}
