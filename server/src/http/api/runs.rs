//! Run routes.

use super::paging::{self, History, HistoryParams, PageParams};
use super::start_response::accepted;
use super::{ApiResult, PREFIX};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::detached::run_detached;
use crate::http::extract::{Id, JsonBody, Params, read_fields};
use crate::http::idempotency::IdempotencyKey;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::error::AppError;
use domain::services::Page;
use domain::{AgentId, Run, RunId, ScenarioId, StartSuite, Suite};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, start))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(evaluate))
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
        body = Page<Run>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> ApiResult<Json<Page<Run>>> {
    let (filter, cursor) = paging::history(&params, History::Runs)?;
    Ok(Json(state.services.results.runs(&caller, &filter, &cursor).await?))
}

/// Start a suite with one run
///
/// Requests with the same idempotency key start one suite.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = RunInput,
    responses((status = 202, description = "The suite", body = Suite)))]
async fn start(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    key: IdempotencyKey,
    JsonBody(draft): JsonBody,
) -> ApiResult {
    let request = StartSuite::parse_single(&draft).map_err(AppError::invalid)?;
    let request_key = key.with_start("/runs", &request);
    let services = state.services;
    let work = async move {
        services.suites.start(&caller, &request, &request_key).await.map_err(|mut error| {
            error.problems.iter_mut().for_each(StartSuite::relabel_scenario_path);
            error
        })
    };
    let started = run_detached(&state.clock, work).await?;
    let location = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, &location))
}

/// Get a run with its transcript and evaluations
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The run", body = Run)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
) -> ApiResult<Json<Run>> {
    Ok(Json(state.services.results.run(&caller, id).await?))
}

/// Cancel a run; succeeds if it is already cancelled
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 202, description = "The run", body = Run)))]
async fn cancel(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
) -> ApiResult<(StatusCode, Json<Run>)> {
    let services = state.services;
    let work = async move { services.suites.cancel_run(&caller, id).await };
    Ok((StatusCode::ACCEPTED, Json(run_detached(&state.clock, work).await?)))
}

/// Rejudge the stored transcript, without calls to the agent
///
/// The body is optional and must be empty: `{}`.
#[utoipa::path(post, path = "/runs/{id}/evaluate", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 202, description = "The started evaluation", content_type =
        "application/json")))]
async fn evaluate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
    key: IdempotencyKey,
    body: Option<JsonBody>,
) -> ApiResult {
    if let Some(JsonBody(draft)) = body {
        read_fields(&draft, &["idempotency_key"], |_| ())?;
    }
    let request_key = key.with(format!("/runs/{id}/evaluate"), json!({}));
    let services = state.services;
    let work = async move { services.suites.evaluate(&caller, id, &request_key).await };
    let started = run_detached(&state.clock, work).await?;
    Ok(accepted(started, &format!("{PREFIX}/runs/{id}")))
}
