//! Suites: starting, reading, stopping, running again.

use super::paging::{self, History, HistoryParams, PageParams};
use super::starts::{accepted, which};
use super::{PREFIX, Reply};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params};
use crate::http::idempotency::IdempotencyKey;
use crate::http::spawned::spawned;
use domain::services::{Page, Which};
use domain::{Preflight, StartSuite, Suite, SuiteId};
use domain::error::AppError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, start))
        .routes(routes!(preflight))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(rerun))
}

/// Which runs to run again.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `which` reads it
struct RerunInput {
    /// Which.
    which: Which,
}

/// Suites, newest first
#[utoipa::path(get, path = "/suites", tag = "suites", params(HistoryParams, PageParams),
    responses((status = 200, description = "A page of suites", body = Page<Suite>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> Reply<Json<Page<Suite>>> {
    let (filter, cursor) = paging::history(&params, History::Suites)?;
    Ok(Json(state.services.results.suites(&caller, &filter, &cursor).await?))
}

/// Start a suite, exactly once a key
///
/// 422 lists every incompatible pair; 409 names the unfinished suite of this
/// agent over one of the scenarios.
#[utoipa::path(post, path = "/suites", tag = "suites", request_body = StartSuite,
    responses((status = 202, description = "The suite", body = Suite)))]
async fn start(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    key: IdempotencyKey,
    JsonBody(draft): JsonBody,
) -> Reply {
    let request = StartSuite::parse(&draft).map_err(AppError::invalid)?;
    let keyed = key.with_start("/suites", &request);
    let services = state.services;
    let work = async move { services.suites.start(&caller, &request, &keyed).await };
    let started = spawned(&state.clock, work).await?;
    let place = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, place))
}

/// What a start would do; starts nothing
#[utoipa::path(post, path = "/suites/preflight", tag = "suites", request_body = StartSuite,
    responses((status = 200, description = "What would run", body = Preflight)))]
async fn preflight(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    JsonBody(draft): JsonBody,
) -> Reply<Json<Preflight>> {
    let request = StartSuite::parse(&draft).map_err(AppError::invalid)?;
    Ok(Json(state.services.suites.preflight(&caller, &request).await?))
}

/// A suite with its runs
#[utoipa::path(get, path = "/suites/{id}", tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The suite", body = Suite)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<SuiteId>,
) -> Reply<Json<Suite>> {
    Ok(Json(state.services.results.suite(&caller, id).await?.suite))
}

/// Stop a suite; fine when it was stopped before
#[utoipa::path(post, path = "/suites/{id}/cancel", tag = "suites",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "The suite", body = Suite)))]
async fn cancel(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<SuiteId>,
) -> Reply<(StatusCode, Json<Suite>)> {
    let services = state.services;
    let work = async move { services.suites.cancel_suite(&caller, id).await };
    Ok((StatusCode::ACCEPTED, Json(spawned(&state.clock, work).await?)))
}

/// Run part of a suite again, as a new suite that names this one
#[utoipa::path(post, path = "/suites/{id}/rerun", tag = "suites", params(("id" = Uuid, Path)),
    request_body = RerunInput,
    responses((status = 202, description = "The new suite", body = Suite)))]
async fn rerun(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<SuiteId>,
    key: IdempotencyKey,
    JsonBody(draft): JsonBody,
) -> Reply {
    let which = which(&draft)?;
    let keyed = key.with(format!("/suites/{id}/rerun"), json!({ "which": which }));
    let services = state.services;
    let work = async move { services.suites.rerun(&caller, id, which, &keyed).await };
    let started = spawned(&state.clock, work).await?;
    let place = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, place))
}
