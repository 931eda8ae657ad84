//! From what came back to what to do about it. Pure; the table of engine.md.

use super::http::{Answer, Transport};
use super::rate_headers::told;
use super::retry_after::retry_after;
use super::types::{CallError, Cause, Decision, Endpoint};
use super::words::{provider_words, tidy};
use app::domain::{ErrorKind, Timestamp};
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
mod tests {
    use super::*;
    use crate::llm::testing::endpoint;
    use Decision::{GiveUp, Retry};
    use ErrorKind::{CredentialInvalid, ProviderRejected, QuotaExhausted};
    use rstest::rstest;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn check(status: u16, headers: &[(&'static str, &str)], body: &str) -> CallError {
        let mut answer = Answer { status, body: body.into(), ..Answer::default() };
        for (name, value) in headers {
            answer.headers.insert(*name, value.parse().expect("a header value"));
        }
        super::answer(&answer, &endpoint("http://x"), "m-1", NOW)
    }

    #[rstest]
    #[case(500, "", Retry, Effect::Failure)]
    #[case(502, "<html>", Retry, Effect::Failure)]
    #[case(503, "", Retry, Effect::Failure)]
    #[case(504, "", Retry, Effect::Failure)]
    #[case(599, "", Retry, Effect::Failure)]
    #[case(408, "", Retry, Effect::Failure)]
    #[case(401, "{}", GiveUp(CredentialInvalid), Effect::LatchCredential)]
    #[case(403, "{}", GiveUp(ProviderRejected), Effect::LatchModel)]
    #[case(402, "", GiveUp(QuotaExhausted), Effect::LatchQuota)]
    #[case(
        429,
        r#"{"error":{"code":"insufficient_quota"}}"#,
        GiveUp(QuotaExhausted),
        Effect::LatchQuota
    )]
    #[case(
        429,
        r#"{"error":{"type":"insufficient_quota"}}"#,
        GiveUp(QuotaExhausted),
        Effect::LatchQuota
    )]
    #[case(
        400,
        r#"{"error":{"message":"Your credit balance is too low to use the API"}}"#,
        GiveUp(QuotaExhausted),
        Effect::LatchQuota
    )]
    #[case(
        400,
        r#"{"error":{"message":"You have reached your specified API usage limits."}}"#,
        GiveUp(QuotaExhausted),
        Effect::LatchQuota
    )]
    #[case(
        403,
        r#"{"error":{"message":"Monthly spend limit reached"}}"#,
        GiveUp(QuotaExhausted),
        Effect::LatchQuota
    )]
    #[case(
        400,
        r#"{"error":{"message":"Invalid input: \"What is my spending limit? I hit a spend limit\""}}"#,
        GiveUp(ProviderRejected),
        Effect::Ignored
    )]
    #[case(
        400,
        r#"{"error":{"message":"Invalid input: \"it says credit balance is too low\""}}"#,
        GiveUp(ProviderRejected),
        Effect::Ignored
    )]
    #[case(
        422,
        r#"{"error":{"message":"Your credit balance is too low to use the API"}}"#,
        GiveUp(ProviderRejected),
        Effect::Ignored
    )]
    #[case(
        400,
        r#"{"error":{"type":"billing_error","message":"spend limit"}}"#,
        GiveUp(QuotaExhausted),
        Effect::LatchQuota
    )]
    #[case(400, r#"{"error":{"message":"bad"}}"#, GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(404, "", GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(409, "", GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(413, "", GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(422, "", GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(301, "", GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(304, "", GiveUp(ProviderRejected), Effect::Ignored)]
    #[case(307, "", GiveUp(ProviderRejected), Effect::Ignored)]
    fn table(
        #[case] status: u16,
        #[case] body: &str,
        #[case] decision: Decision,
        #[case] on_circuit: Effect,
    ) {
        let error = check(status, &[], body);
        assert_eq!(error.decision, decision);
        assert_eq!(effect(&error), on_circuit);
        assert_eq!(error.status, Some(status));
        assert!(error.message.ends_with('.'), "{}", error.message);
    }

    #[rstest]
    #[case(429, &[("retry-after", "7")], Some(7_000), false)]
    #[case(429, &[("retry-after-ms", "250")], Some(250), false)]
    #[case(429, &[("retry-after", "Thu, 01 Jan 1970 00:17:00 GMT")], Some(20_000), false)]
    #[case(429, &[], None, false)]
    #[case(529, &[("retry-after", "3")], Some(3_000), true)]
    #[case(529, &[], None, true)]
    fn waits(
        #[case] status: u16,
        #[case] headers: &[(&'static str, &str)],
        #[case] millis: Option<u64>,
        #[case] overloaded: bool,
    ) {
        let until = millis.map(|millis| NOW.plus(Duration::from_millis(millis)));
        let error =
            check(status, headers, r#"{"error":{"message":"You exceeded your current quota"}}"#);
        assert_eq!(error.decision, Decision::Wait { until, overloaded });
        let on_circuit = if overloaded { Effect::Overloaded } else { Effect::Ignored };
        assert_eq!(effect(&error), on_circuit);
    }

    #[test]
    fn should_retry_of_the_provider_is_not_read() {
        for flag in ["true", "false"] {
            assert_eq!(check(500, &[("x-should-retry", flag)], "").decision, Retry);
            let rejected = check(400, &[("x-should-retry", flag)], "");
            assert_eq!(rejected.decision, GiveUp(ProviderRejected));
        }
    }

    #[rstest]
    #[case(Transport::Connect("refused".into()), Retry)]
    #[case(Transport::Idle(Duration::from_secs(30)), Retry)]
    #[case(Transport::Cut("end of file".into()), Retry)]
    #[case(Transport::TooLarge(10), Retry)]
    #[case(Transport::Forbidden("10.0.0.1".into()), GiveUp(ProviderRejected))]
    #[case(Transport::Unusable("relative URL".into()), GiveUp(ProviderRejected))]
    fn transport_failures(#[case] failure: Transport, #[case] decision: Decision) {
        let error = transport(&failure, &endpoint("http://x"));
        assert_eq!((error.decision, error.status), (decision, None));
    }

    #[test]
    fn sentences_name_what_helps() {
        let error = check(403, &[], r#"{"error":{"message":"no access."}}"#);
        assert_eq!(
            error.message,
            "The key of this connection may not use the model \"m-1\" (403): no access."
        );
        let error = check(308, &[("location", "https://y/v1?token=1")], "");
        assert!(error.message.contains("to https://y/v1 (308)"), "{}", error.message);
    }

    #[test]
    fn an_error_inside_a_success_is_found() {
        let read = |text: &str| hidden_error(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(read(r#"{"error":{"code":429}}"#), Some(429));
        assert_eq!(read(r#"{"error":{"code":"502"}}"#), Some(502));
        assert_eq!(read(r#"{"error":"broken"}"#), Some(500));
        assert_eq!(read(r#"{"type":"error","error":{"type":"overloaded_error"}}"#), Some(529));
        assert_eq!(read(r#"{"error":{"type":"rate_limit_error","code":null}}"#), Some(429));
        assert_eq!(read(r#"{"error":null,"choices":[]}"#), None);
        assert_eq!(read(r#"{"choices":[]}"#), None);
    }
}
