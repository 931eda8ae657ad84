//! `/api/v1`: the API for programs, one file an area. A route is added to the
//! router and to the OpenAPI document in one breath, so neither can lack what
//! the other has.

mod agents;
mod connections;
mod docs;
mod events;
mod export;
mod import;
mod openapi;
mod paging;
mod runs;
mod scenarios;
mod settings;
mod starts;
mod suites;
mod tokens;

pub(crate) use connections::model as test_model;
pub(crate) use starts::which as rerun_which;
pub(crate) use tokens::name as token_name;

use super::HttpState;
use super::problem::Failure;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// Where it stands.
pub const PREFIX: &str = "/api/v1";

/// What a handler answers.
type Reply<T = Response> = Result<T, Failure>;

/// The API, its document and the page about it.
pub(super) fn routes() -> Router<HttpState> {
    let (router, document) = described().split_for_parts();
    router.merge(docs::routes(document))
}

/// The document alone.
#[must_use]
pub fn document() -> OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<HttpState> {
    let areas = OpenApiRouter::new()
        .merge(agents::routes())
        .merge(scenarios::routes())
        .merge(export::routes())
        .merge(import::routes())
        .merge(connections::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(suites::routes())
        .merge(runs::routes())
        .merge(events::routes());
    let mut router = OpenApiRouter::with_openapi(openapi::head()).nest(PREFIX, areas);
    openapi::complete(router.get_openapi_mut());
    router
}

/// 201 with the place of what was made.
fn created(location: String, body: impl Serialize) -> Response {
    let location = [(header::LOCATION, location)];
    (StatusCode::CREATED, location, axum::Json(body)).into_response()
}
