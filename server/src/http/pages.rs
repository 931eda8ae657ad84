//! Pages and server functions, rendered by Leptos.

use super::auth::Identity;
use super::stream_auth::Credential;
use super::{HttpState, security};
use app::session_ended::SignInData;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use domain::services::{Caller, CurrentSession};
use leptos::config::LeptosOptions;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{AxumRouteListing, LeptosRoutes, ResponseOptions, generate_route_list};
use std::sync::OnceLock;
use store_sqlite::sessions::listed_id;

pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    // Leptos must not render pages while it lists the routes: their queries would
    // never complete. So the list is created once.
    static PATHS: OnceLock<Vec<AxumRouteListing>> = OnceLock::new();
    let paths = PATHS.get_or_init(|| generate_route_list(app::App)).clone();
    let options = state.leptos.clone();
    let default_page = get(|| std::future::ready(Redirect::to("/settings/connections")));
    Router::new().route("/settings", default_page).leptos_routes_with_context(
        state,
        paths,
        context(state),
        move || app::shell(options.clone()),
    )
}

/// Provides [`domain::services::Services`], `Option<Caller>`, [`CurrentSession`] and the files
/// of lazy chunks to pages and server functions. Also sets the content security policy of a
/// page, which contains the nonce.
fn context(state: &HttpState) -> impl Fn() + Clone + Send + Sync + 'static {
    let (services, chunks) = (state.services.clone(), state.chunks.clone());
    move || {
        let parts = use_context::<Parts>();
        let extensions = parts.map(|parts| parts.extensions).unwrap_or_default();
        let identity = extensions.get::<Identity>().cloned();
        provide_context(CurrentSession(match extensions.get::<Credential>() {
            Some(Credential::Session(id)) => Some(listed_id(id)),
            Some(Credential::Token(_)) | None => None,
        }));
        provide_context::<Option<Caller>>(identity.and_then(|identity| identity.0));
        provide_context(services.clone());
        provide_context(chunks.clone());
        if let (Some(nonce), Some(response)) =
            (leptos::nonce::use_nonce(), use_context::<ResponseOptions>())
            && let Ok(policy) = HeaderValue::from_str(&security::page_policy(&nonce))
        {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// The "not found" page.
pub(super) async fn not_found(state: HttpState, request: Request) -> Response {
    let options: LeptosOptions = state.leptos.clone();
    // Not streamed, so that it is complete without scripts.
    let render = leptos_axum::render_app_async_with_context(context(&state), move || {
        app::shell(options.clone())
    });
    let mut response = render(request).await.into_response();
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// The sign-in page for a form whose session has ended.
pub(super) async fn session_ended(
    state: &HttpState,
    request: Request,
    data: SignInData,
) -> Response {
    let options: LeptosOptions = state.leptos.clone();
    let render = leptos_axum::render_app_async_with_context(context(state), move || {
        app::session_ended::document(options.clone(), data.clone())
    });
    render(request).await.into_response()
}

/// Sets the status of failed server functions. Leptos answers every error with
/// 500.
pub(super) async fn server_fn_status(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR
        || !response.headers().contains_key("serverfnerror")
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let error: Option<domain::error::AppError> = serde_json::from_slice(&bytes).ok();
    if let Some(error) = error {
        parts.status =
            StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(seconds) = error.retry_after {
            parts.headers.insert(header::RETRY_AFTER, seconds.into());
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::server_fn_status;
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, Response};
    use axum::middleware::from_fn;
    use axum::routing::post;
    use domain::error::{AppError, ErrorCode};
    use rstest::rstest;
    use tower::ServiceExt;

    /// The response of Leptos to an error of a server function.
    fn error_response(body: String) -> Response<Body> {
        let response = Response::builder().status(500).header("serverfnerror", "/fn/x");
        response.body(Body::from(body)).expect("a response")
    }

    #[rstest]
    #[case(serde_json::to_string(&AppError::not_found("suite")), 404)]
    #[case(serde_json::to_string(&AppError::new(ErrorCode::Malformed, "no")), 400)]
    #[case(serde_json::to_string(&AppError::new(ErrorCode::Internal, "oh")), 500)]
    #[case(Ok("not an AppError".to_owned()), 500)]
    #[tokio::test]
    async fn server_function_errors_keep_their_status(
        #[case] body: Result<String, serde_json::Error>,
        #[case] status: u16,
    ) {
        let body = body.expect("JSON");
        let response_body = body.clone();
        let handler = post(move || std::future::ready(error_response(response_body.clone())));
        let router: Router = Router::new().route("/fn/x", handler).layer(from_fn(server_fn_status));
        let request = Request::post("/fn/x").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), status);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
        assert_eq!(bytes, body.as_bytes());
    }
}
