//! Maps failures of deployed agents to retry decisions and to texts that say what came
//! and where to look.

use super::exchange::Failure;
use crate::error_text::{provider_message, sanitize};
use crate::http::{HttpResponse, TransportError};
use crate::rate_headers::parse_rate_limits;
use crate::retry_after::retry_after;
use domain::{ErrorKind, Timestamp};
use http_agent::ReadError;
use llm_types::{CallError, Cause, Decision, Endpoint, HttpCall, HttpCallKind};
use std::time::Duration;

/// What is appended where the agent may have acted on a message.
pub(crate) const OUTCOME_UNKNOWN: &str = "It is unknown whether the agent acted on this message, so it was not sent again. Re-run the scenario, or declare the agent idempotent if its endpoint honors Idempotency-Key.";

/// The context of the failures of one call.
#[derive(Clone, Copy)]
pub(super) struct Failures<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) call: &'a HttpCall,
    pub(super) now: Timestamp,
}

impl Failures<'_> {
    /// No complete response came.
    pub(super) fn transport(&self, failure: &Failure) -> CallError {
        let at = self.place();
        let text = |text: &str| sanitize(text, self.endpoint);
        match failure {
            Failure::NotSent(error) => {
                let (cause, decision, message) = match error {
                    TransportError::Connect(why) => (
                        Cause::Connect,
                        Decision::Retry,
                        format!("The agent cannot be reached: {why}."),
                    ),
                    TransportError::TokenUnavailable(_) => {
                        (Cause::Connect, Decision::Retry, error.to_string())
                    }
                    TransportError::TokenRefused(_) => (
                        Cause::Unauthorized,
                        Decision::GiveUp(ErrorKind::CredentialInvalid),
                        error.to_string(),
                    ),
                    other => (
                        Cause::NotSent,
                        Decision::GiveUp(ErrorKind::ProviderRejected),
                        other.to_string(),
                    ),
                };
                CallError { cause, ..CallError::new(decision, text(&message)) }
            }
            Failure::Closed(why) => {
                let message =
                    format!("The agent closed the connection before it answered {at}: {why}.");
                self.after_sending(Cause::Incomplete, None, &text(&message))
            }
            Failure::NoResponse(limit) => {
                let seconds = limit.as_secs();
                let message = format!(
                    "The agent did not begin to answer {at} within {seconds} s (timeouts.first_byte_seconds)."
                );
                self.after_sending(Cause::Timeout, None, &message)
            }
            Failure::Idle(limit) => {
                let seconds = limit.as_secs();
                let message = format!(
                    "The agent's response to {at} stopped in the middle: no data for {seconds} s (timeouts.idle_seconds)."
                );
                self.after_sending(Cause::Timeout, None, &message)
            }
            Failure::Truncated(why) => {
                let message = format!("The agent's response to {at} was cut short: {why}.");
                self.after_sending(Cause::Incomplete, None, &text(&message))
            }
            Failure::TooLarge(limit) => {
                let mib = limit / 1024 / 1024;
                let message = format!(
                    "The agent's response to {at} is larger than {mib} MiB and was not read completely."
                );
                self.give_up(ErrorKind::InvalidResponse, Cause::TooLarge, None, &message)
            }
        }
    }

    /// The reply was not complete in time.
    pub(super) fn timeout(&self, limit: Duration) -> CallError {
        let (at, seconds) = (self.place(), limit.as_secs());
        let message = format!(
            "The agent's reply to {at} was not complete within {seconds} s (timeouts.total_seconds)."
        );
        self.after_sending(Cause::Timeout, None, &message)
    }

    /// The response has a status other than 2xx.
    pub(super) fn status(&self, response: &HttpResponse) -> CallError {
        let (status, at) = (response.status, self.place());
        let words = provider_message(&response.body, self.endpoint);
        let detail = if words.is_empty() { String::new() } else { format!(": {words}") };
        let rejected = |message: String| {
            self.give_up(ErrorKind::ProviderRejected, Cause::Rejected, None, &message)
        };
        let wait = |overloaded| Decision::Wait {
            until: retry_after(&response.headers, self.now),
            overloaded,
        };
        let error = match status {
            300..=399 => {
                let to = response.headers.get("location").and_then(|to| to.to_str().ok());
                let to = to.map(|to| format!(" to {}", to.split(['?', '#']).next().unwrap_or(to)));
                let to = sanitize(&to.unwrap_or_default(), self.endpoint);
                let space = if to.is_empty() { "" } else { " " };
                self.give_up(ErrorKind::ProviderRejected, Cause::Redirect, Some(status), &format!(
                    "The agent redirects {at}{space}{to} ({status}); redirects are not followed. Correct the base URL of the connection or the path."
                ))
            }
            401 => self.give_up(ErrorKind::CredentialInvalid, Cause::Unauthorized, Some(status), &format!(
                "The agent does not accept the key of this connection (401){detail}. Enter a valid key."
            )),
            // Without the status: a refusal of one message must not suspend the connection.
            403 => self.give_up(ErrorKind::ProviderRejected, Cause::Forbidden, None, &format!(
                "The agent refuses {at} (403){detail}."
            )),
            404 | 410 if self.call.session_is_known => self.give_up(
                ErrorKind::SessionLost,
                Cause::Rejected,
                Some(status),
                &format!("The agent no longer knows the session of this conversation ({status}){detail}. Re-run the scenario."),
            ),
            404 | 410 => rejected(format!(
                "The agent has nothing at {at} ({status}){detail}. Check the base URL of the connection and the path of the request."
            )),
            429 => CallError {
                status: Some(status),
                cause: Cause::RateLimited,
                ..CallError::new(wait(false), format!("The agent's rate limit is reached (429){detail}."))
            },
            529 => CallError {
                status: Some(status),
                cause: Cause::Overloaded,
                ..CallError::new(wait(true), format!("The agent is overloaded (529){detail}."))
            },
            408 | 425 | 500.. => {
                let message = format!("The agent failed at {at} ({status}){detail}.");
                self.after_sending(Cause::ServerError, Some(status), &message)
            }
            _ => rejected(format!("The agent rejected {at} ({status}){detail}.")),
        };
        let rate_limits = parse_rate_limits(&response.headers, self.now);
        CallError { provider_message: words, rate_limits, ..error }
    }

    /// A 2xx that cannot be used.
    pub(super) fn read(&self, error: ReadError, response: &HttpResponse) -> CallError {
        let (at, status) = (self.place(), response.status);
        let rate_limits = parse_rate_limits(&response.headers, self.now);
        let words = provider_message(&response.body, self.endpoint);
        let clean = |text: &str| sanitize(text, self.endpoint);
        let error = match error {
            ReadError::Reported(message) => {
                let message = clean(&message);
                self.give_up(
                    ErrorKind::ProviderRejected,
                    Cause::Rejected,
                    Some(status),
                    &format!(
                        "The agent reports an error in its response to {at} ({status}): {message}."
                    ),
                )
            }
            ReadError::Unreadable(problem) => {
                let problem = clean(&problem);
                self.give_up(
                    ErrorKind::InvalidResponse,
                    Cause::Unreadable,
                    Some(status),
                    &format!("The agent's response to {at} ({status}) cannot be used: {problem}."),
                )
            }
            ReadError::Cut(problem) => {
                let message = format!("The agent's response to {at} is incomplete: {problem}.");
                self.after_sending(Cause::Incomplete, Some(status), &message)
            }
        };
        CallError { provider_message: words, rate_limits, ..error }
    }

    /// A failure after the request was sent: the agent may have acted.
    pub(super) fn after_sending(
        &self,
        cause: Cause,
        status: Option<u16>,
        message: &str,
    ) -> CallError {
        let (decision, message) = if self.call.is_repeatable() {
            (Decision::Retry, message.to_owned())
        } else {
            let decision = Decision::GiveUp(ErrorKind::OutcomeUnknown);
            (decision, format!("{message} {OUTCOME_UNKNOWN}"))
        };
        CallError { status, cause, ..CallError::new(decision, tidy(message)) }
    }

    pub(super) fn give_up(
        &self,
        kind: ErrorKind,
        cause: Cause,
        status: Option<u16>,
        message: &str,
    ) -> CallError {
        let decision = Decision::GiveUp(kind);
        CallError { status, cause, ..CallError::new(decision, tidy(message.to_owned())) }
    }

    /// The request, for messages. A query may contain values of the conversation.
    fn place(&self) -> String {
        let request = &self.call.request;
        let path: String =
            request.path.split('?').next().unwrap_or_default().chars().take(100).collect();
        let path = if path.is_empty() { "the base URL".to_owned() } else { path };
        let what = match self.call.kind {
            HttpCallKind::Start => "the start of a session",
            HttpCallKind::Message => "a message",
            HttpCallKind::End => "the end of a session",
        };
        format!("{what} ({} {path})", request.method)
    }
}

/// Removes a second period: the words of endpoints often end with one.
fn tidy(message: String) -> String {
    ["..", "!.", "?.", "…."]
        .iter()
        .fold(message, |message, pair| message.replace(pair, &pair[..pair.len() - 1]))
}

/// Whether a body is a web page.
pub(super) fn is_page(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(9).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}

/// Says which web page came.
pub(super) fn describe_page(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|at| {
        let start = at + "<title>".len();
        let end = lower[start..].find("</title>")?;
        text.get(start..start + end)
    });
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("it is a web page (“{title}”), not JSON"),
        None => "it is a web page, not JSON".to_owned(),
    }
}
