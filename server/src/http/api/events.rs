//! The streams.

use super::Reply;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, Params};
use crate::http::pass::Pass;
use crate::http::stream;
use domain::{Reader, SuiteId, SuiteSnapshot};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(of_suite)).routes(routes!(of_all))
}

/// The words of a stream, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; `after` reads them
struct StreamParams {
    /// Only events after this one; the header `Last-Event-ID` wins over it.
    after: Option<i64>,
}

/// A suite as it happens
///
/// `snapshot`, then `run`, `turn`, `progress` (without id) and `finished`,
/// after which the stream ends. With `Last-Event-ID` or `after` the events
/// after that one instead of the snapshot; 204 when there will be none.
#[utoipa::path(get, path = "/suites/{id}/events", tag = "suites",
    params(("id" = Uuid, Path), StreamParams),
    responses(
        (status = 200, description = "The stream; the data of its first event",
            body = SuiteSnapshot, content_type = "text/event-stream"),
        (status = 204, description = "The suite is final and everything was told"),
    ))]
async fn of_suite(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    pass: Pass,
    Id(id): Id<SuiteId>,
    params: Params,
    headers: HeaderMap,
) -> Reply<Response> {
    let asked = params.read(after)?;
    let after = last_event_id(&headers).or(asked);
    Ok(stream::suite(state, caller, pass, id, after).await?)
}

/// The caller's unfinished suites in short, whenever that changes
#[utoipa::path(get, path = "/events", tag = "suites",
    responses((status = 200, description = "Events `suites` with {live: [suite without runs]}",
        content_type = "text/event-stream")))]
async fn of_all(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    pass: Pass,
) -> Reply<Response> {
    Ok(stream::suites(state, caller, pass).await?)
}

fn after(reader: &mut Reader<'_>) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // whole, and far within i64
    reader.optional_number("after", 0.0, 9e15).map(|number| number as i64)
}

/// What a browser saw last. What is no number of ours is as good as none: the
/// stream then begins with a snapshot.
fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get("last-event-id")?.to_str().ok()?;
    text.trim().parse().ok().filter(|id| *id >= 0)
}
