//! Signing up, in and out; and the theme.

use super::ended::{self, Carried};
use super::{Posted, refuse, see_other};
use crate::http::client_ip::client_ip;
use crate::http::problem::Failure;
use crate::http::spawned::spawned;
use crate::http::{HttpState, sessions};
use domain::services::{AppResult, Caller};
use domain::error::AppError;
use axum::Router;
use axum::extract::{FromRequest, FromRequestParts};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::net::IpAddr;
use tower_sessions::Session;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/sign-up", post(sign_up))
        .route("/forms/sign-in", post(sign_in))
        .route("/forms/sign-out", post(sign_out))
        .route("/forms/theme", post(theme))
}

/// What a form about an account brings.
struct Credentials {
    posted: Posted,
    email: String,
    password: String,
    session: Session,
    ip: IpAddr,
    /// The request without its body, to draw a page for it.
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
        let posted = Posted::from_request(request, state).await;
        let posted = posted.map_err(IntoResponse::into_response)?;
        let email = posted.text("email").trim().to_owned();
        let password = posted.text("password");
        Ok(Self { posted, email, password, session, ip, parts })
    }
}

async fn sign_up(State(state): State<HttpState>, form: Credentials) -> Response {
    if let Err(error) = state.sign_ins.attempt(form.ip, &form.email) {
        return Failure::from(error).into_response();
    }
    let (services, email, password) =
        (state.services.clone(), form.email.clone(), form.password.clone());
    let work = async move { services.accounts.sign_up(&email, &password).await };
    let answer = spawned(&state.clock, work).await;
    welcome(&state, form, answer, "/sign-up").await
}

async fn sign_in(State(state): State<HttpState>, form: Credentials) -> Response {
    if let Err(error) = state.sign_ins.attempt(form.ip, &form.email) {
        return match Carried::of(&form.posted) {
            Some(_) => with_what_it_carries(&state, form, error).await,
            None => Failure::from(error).into_response(),
        };
    }
    let (services, email, password) =
        (state.services.clone(), form.email.clone(), form.password.clone());
    let work = async move { services.accounts.sign_in(&email, &password).await };
    let answer = spawned(&state.clock, work).await;
    welcome(&state, form, answer, "/sign-in").await
}

/// Begins the session of whoever was let in, or shows the form again.
async fn welcome(
    state: &HttpState,
    form: Credentials,
    answer: AppResult<Caller>,
    page: &str,
) -> Response {
    let carried = Carried::of(&form.posted);
    match begin(state, &form, answer).await {
        Ok(caller) => match carried {
            Some(carried) => match carried.keep(state, &caller).await {
                Ok(place) => see_other(&place),
                Err(error) => with_what_it_carries(state, form, error).await,
            },
            None => see_other(&form.posted.onward("/")),
        },
        Err(error) if carried.is_some() => with_what_it_carries(state, form, error).await,
        Err(error) => {
            // Where to go afterwards must outlive the detour; what else a
            // stranger posts is not worth keeping.
            let next = form.posted.next.clone();
            let mut posted = form.posted;
            posted.draft = domain::Draft(serde_json::json!({
                "email": form.email.chars().take(320).collect::<String>(),
            }));
            posted.back = next.map(|next| format!("{page}?next={}", domain::address::encode(&next)));
            refuse(state, None, posted, page, error).await
        }
    }
}

async fn begin(state: &HttpState, form: &Credentials, answer: AppResult<Caller>) -> AppResult<Caller> {
    let caller = answer?;
    sessions::begin(&form.session, caller.user_id, &state.clock).await?;
    Ok(caller)
}

/// The page once more that carries a form: what was typed there must outlive
/// a wrong password, too.
async fn with_what_it_carries(state: &HttpState, form: Credentials, error: AppError) -> Response {
    let email = form.email.chars().take(320).collect();
    ended::refused(state, form.parts, &form.posted, email, error).await
}

async fn sign_out(session: Session) -> Response {
    match sessions::end(&session).await {
        Ok(()) => see_other("/sign-in?notice=signed_out"),
        Err(error) => Failure::from(error).into_response(),
    }
}

/// Light, dark, or as the system has it: a cookie, so that the first paint is
/// right. Anything else means the system's.
async fn theme(posted: Posted) -> Response {
    let onward = posted.next.clone().or_else(|| posted.back.clone());
    let mut response = see_other(onward.as_deref().unwrap_or("/"));
    let cookie = match posted.text("theme").as_str() {
        "light" => "theme=light; Path=/; Max-Age=31536000; SameSite=Lax",
        "dark" => "theme=dark; Path=/; Max-Age=31536000; SameSite=Lax",
        _ => "theme=system; Path=/; Max-Age=31536000; SameSite=Lax",
    };
    response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    response
}
