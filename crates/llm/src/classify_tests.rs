//! Tests of the decisions, effects and messages.

use super::*;
use crate::testing::{chat_request, endpoint};
use Decision::{GiveUp, Retry};
use ErrorKind::{CredentialInvalid, ProviderRejected, QuotaExhausted};
use rstest::rstest;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);

fn check(status: u16, headers: &[(&'static str, &str)], body: &str) -> CallError {
    let mut response = HttpResponse { status, body: body.into(), ..HttpResponse::default() };
    for (name, value) in headers {
        response.headers.insert(*name, value.parse().expect("a header value"));
    }
    error_response(status, &response, &endpoint("http://x"), "m-1", NOW)
}

#[rstest]
#[case(500, "", Retry, Effect::Failure)]
#[case(502, "<html>", Retry, Effect::Failure)]
#[case(503, "", Retry, Effect::Failure)]
#[case(504, "", Retry, Effect::Failure)]
#[case(599, "", Retry, Effect::Failure)]
#[case(408, "", Retry, Effect::Failure)]
#[case(401, "{}", GiveUp(CredentialInvalid), Effect::SuspendCredential)]
#[case(403, "{}", GiveUp(ProviderRejected), Effect::SuspendModel)]
#[case(402, "", GiveUp(QuotaExhausted), Effect::SuspendQuota)]
#[case(
    429,
    r#"{"error":{"code":"insufficient_quota"}}"#,
    GiveUp(QuotaExhausted),
    Effect::SuspendQuota
)]
#[case(
    429,
    r#"{"error":{"type":"insufficient_quota"}}"#,
    GiveUp(QuotaExhausted),
    Effect::SuspendQuota
)]
#[case(
    400,
    r#"{"error":{"message":"Your credit balance is too low to use the API"}}"#,
    GiveUp(QuotaExhausted),
    Effect::SuspendQuota
)]
#[case(
    400,
    r#"{"error":{"message":"You have reached your specified API usage limits."}}"#,
    GiveUp(QuotaExhausted),
    Effect::SuspendQuota
)]
#[case(
    403,
    r#"{"error":{"message":"Monthly spend limit reached"}}"#,
    GiveUp(QuotaExhausted),
    Effect::SuspendQuota
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
    Effect::SuspendQuota
)]
#[case(400, r#"{"error":{"message":"bad"}}"#, GiveUp(ProviderRejected), Effect::Ignored)]
#[case(404, "", GiveUp(ProviderRejected), Effect::Ignored)]
#[case(409, "", GiveUp(ProviderRejected), Effect::Ignored)]
#[case(413, "", GiveUp(ProviderRejected), Effect::Ignored)]
#[case(422, "", GiveUp(ProviderRejected), Effect::Ignored)]
#[case(301, "", GiveUp(ProviderRejected), Effect::Ignored)]
#[case(304, "", GiveUp(ProviderRejected), Effect::Ignored)]
#[case(307, "", GiveUp(ProviderRejected), Effect::Ignored)]
fn decision_and_effect_by_status(
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
fn throttling_is_a_wait(
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
fn should_retry_header_is_ignored() {
    for flag in ["true", "false"] {
        assert_eq!(check(500, &[("x-should-retry", flag)], "").decision, Retry);
        let rejected = check(400, &[("x-should-retry", flag)], "");
        assert_eq!(rejected.decision, GiveUp(ProviderRejected));
    }
}

#[rstest]
#[case(TransportError::Connect("refused".into()), Retry)]
#[case(TransportError::IdleTimeout(Duration::from_secs(30)), Retry)]
#[case(TransportError::Truncated("end of file".into()), Retry)]
#[case(TransportError::TooLarge(10), Retry)]
#[case(TransportError::Forbidden("10.0.0.1".into()), GiveUp(ProviderRejected))]
#[case(TransportError::Unusable("relative URL".into()), GiveUp(ProviderRejected))]
fn transport_failures(#[case] failure: TransportError, #[case] decision: Decision) {
    let error = transport_error(&failure, &endpoint("http://x"));
    assert_eq!((error.decision, error.status), (decision, None));
}

#[test]
fn messages_name_the_remedy() {
    let error = check(403, &[], r#"{"error":{"message":"no access."}}"#);
    assert_eq!(
        error.message,
        "The key of this connection may not use the model \"m-1\" (403): no access."
    );
    let error = check(308, &[("location", "https://y/v1?token=1")], "");
    assert!(error.message.contains("to https://y/v1 (308)"), "{}", error.message);
}

#[test]
fn error_body_of_success_status_is_detected() {
    let read = |text: &str| hidden_error(&serde_json::from_str(text).expect("JSON"));
    assert_eq!(read(r#"{"error":{"code":429}}"#), Some(429));
    assert_eq!(read(r#"{"error":{"code":"502"}}"#), Some(502));
    assert_eq!(read(r#"{"error":"broken"}"#), Some(500));
    assert_eq!(read(r#"{"type":"error","error":{"type":"overloaded_error"}}"#), Some(529));
    assert_eq!(read(r#"{"error":{"type":"rate_limit_error","code":null}}"#), Some(429));
    assert_eq!(read(r#"{"status":"failed","error":{"code":"rate_limit_exceeded"}}"#), Some(429));
    assert_eq!(read(r#"{"status":"failed","error":{"code":"server_error"}}"#), Some(500));
    assert_eq!(read(r#"{"status":"failed","error":{"code":"invalid_prompt"}}"#), Some(400));
    assert_eq!(read(r#"{"error":null,"choices":[]}"#), None);
    assert_eq!(read(r#"{"choices":[]}"#), None);
}

#[test]
fn key_in_a_successful_reply_is_masked() {
    let message = r#"{"role": "assistant", "content": "Your key is test-key."}"#;
    let body = format!(r#"{{"choices": [{{"finish_reason": "stop", "message": {message}}}]}}"#);
    let response = HttpResponse { status: 200, body: body.into_bytes(), ..Default::default() };
    let (endpoint, request) = (endpoint("http://x"), chat_request("Hello"));
    let read = crate::openai_wire::read;
    let reply = super::reply(&response, &endpoint, &request, Timestamp(0), read);
    assert_eq!(reply.expect("a reply").text, "Your key is [key].");
}
