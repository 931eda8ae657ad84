//! Event stream routes.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::client_limits::StreamPermit;
use crate::http::extract::{Id, Params};
use crate::http::stream;
use crate::http::stream_auth::StreamAuth;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::{DraftReader, SuiteId, SuiteSnapshot};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(suite_events)).routes(routes!(active_suites))
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; `after` reads them
struct StreamParams {
    /// Only events after this ID. The header `Last-Event-ID` takes precedence.
    after: Option<i64>,
}

/// Stream the events of a suite
///
/// Sends `snapshot`, then `run`, `turn`, `progress` (without ID) and `finished`, which
/// ends the stream. With `Last-Event-ID` or `after`, sends the events after that ID
/// instead of the snapshot, or answers 204 if no more events will follow.
#[utoipa::path(get, path = "/suites/{id}/events", tag = "suites",
    params(("id" = Uuid, Path), StreamParams),
    responses(
        (status = 200, description = "The stream. The schema is the data of its first event",
            body = SuiteSnapshot, content_type = "text/event-stream"),
        (status = 204, description = "The suite is finished and the client has all events"),
    ))]
async fn suite_events(
    State(state): State<HttpState>,
    SignedIn { caller, .. }: SignedIn,
    auth: StreamAuth,
    permit: StreamPermit,
    Id(id): Id<SuiteId>,
    params: Params,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let parameter = params.read(after)?;
    let after = last_event_id(&headers).or(parameter);
    Ok(stream::suite_events(state, caller, auth, permit, id, after).await?)
}

/// Stream the unfinished suites of the caller
#[utoipa::path(get, path = "/events", tag = "suites",
    responses((status = 200, description = "Events `suites` with {live: [suite without runs]}",
        content_type = "text/event-stream")))]
async fn active_suites(
    State(state): State<HttpState>,
    SignedIn { caller, .. }: SignedIn,
    auth: StreamAuth,
    permit: StreamPermit,
) -> ApiResult<Response> {
    Ok(stream::active_suites(state, caller, auth, permit).await?)
}

fn after(reader: &mut DraftReader<'_>) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // fits i64
    reader.optional_number("after", 0.0, 9e15).map(|number| number as i64)
}

/// The ID of the last event that the client received. Ignores invalid IDs: the stream
/// then starts with a snapshot.
fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    text.trim().parse().ok().filter(|id| *id >= 0)
}
