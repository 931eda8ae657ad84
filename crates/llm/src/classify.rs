//! From what came back to what to do about it. Pure; the table of engine.md.

use super::http::{Answer, Transport};
use super::rate_headers::told;
use super::retry_after::retry_after;
use llm_types::{CallError, Cause, Decision, Endpoint};
use super::words::{provider_words, tidy};
use domain::{ErrorKind, Timestamp};
use serde_json::Value;

/// What a failed call means for the circuit of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Counts as a failure.
    Failure,
    /// 529: ignored, unless nothing has succeeded for a while.
    Overloaded,
    /// Says nothing about the connection's health.
    Ignored,
    /// Nothing goes through until the key is changed.
    LatchCredential,
    /// Nothing goes through until there is money again.
    LatchQuota,
    /// This one model is closed to this key.
    LatchModel,
}

/// What an error means for the circuit.
#[must_use]
pub fn effect(error: &CallError) -> Effect {
    match (error.decision, error.status) {
        (Decision::Retry, _) => Effect::Failure,
        (Decision::Wait { overloaded: true, .. }, _) => Effect::Overloaded,
        (Decision::Wait { .. }, _) => Effect::Ignored,
        (Decision::GiveUp(ErrorKind::CredentialInvalid), _) => Effect::LatchCredential,
        (Decision::GiveUp(ErrorKind::QuotaExhausted), _) => Effect::LatchQuota,
        (Decision::GiveUp(ErrorKind::ProviderRejected), Some(403)) => Effect::LatchModel,
        (Decision::GiveUp(_), _) => Effect::Ignored,
    }
}

/// The decision about an answer that is not a success (a 2xx that carries an
/// `error` in its body goes through here too, with the status it names).
#[must_use]
pub fn answer(answer: &Answer, endpoint: &Endpoint, model: &str, now: Timestamp) -> CallError {
    let status = answer.status;
    let words = provider_words(&answer.body, endpoint);
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    let marks = marks(&answer.body);
    let (cause, decision, message) = match status {
        _ if (400..500).contains(&status) && out_of_money(status, &marks, &words) => (
            Cause::Quota,
            Decision::GiveUp(ErrorKind::QuotaExhausted),
            format!(
                "The account behind this connection has nothing left to spend ({status}){said}. Top it up or raise its limit."
            ),
        ),
        401 => (
            Cause::Unauthorized,
            Decision::GiveUp(ErrorKind::CredentialInvalid),
            format!(
                "The provider does not accept the key of this connection (401){said}. Enter a valid key."
            ),
        ),
        403 => (
            Cause::Forbidden,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!("The key of this connection may not use the model {model:?} (403){said}."),
        ),
        408 => (
            Cause::ServerError,
            Decision::Retry,
            format!("The provider gave up waiting (408){said}."),
        ),
        429 => (
            Cause::RateLimited,
            Decision::Wait { until: retry_after(&answer.headers, now), overloaded: false },
            format!("The provider's rate limit is reached (429){said}."),
        ),
        529 => (
            Cause::Overloaded,
            Decision::Wait { until: retry_after(&answer.headers, now), overloaded: true },
            format!("The provider is overloaded (529){said}."),
        ),
        300..=399 => (
            Cause::Redirect,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            redirect(answer, endpoint),
        ),
        404 => (
            Cause::Rejected,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!(
                "The provider does not know the address or the model {model:?} (404){said}. Check the base URL of the connection and the model's name."
            ),
        ),
        400..=499 => (
            Cause::Rejected,
            Decision::GiveUp(ErrorKind::ProviderRejected),
            format!("The provider rejected the request ({status}){said}."),
        ),
        500..=599 => {
            (Cause::ServerError, Decision::Retry, format!("The provider failed ({status}){said}."))
        }
        _ => (
            Cause::ServerError,
            Decision::Retry,
            format!("The provider's answer makes no sense (status {status}){said}."),
        ),
    };
    CallError {
        decision,
        message: one_full_stop(message),
        words,
        status: Some(status),
        cause,
        told: told(&answer.headers, now),
    }
}

/// The decision about an answer that never came, or not whole.
#[must_use]
pub fn transport(failure: &Transport, endpoint: &Endpoint) -> CallError {
    let refused = Decision::GiveUp(ErrorKind::ProviderRejected);
    let (cause, decision) = match failure {
        Transport::Forbidden(_) | Transport::Unusable(_) => (Cause::Unsent, refused),
        Transport::Connect(_) => (Cause::Connect, Decision::Retry),
        Transport::Idle(_) => (Cause::Timeout, Decision::Retry),
        Transport::Cut(_) => (Cause::Cut, Decision::Retry),
        Transport::TooLarge(_) => (Cause::TooLarge, Decision::Retry),
    };
    CallError { cause, ..CallError::new(decision, tidy(&failure.to_string(), endpoint)) }
}

/// A 2xx whose body is not JSON, or JSON of another kind: something between
/// us and the model answered, or the answer was cut.
#[must_use]
pub fn not_an_answer(status: u16, what: &str) -> CallError {
    let message = format!("The provider's answer cannot be read: {what}.");
    CallError {
        status: Some(status),
        cause: Cause::Unreadable,
        ..CallError::new(Decision::Retry, message)
    }
}

/// What an answer with status 2xx that is an error after all stands for:
/// some gateways put the status into the body. `None` for a real answer.
#[must_use]
pub fn hidden_error(body: &Value) -> Option<u16> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let code = error.get("code").and_then(|code| {
        code.as_u64().or_else(|| code.as_str().and_then(|text| text.parse().ok()))
    });
    let code = code.and_then(|code| u16::try_from(code).ok());
    let named = || match error.get("type").and_then(Value::as_str)? {
        "authentication_error" => Some(401),
        "permission_error" => Some(403),
        "rate_limit_error" => Some(429),
        "overloaded_error" => Some(529),
        _ => None,
    };
    Some(code.filter(|code| (400..600).contains(code)).or_else(named).unwrap_or(500))
}

/// `error.type`, `error.code`, `error.status`: words meant for programs.
fn marks(body: &[u8]) -> Vec<String> {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let places = ["/error/type", "/error/code", "/error/status", "/type", "/code"];
    places.iter().filter_map(|place| json.pointer(place)?.as_str().map(str::to_owned)).collect()
}

/// Only what is certain: "exceeded your current quota" is what some servers
/// say of a limit per minute, so it counts only with the mark beside it. Words
/// alone count only with a status that fits: a 400 often repeats what it was
/// sent, which may speak of money; there only whole sentences of a provider do.
fn out_of_money(status: u16, marks: &[String], words: &str) -> bool {
    let certain = ["insufficient_quota", "billing_hard_limit_reached", "billing_error"];
    let said: &[&str] = match status {
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
    let words = words.to_ascii_lowercase();
    status == 402
        || marks.iter().any(|mark| certain.contains(&mark.as_str()))
        || said.iter().any(|phrase| words.contains(phrase))
}

fn redirect(answer: &Answer, endpoint: &Endpoint) -> String {
    let status = answer.status;
    let to = answer.headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or_default();
    // What follows a question mark may be a secret of the other side.
    let to = tidy(to.split(['?', '#']).next().unwrap_or_default(), endpoint);
    let to = if to.is_empty() { to } else { format!(" to {to}") };
    format!(
        "The address of this connection redirects{to} ({status}); redirects are not followed. Correct the base URL."
    )
}

/// The provider's sentence often brings a full stop of its own.
fn one_full_stop(message: String) -> String {
    let mut message = message;
    for pair in ["..", "!.", "?.", "…."] {
        if message.contains(pair) {
            message = message.replace(pair, &pair[..pair.len() - 1]);
        }
    }
    message
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
