//! One's unfinished suites in short.

use super::{OpenStream, RETRY, respond};
use crate::http::HttpState;
use crate::http::pass::Pass;
use domain::services::{AppResult, Caller};
use domain::Suite;
use axum::response::Response;
use axum::response::sse::Event;
use futures::stream;
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

/// Between two looks at the unfinished suites.
const SHORT: Duration = Duration::from_secs(2);

/// The unfinished suites of the caller, told again when they change.
///
/// # Errors
/// Those of reading them.
pub(in crate::http) async fn suites(
    state: HttpState,
    caller: Caller,
    pass: Pass,
) -> AppResult<Response> {
    let first = short(&state, &caller).await?;
    let start = Event::default().event("suites").data(&first).retry(RETRY);
    let open = OpenStream::new();
    let begun = (state, caller, pass, Some(start), first, open);
    Ok(respond(stream::unfold(
        begun,
        |(state, caller, mut pass, ready, mut told, open)| async move {
            if state.shutdown.is_cancelled() {
                return None;
            }
            if let Some(event) = ready {
                return Some((Ok(event), (state, caller, pass, None, told, open)));
            }
            loop {
                // Ends at once on shutdown, else looks again after a while.
                if timeout(SHORT, state.shutdown.cancelled()).await.is_ok() {
                    return None;
                }
                if !pass.holds(&state).await {
                    return None;
                }
                let now = short(&state, &caller).await.ok()?;
                if now != told {
                    let event = Event::default().event("suites").data(&now);
                    told = now;
                    return Some((Ok(event), (state, caller, pass, None, told, open)));
                }
            }
        },
    )))
}

/// `{live: […]}` as text.
async fn short(state: &HttpState, caller: &Caller) -> AppResult<String> {
    #[derive(Serialize)]
    struct Short {
        live: Vec<Suite>,
    }
    let mut live = state.services.results.dashboard(caller).await?.live;
    for suite in &mut live {
        suite.runs = None;
    }
    Ok(serde_json::to_string(&Short { live }).unwrap_or_default())
}
