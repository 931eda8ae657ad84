//! Maps responses and transport errors to retry decisions. Pure.

use super::error_body::ErrorBody;
use super::error_text::{mask_reply, provider_message, sanitize};
use super::http::{HttpResponse, TransportError};
use super::rate_headers::{RateLimits, parse_rate_limits};
use super::retry_after::retry_after;
use domain::{ErrorKind, FinishReason, Timestamp};
use llm_types::reply::assemble;
use llm_types::{CallError, Cause, ChatReply, ChatRequest, Decision, Endpoint};
use serde_json::Value;

/// The effect of a failed call on the circuit of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Counts as a failure.
    Failure,
    /// 529: counts as a failure if no call has succeeded recently.
    Overloaded,
    /// Says nothing about the health of the connection.
    Ignored,
    /// The key is rejected: suspends the connection.
    SuspendCredential,
    /// The quota is exhausted: suspends the connection.
    SuspendQuota,
    /// The key may not use this model: suspends the model.
    SuspendModel,
}

#[must_use]
pub fn effect(error: &CallError) -> Effect {
    match (error.decision, error.status) {
        // A failure that is not retried, because the agent may have acted.
        (Decision::Retry | Decision::GiveUp(ErrorKind::OutcomeUnknown), _) => Effect::Failure,
        (Decision::Wait { overloaded: true, .. }, _) => Effect::Overloaded,
        (Decision::Wait { .. }, _) => Effect::Ignored,
        (Decision::GiveUp(ErrorKind::CredentialInvalid), _) => Effect::SuspendCredential,
        (Decision::GiveUp(ErrorKind::QuotaExhausted), _) => Effect::SuspendQuota,
        (Decision::GiveUp(ErrorKind::ProviderRejected), Some(403)) => Effect::SuspendModel,
        (Decision::GiveUp(_), _) => Effect::Ignored,
    }
}

/// Parses a reply with `read`, or classifies the error response. A content filter is no
/// error: what it rejected is a blank reply that says so.
///
/// # Errors
/// The classified error.
pub fn reply(
    response: &HttpResponse,
    endpoint: &Endpoint,
    request: &ChatRequest,
    now: Timestamp,
    read: fn(&Value, &ChatRequest) -> Result<ChatReply, &'static str>,
) -> Result<ChatReply, CallError> {
    let rate_limits = parse_rate_limits(&response.headers, now);
    let error = |status| {
        if ErrorBody::parse(&response.body).is_content_filter(status) {
            return Ok(filtered(rate_limits.clone()));
        }
        Err(error_response(status, response, endpoint, &request.model, now))
    };
    if !(200..300).contains(&response.status) {
        return error(response.status);
    }
    let unreadable = |what| CallError {
        rate_limits: rate_limits.clone(),
        ..unreadable_response(response.status, what)
    };
    let json: Value =
        serde_json::from_slice(&response.body).map_err(|_| unreadable("it is not JSON"))?;
    if let Some(status) = hidden_error(&json) {
        return error(status);
    }
    let reply = read(&json, request).map_err(unreadable)?;
    Ok(mask_reply(ChatReply { rate_limits, ..reply }, endpoint))
}

/// A reply of which the provider's content filter let nothing through.
fn filtered(rate_limits: Option<Box<RateLimits>>) -> ChatReply {
    let blank = assemble(String::new(), Vec::new(), FinishReason::ContentFilter, (0, 0));
    ChatReply { rate_limits, ..blank }
}

/// Classifies a response whose status is an error.
#[must_use]
pub fn error_of(
    response: &HttpResponse,
    endpoint: &Endpoint,
    model: &str,
    now: Timestamp,
) -> CallError {
    error_response(response.status, response, endpoint, model, now)
}

/// Classifies an error response. `status` differs from the status of the response if the
/// body of a 2xx contains an error.
#[must_use]
fn error_response(
    status: u16,
    response: &HttpResponse,
    endpoint: &Endpoint,
    model: &str,
    now: Timestamp,
) -> CallError {
    let provider_message = provider_message(&response.body, endpoint);
    let detail = match provider_message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    let body = ErrorBody::parse(&response.body);
    let until = || retry_after(&response.headers, now).or_else(|| body.retry_delay(now));
    let (cause, decision, message) = match status {
        402 if until().is_some() => (
            Cause::RateLimited,
            Decision::Wait { until: until(), overloaded: false },
            format!("The provider's spending limit is reached for now (402){detail}."),
        ),
        _ if (400..500).contains(&status) && quota_exhausted(status, &body, &provider_message) => (
            Cause::Quota,
            Decision::GiveUp(ErrorKind::QuotaExhausted),
            format!(
                "The quota or credit of this connection's account is used up ({status}){detail}. Add credit or raise the limit."
            ),
        ),
        _ if status == 401 || (status == 400 && body.has_code(&["API_KEY_INVALID"])) => (
            Cause::Unauthorized,
            Decision::GiveUp(ErrorKind::CredentialInvalid),
            format!(
                "The provider does not accept the key of this connection ({status}){detail}. Enter a valid key."
            ),
        ),
        413 | 429 if body.is_request_too_large() => (
            Cause::Rejected,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!(
                "This request alone exceeds the provider's limit ({status}){detail}. Shorten the conversation or raise the limit."
            ),
        ),
        403 => (
            Cause::Forbidden,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!("The key of this connection may not use the model {model:?} (403){detail}."),
        ),
        408 => {
            (Cause::ServerError, Decision::Retry, format!("The provider timed out (408){detail}."))
        }
        429 => (
            Cause::RateLimited,
            Decision::Wait { until: until(), overloaded: false },
            format!("The provider's rate limit is reached (429){detail}."),
        ),
        // Groq answers 498 when it has no capacity left for the requested service tier.
        498 | 529 => (
            Cause::Overloaded,
            Decision::Wait { until: until(), overloaded: true },
            format!("The provider is overloaded ({status}){detail}."),
        ),
        300..=399 => (
            Cause::Redirect,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            redirect(status, response, endpoint),
        ),
        404 => (
            Cause::Rejected,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!(
                "The provider does not know the address or the model {model:?} (404){detail}. Check the base URL of the connection and the model's name."
            ),
        ),
        400..=499 => (
            Cause::Rejected,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!("The provider rejected the request ({status}){detail}."),
        ),
        500..=599 => (
            Cause::ServerError,
            Decision::Retry,
            format!("The provider failed ({status}){detail}."),
        ),
        _ => (
            Cause::ServerError,
            Decision::Retry,
            format!("The provider returned an invalid status ({status}){detail}."),
        ),
    };
    CallError {
        decision,
        message: single_period(message),
        provider_message,
        status: Some(status),
        cause,
        rate_limits: parse_rate_limits(&response.headers, now),
    }
}

/// Classifies a missing or incomplete response.
#[must_use]
pub fn transport_error(failure: &TransportError, endpoint: &Endpoint) -> CallError {
    let rejected = Decision::GiveUp(ErrorKind::ProviderRejected);
    let (cause, decision) = match failure {
        TransportError::Forbidden(_) | TransportError::Unusable(_) => (Cause::NotSent, rejected),
        TransportError::TokenRefused(_) => {
            (Cause::Unauthorized, Decision::GiveUp(ErrorKind::CredentialInvalid))
        }
        TransportError::Connect(_)
        | TransportError::Closed(_)
        | TransportError::TokenUnavailable(_) => (Cause::Connect, Decision::Retry),
        TransportError::IdleTimeout(_) => (Cause::Timeout, Decision::Retry),
        TransportError::Truncated(_) => (Cause::Incomplete, Decision::Retry),
        TransportError::TooLarge(_) => (Cause::TooLarge, Decision::Retry),
    };
    CallError { cause, ..CallError::new(decision, sanitize(&failure.to_string(), endpoint)) }
}

/// A 2xx with an unexpected body: a proxy responded instead of the model, or the body was
/// truncated.
fn unreadable_response(status: u16, what: &str) -> CallError {
    let message = format!("The provider's response cannot be read: {what}.");
    CallError {
        status: Some(status),
        cause: Cause::Unreadable,
        ..CallError::new(Decision::Retry, message)
    }
}

/// The error status in the body of a 2xx: some gateways put it there. `None` for a
/// success.
#[must_use]
fn hidden_error(body: &Value) -> Option<u16> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let code = error.get("code").and_then(|code| {
        code.as_u64().or_else(|| code.as_str().and_then(|text| text.parse().ok()))
    });
    let code = code.and_then(|code| u16::try_from(code).ok());
    let word = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default();
    let named = || match (word("type"), word("code")) {
        ("authentication_error", _) => Some(401),
        ("permission_error", _) => Some(403),
        // The Responses API reports a failure while it answers by a code alone.
        ("rate_limit_error", _) | (_, "rate_limit_exceeded") => Some(429),
        ("overloaded_error", _) => Some(529),
        (_, "invalid_prompt") => Some(400),
        _ => None,
    };
    Some(code.filter(|code| (400..600).contains(code)).or_else(named).unwrap_or(500))
}

/// Whether the quota is certainly exhausted. "exceeded your current quota" is not
/// sufficient, because some servers use it for a limit per minute. Messages count only
/// with a fitting status: a 400 often repeats the request, which may mention money, so
/// only complete phrases of known providers count there.
fn quota_exhausted(status: u16, body: &ErrorBody, message: &str) -> bool {
    let quota_codes = [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_error",
        "billing_not_active",
        "enforced_spend_limit_reached",
    ];
    let phrases: &[&str] = match status {
        400 => &[
            "your credit balance is too low to",
            "you have reached your specified api usage limits",
        ],
        403 | 429 => &[
            "credit balance is too low",
            "spend limit",
            "spending limit",
            "specified api usage limits",
        ],
        _ => &[],
    };
    let message = message.to_ascii_lowercase();
    status == 402
        || body.has_code(&quota_codes)
        || phrases.iter().any(|phrase| message.contains(phrase))
}

fn redirect(status: u16, response: &HttpResponse, endpoint: &Endpoint) -> String {
    let to = response.headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or_default();
    // The query may contain a secret.
    let to = sanitize(to.split(['?', '#']).next().unwrap_or_default(), endpoint);
    let to = if to.is_empty() { to } else { format!(" to {to}") };
    format!(
        "The address of this connection redirects{to} ({status}); redirects are not followed. Correct the base URL."
    )
}

/// Removes a second period: provider messages often end with one.
fn single_period(message: String) -> String {
    let mut message = message;
    for pair in ["..", "!.", "?.", "…."] {
        if message.contains(pair) {
            message = message.replace(pair, &pair[..pair.len() - 1]);
        }
    }
    message
}

#[cfg(test)]
#[path = "provider_errors_tests.rs"]
mod provider_errors_tests;
#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
