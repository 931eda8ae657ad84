//! The pages: Leptos on the server, with what it needs in its context.

use super::auth::Who;
use super::{HttpState, security};
use domain::services::{Caller};
use app::ended::SignInAgain;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use leptos::config::LeptosOptions;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{AxumRouteListing, LeptosRoutes, ResponseOptions, generate_route_list};
use std::sync::OnceLock;

/// All pages and server functions.
pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    // While Leptos lists its routes, whatever a page of this process begins to
    // ask for is never answered. So they are listed once, before any page.
    static PATHS: OnceLock<Vec<AxumRouteListing>> = OnceLock::new();
    let paths = PATHS.get_or_init(|| generate_route_list(app::App)).clone();
    let options = state.leptos.clone();
    let to_first = get(|| std::future::ready(Redirect::to("/settings/connections")));
    Router::new().route("/settings", to_first).leptos_routes_with_context(
        state,
        paths,
        context(state),
        move || app::shell(options.clone()),
    )
}

/// The context of pages and server functions: the [`Services`] and the caller
/// (`Option<Caller>`); Leptos adds the parts of the request. A page also gets its policy here, for here is its nonce.
fn context(state: &HttpState) -> impl Fn() + Clone + Send + Sync + 'static {
    let services = state.services.clone();
    move || {
        let who = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Who>().cloned());
        provide_context::<Option<Caller>>(who.and_then(|who| who.0));
        provide_context(services.clone());
        if let (Some(nonce), Some(response)) =
            (leptos::nonce::use_nonce(), use_context::<ResponseOptions>())
            && let Ok(policy) = HeaderValue::from_str(&security::page_policy(&nonce))
        {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// The page for an address that leads nowhere, rendered by the application
/// like every other page.
pub(super) async fn not_found(state: HttpState, request: Request) -> Response {
    let options: LeptosOptions = state.leptos.clone();
    // As a whole, not as a stream: it must also be complete without script.
    let render = leptos_axum::render_app_async_with_context(context(&state), move || {
        app::shell(options.clone())
    });
    let mut response = render(request).await.into_response();
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// The page that answers a form whose session has ended.
pub(super) async fn sign_in_again(
    state: &HttpState,
    request: Request,
    again: SignInAgain,
) -> Response {
    let options: LeptosOptions = state.leptos.clone();
    let render = leptos_axum::render_app_async_with_context(context(state), move || {
        app::ended::session_ended(options.clone(), again.clone())
    });
    render(request).await.into_response()
}

/// The statuses of server functions: Leptos answers every error with 500; the
/// error itself knows better.
pub(super) async fn statuses(request: Request, next: Next) -> Response {
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
    use super::statuses;
    use domain::error::{AppError, ErrorCode};
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, Response};
    use axum::middleware::from_fn;
    use axum::routing::post;
    use rstest::rstest;
    use tower::ServiceExt;

    /// As Leptos answers an error of a server function.
    fn refusal(body: String) -> Response<Body> {
        let response = Response::builder().status(500).header("serverfnerror", "/fn/x");
        response.body(Body::from(body)).expect("a response")
    }

    #[rstest]
    #[case(serde_json::to_string(&AppError::not_found("suite")), 404)]
    #[case(serde_json::to_string(&AppError::new(ErrorCode::Malformed, "no")), 400)]
    #[case(serde_json::to_string(&AppError::new(ErrorCode::Internal, "oh")), 500)]
    #[case(Ok("no error of ours".to_owned()), 500)]
    #[tokio::test]
    async fn errors_of_server_functions_have_their_status(
        #[case] body: Result<String, serde_json::Error>,
        #[case] status: u16,
    ) {
        let body = body.expect("JSON");
        let answer = body.clone();
        let handler = post(move || std::future::ready(refusal(answer.clone())));
        let router: Router = Router::new().route("/fn/x", handler).layer(from_fn(statuses));
        let request = Request::post("/fn/x").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), status);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
        assert_eq!(bytes, body.as_bytes());
    }
}
