//! Run routes.

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
use domain::services::ListPage;
use domain::{AgentId, Run, RunId, ScenarioId, StartSuite, Suite};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, start))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(rejudge))
}

/// One agent and one scenario. Accepts the options of a suite, too.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `StartSuite::parse_single` reads it
struct RunInput {
    agent_id: AgentId,
    scenario_id: ScenarioId,
}

/// List runs, newest first
#[utoipa::path(get, path = "/runs", tag = "runs", params(HistoryParams, PageParams),
    responses((status = 200, description = "A page of runs, without transcripts",
        body = ListPage<Run>)))]
async fn list(user: SignedIn, params: Params) -> ApiResult<Json<ListPage<Run>>> {
    let (filter, cursor) = paging::history(&params, History::Runs)?;
    Ok(Json(user.services.results.runs(&user.caller, &filter, &cursor).await?))
}

/// Start a suite with one run
///
/// Requests with the same idempotency key start one suite.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = RunInput,
    responses((status = 202, description = "The suite", body = Suite)))]
async fn start(user: SignedIn, key: IdempotencyKey, JsonBody(draft): JsonBody) -> ApiResult {
    let request = StartSuite::parse_single(&draft).map_err(AppError::invalid)?;
    let request_key = key.with_start("/runs", &request);
    let started = user.services.suites.start(&user.caller, &request, &request_key).await.map_err(
        |mut error| {
            error.problems.iter_mut().for_each(StartSuite::relabel_scenario_path);
            error
        },
    )?;
    let location = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, &location))
}

/// Get a run with its transcript and evaluations
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The run", body = Run)))]
async fn read(user: SignedIn, Id(id): Id<RunId>) -> ApiResult<Json<Run>> {
    Ok(Json(user.services.results.run(&user.caller, id).await?))
}

/// Cancel a run; succeeds if it is already canceled
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 202, description = "The run", body = Run)))]
async fn cancel(user: SignedIn, Id(id): Id<RunId>) -> ApiResult<(StatusCode, Json<Run>)> {
    Ok((StatusCode::ACCEPTED, Json(user.services.suites.cancel_run(&user.caller, id).await?)))
}

/// Rejudge the stored transcript, without calls to the agent
///
/// The body is optional and must be empty: `{}`.
#[utoipa::path(post, path = "/runs/{id}/evaluate", operation_id = "evaluate", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 202, description = "The started evaluation", content_type =
        "application/json")))]
async fn rejudge(
    user: SignedIn,
    Id(id): Id<RunId>,
    key: IdempotencyKey,
    body: Option<JsonBody>,
) -> ApiResult {
    if let Some(JsonBody(draft)) = body {
        read_fields(&draft, &["idempotency_key"], |_| ())?;
    }
    let request_key = key.with(format!("/runs/{id}/evaluate"), json!({}));
    let started = user.services.suites.rejudge(&user.caller, id, &request_key).await?;
    Ok(accepted(started, &format!("{PREFIX}/runs/{id}")))
}
