//! Suite routes.

use super::paging::{self, History, HistoryParams, PageParams};
use super::start_response::accepted;
use super::{ApiResult, PREFIX};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params, read_fields};
use crate::http::idempotency::IdempotencyKey;
use axum::Json;
use axum::http::StatusCode;
use domain::error::AppError;
use domain::services::{AppResult, ListPage, RerunRequest, RerunScope};
use domain::{Draft, Preflight, StartSuite, Suite, SuiteId, read_budget};
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

/// List suites, newest first
#[utoipa::path(get, path = "/suites", tag = "suites", params(HistoryParams, PageParams),
    responses((status = 200, description = "A page of suites", body = ListPage<Suite>)))]
async fn list(user: SignedIn, params: Params) -> ApiResult<Json<ListPage<Suite>>> {
    let (filter, cursor) = paging::history(&params, History::Suites)?;
    Ok(Json(user.services.results.suites(&user.caller, &filter, &cursor).await?))
}

/// Start a suite
///
/// Requests with the same idempotency key start one suite. Answers 422 with all
/// incompatible pairs of agent and scenario, and 409 with a link if an unfinished suite
/// of the agent has one of the scenarios.
#[utoipa::path(post, path = "/suites", tag = "suites", request_body = StartSuite,
    responses((status = 202, description = "The suite", body = Suite)))]
async fn start(user: SignedIn, key: IdempotencyKey, JsonBody(draft): JsonBody) -> ApiResult {
    let request = StartSuite::parse(&draft).map_err(AppError::invalid)?;
    let request_key = key.with_start("/suites", &request);
    let started = user.services.suites.start(&user.caller, &request, &request_key).await?;
    let location = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, &location))
}

/// Check a suite before its start
#[utoipa::path(post, path = "/suites/preflight", tag = "suites", request_body = StartSuite,
    responses((status = 200, description = "The preview", body = Preflight)))]
async fn preflight(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult<Json<Preflight>> {
    let request = StartSuite::parse(&draft).map_err(AppError::invalid)?;
    Ok(Json(user.services.suites.preflight(&user.caller, &request).await?))
}

/// Get a suite with its runs
#[utoipa::path(get, path = "/suites/{id}", tag = "suites", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The suite", body = Suite)))]
async fn read(user: SignedIn, Id(id): Id<SuiteId>) -> ApiResult<Json<Suite>> {
    Ok(Json(user.services.results.suite(&user.caller, id).await?.suite))
}

/// Cancel a suite; succeeds if it is already canceled
#[utoipa::path(post, path = "/suites/{id}/cancel", tag = "suites",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "The suite", body = Suite)))]
async fn cancel(user: SignedIn, Id(id): Id<SuiteId>) -> ApiResult<(StatusCode, Json<Suite>)> {
    Ok((StatusCode::ACCEPTED, Json(user.services.suites.cancel_suite(&user.caller, id).await?)))
}

/// Rerun part of a suite as a new suite that refers to this one
#[utoipa::path(post, path = "/suites/{id}/rerun", tag = "suites", params(("id" = Uuid, Path)),
    request_body = RerunRequest,
    responses((status = 202, description = "The new suite", body = Suite)))]
async fn rerun(
    user: SignedIn,
    Id(id): Id<SuiteId>,
    key: IdempotencyKey,
    JsonBody(draft): JsonBody,
) -> ApiResult {
    let request = rerun_request(&draft)?;
    let request_key = key.with(format!("/suites/{id}/rerun"), json!(request));
    let started = user.services.suites.rerun(&user.caller, id, request, &request_key).await?;
    let location = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, &location))
}

/// The runs of a suite to rerun, and the new budget.
///
/// # Errors
/// 422.
pub(crate) fn rerun_request(draft: &Draft) -> AppResult<RerunRequest> {
    let scopes =
        [("errors", RerunScope::Errors), ("failed", RerunScope::Failed), ("all", RerunScope::All)];
    let request = read_fields(draft, &["idempotency_key"], |reader| {
        let which = reader.is_object().then(|| reader.choice("which", &scopes, None)).flatten();
        let budget_usd = read_budget(reader);
        which.map(|which| RerunRequest { which, budget_usd })
    })?;
    request.ok_or_else(|| AppError::invalid(Vec::new()))
}
