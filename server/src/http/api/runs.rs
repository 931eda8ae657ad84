//! Runs: a suite of one, reading, stopping, judging again.

use super::paging::{self, History, HistoryParams, PageParams};
use super::starts::{accepted, nothing};
use super::{PREFIX, Reply};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params};
use crate::http::idempotency::IdempotencyKey;
use crate::http::spawned::spawned;
use domain::services::Page;
use domain::{AgentId, Run, RunId, ScenarioId, StartSuite, Suite};
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
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(evaluate))
}

/// One agent, one scenario. The options of a suite may stand beside.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // describes the body; `StartSuite::parse_single` reads it
struct RunInput {
    /// The agent.
    agent_id: AgentId,
    /// The scenario.
    scenario_id: ScenarioId,
}

/// Runs, newest first
#[utoipa::path(get, path = "/runs", tag = "runs", params(HistoryParams, PageParams),
    responses((status = 200, description = "A page of runs, without transcripts",
        body = Page<Run>)))]
async fn list(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> Reply<Json<Page<Run>>> {
    let (filter, cursor) = paging::history(&params, History::Runs)?;
    Ok(Json(state.services.results.runs(&caller, &filter, &cursor).await?))
}

/// Start a suite of one, exactly once a key
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = RunInput,
    responses((status = 202, description = "The suite", body = Suite)))]
async fn start(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    key: IdempotencyKey,
    JsonBody(draft): JsonBody,
) -> Reply {
    let request = StartSuite::parse_single(&draft).map_err(AppError::invalid)?;
    let keyed = key.with_start("/runs", &request);
    let services = state.services;
    let work = async move {
        services.suites.start(&caller, &request, &keyed).await.map_err(|mut error| {
            error.problems.iter_mut().for_each(StartSuite::of_one);
            error
        })
    };
    let started = spawned(&state.clock, work).await?;
    let place = format!("{PREFIX}/suites/{}", started.suite_id);
    Ok(accepted(started, place))
}

/// A run with its transcript and evaluations
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The run", body = Run)))]
async fn read(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
) -> Reply<Json<Run>> {
    Ok(Json(state.services.results.run(&caller, id).await?))
}

/// Stop a run; fine when it was stopped before
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 202, description = "The run", body = Run)))]
async fn cancel(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
) -> Reply<(StatusCode, Json<Run>)> {
    let services = state.services;
    let work = async move { services.suites.cancel_run(&caller, id).await };
    Ok((StatusCode::ACCEPTED, Json(spawned(&state.clock, work).await?)))
}

/// Judge the stored transcript again; no agent call
///
/// A body may be left out, and says nothing: `{}`.
#[utoipa::path(post, path = "/runs/{id}/evaluate", tag = "runs", params(("id" = Uuid, Path)),
    responses((status = 202, description = "What was started", content_type =
        "application/json")))]
async fn evaluate(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    Id(id): Id<RunId>,
    key: IdempotencyKey,
    body: Option<JsonBody>,
) -> Reply {
    if let Some(JsonBody(draft)) = body {
        nothing(&draft)?;
    }
    let keyed = key.with(format!("/runs/{id}/evaluate"), json!({}));
    let services = state.services;
    let work = async move { services.suites.evaluate(&caller, id, &keyed).await };
    let started = spawned(&state.clock, work).await?;
    Ok(accepted(started, format!("{PREFIX}/runs/{id}")))
}
