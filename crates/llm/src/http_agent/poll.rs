//! Polling for a reply that comes later.

use super::errors::Failures;
use super::exchange::{Exchange, Failure};
use super::json;
use crate::http::{HttpClient, HttpResponse};
use domain::ErrorKind;
use domain::http_agent::PollMapping;
use http_agent::{PollState, ReadError, poll_state, resolve_poll_url};
use llm_types::{CallError, Cause};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How many polls in a row may fail.
const MAX_FAILED_POLLS: u32 = 5;

/// The response with the reply and its document: the first one, or that of a poll.
///
/// # Errors
/// There is no reply in time, or it cannot be read.
pub(super) async fn until_done(
    http: &HttpClient,
    failures: &Failures<'_>,
    first: HttpResponse,
    deadline: Instant,
) -> Result<(HttpResponse, Value), CallError> {
    let unusable = |message: &str, response: &HttpResponse| {
        failures.read(ReadError::Unreadable(message.to_owned()), response)
    };
    let Some(mapping) = &failures.call.agent.poll else {
        if first.status == 202 {
            let message = "the agent accepted the message but did not answer it (202), and there is nothing to poll; describe it in poll";
            return Err(unusable(message, &first));
        }
        let document = json(&first.body).map_err(|error| failures.read(error, &first))?;
        return Ok((first, document));
    };
    // A 202 may have no body.
    let empty_202 = first.status == 202 && first.body.trim_ascii().is_empty();
    let document = if empty_202 { Ok(Value::Null) } else { json(&first.body) };
    let document = document.map_err(|error| failures.read(error, &first))?;
    let status = match poll_state(mapping, &document) {
        PollState::Done => return Ok((first, document)),
        PollState::Failed(status) => return Err(failed(failures, &status, &first)),
        PollState::Pending(status) => status,
    };
    let location = first.headers.get("location").and_then(|to| to.to_str().ok());
    let url = resolve_poll_url(mapping, &document, location, &failures.endpoint.base_url);
    let url = url.map_err(|problem| unusable(&problem, &first))?;
    poll(http, failures, mapping, &url, status, deadline).await
}

async fn poll(
    http: &HttpClient,
    failures: &Failures<'_>,
    mapping: &PollMapping,
    url: &str,
    mut status: String,
    deadline: Instant,
) -> Result<(HttpResponse, Value), CallError> {
    let interval = Duration::from_millis(mapping.interval_ms.into());
    let (mut polls, mut failed_polls) = (0_u32, 0_u32);
    loop {
        if Instant::now() + interval >= deadline {
            let seconds = failures.call.agent.timeouts.total_seconds;
            let status =
                if status.is_empty() { "none".to_owned() } else { format!("“{status}”") };
            let message = format!(
                "The agent's reply was not ready within {seconds} s (timeouts.total_seconds) after {polls} polls; its last status is {status}."
            );
            return Err(failures.after_sending(Cause::Timeout, None, &message));
        }
        tokio::time::sleep(interval).await;
        polls += 1;
        let request = Exchange::poll(failures.endpoint, failures.call, url.to_owned());
        let timeouts = failures.call.agent.timeouts;
        let response = match http.exchange_streamed(request, timeouts, &mut |_, _| false).await {
            Ok(response) if (200..300).contains(&response.status) => response,
            // A poll changes nothing, so it may be repeated.
            outcome => {
                failed_polls += 1;
                if failed_polls < MAX_FAILED_POLLS && is_temporary(&outcome) {
                    continue;
                }
                return Err(gave_up(failures, outcome));
            }
        };
        failed_polls = 0;
        let document = json(&response.body).map_err(|error| failures.read(error, &response))?;
        match poll_state(mapping, &document) {
            PollState::Done => return Ok((response, document)),
            PollState::Failed(status) => return Err(failed(failures, &status, &response)),
            PollState::Pending(now) => status = now,
        }
    }
}

fn is_temporary(outcome: &Result<HttpResponse, Failure>) -> bool {
    match outcome {
        Ok(response) => matches!(response.status, 404 | 408 | 425 | 429 | 500..),
        Err(Failure::TooLarge(_)) => false,
        Err(_) => true,
    }
}

/// The polls failed; the message itself may have been executed.
fn gave_up(failures: &Failures<'_>, outcome: Result<HttpResponse, Failure>) -> CallError {
    let error = match outcome {
        Ok(response) => failures.status(&response),
        Err(failure) => failures.transport(&failure),
    };
    let message = format!("Asking for the agent's reply failed: {}", error.message);
    failures.after_sending(error.cause, error.status, &message)
}

/// The endpoint says that there will be no reply.
fn failed(failures: &Failures<'_>, status: &str, response: &HttpResponse) -> CallError {
    let words = crate::error_text::provider_message(&response.body, failures.endpoint);
    let message = format!("The agent reports the status “{status}” in place of a reply: {words}.");
    let kind = ErrorKind::ProviderRejected;
    failures.give_up(kind, Cause::Rejected, Some(response.status), &message)
}
