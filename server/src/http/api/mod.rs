//! `/api/v1`: the API for programs. The same macro adds a route to the router and to
//! the OpenAPI document, so both always match.

mod agents;
mod connections;
mod costs;
mod docs;
mod events;
mod export;
mod import;
mod openapi;
mod paging;
mod profiles;
mod reports;
mod runs;
mod scenarios;
mod settings;
mod start_response;
mod suites;
mod tokens;

pub(crate) use connections::test_model;
pub(crate) use suites::rerun_request;

use super::problem::ErrorResponse;
use super::{HttpState, detached};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub const PREFIX: &str = "/api/v1";

/// The result of a handler.
type ApiResult<T = Response> = Result<T, ErrorResponse>;

/// The API and its documentation.
pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    let (router, document) = documented_router().split_for_parts();
    router
        .route_layer(from_fn_with_state(state.clone(), detached::detach_writes))
        .merge(docs::routes(document))
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> OpenApi {
    documented_router().into_openapi()
}

fn documented_router() -> OpenApiRouter<HttpState> {
    let areas = OpenApiRouter::new()
        .merge(agents::routes())
        .merge(scenarios::routes())
        .merge(profiles::routes())
        .merge(export::routes())
        .merge(import::routes())
        .merge(connections::routes())
        .merge(costs::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(suites::routes())
        .merge(reports::routes())
        .merge(runs::routes())
        .merge(events::routes());
    let mut router = OpenApiRouter::with_openapi(openapi::base_document()).nest(PREFIX, areas);
    openapi::add_common_parts(router.get_openapi_mut());
    router
}

/// 201 with the location of the new object.
fn created(location: String, body: impl Serialize) -> Response {
    let location = [(header::LOCATION, location)];
    (StatusCode::CREATED, location, axum::Json(body)).into_response()
}
