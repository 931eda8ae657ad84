//! Forms for sign-up, sign-in, sign-out and the theme.

use super::session_ended::{self, PendingForm};
use super::{PostedForm, see_other, store_problems};
use crate::http::client_ip::client_ip;
use crate::http::problem::ErrorResponse;
use crate::http::{HttpState, sessions};
use axum::Router;
use axum::extract::{FromRequest, FromRequestParts};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use domain::error::AppError;
use domain::services::{AppResult, Caller};
use std::net::IpAddr;
use tower_sessions::Session;

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
    ip: IpAddr,
    /// The request without its body, to render a page.
    parts: Parts,
}

impl FromRequest<HttpState> for Credentials {
    type Rejection = Response;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, state).await;
        let session = session.map_err(IntoResponse::into_response)?;
        let ip = client_ip(&parts.headers, &parts.extensions, &state.settings.trusted_proxies);
        let request = Request::from_parts(parts.clone(), body);
        let posted = PostedForm::from_request(request, state).await;
        let posted = posted.map_err(IntoResponse::into_response)?;
        let email = posted.text("email").trim().to_owned();
        let password = posted.text("password");
        Ok(Self { posted, email, password, session, ip, parts })
    }
}

async fn sign_up(State(state): State<HttpState>, form: Credentials) -> Response {
    if let Err(error) = state.sign_ins.record_attempt(form.ip, &form.email) {
        return ErrorResponse::from(error).into_response();
    }
    let result = state.services.accounts.sign_up(&form.email, &form.password).await;
    start_session(&state, form, result, "/sign-up").await
}

async fn sign_in(State(state): State<HttpState>, form: Credentials) -> Response {
    if let Err(error) = state.sign_ins.record_attempt(form.ip, &form.email) {
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
            sessions::start(&form.session, caller.user_id, &state.clock).await.map(|()| caller)
        }
        Err(error) => Err(error),
    };
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
            store_problems(&*state.services.drafts, None, draft, &page, error).await
        }
    }
}

/// Renders the sign-in page again with the pending form.
async fn sign_in_again(state: &HttpState, form: Credentials, error: AppError) -> Response {
    let email = form.email.chars().take(MAX_EMAIL).collect();
    session_ended::sign_in_failed(state, form.parts, &form.posted, email, error).await
}

async fn sign_out(session: Session) -> Response {
    match sessions::end(&session).await {
        Ok(()) => see_other("/sign-in?notice=signed_out"),
        Err(error) => ErrorResponse::from(error).into_response(),
    }
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
