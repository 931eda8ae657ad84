//! One recorded error per provider and case, and the decision for it.

use super::*;
use crate::error_body::ErrorBody;
use crate::testing::endpoint;
use Decision::{GiveUp, Retry, Wait};
use ErrorKind::{CredentialInvalid, ProviderRejected, QuotaExhausted};
use rstest::rstest;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);
const OVERLOADED: Decision = Wait { until: None, overloaded: true };
const THROTTLED: Decision = Wait { until: None, overloaded: false };

fn throttled_for(seconds: u64) -> Decision {
    Wait { until: Some(NOW.plus(Duration::from_secs(seconds))), overloaded: false }
}

fn response(status: u16, retry_after: Option<&str>, body: &str) -> HttpResponse {
    let mut response = HttpResponse { status, body: body.into(), ..HttpResponse::default() };
    if let Some(value) = retry_after {
        response.headers.insert("retry-after", value.parse().expect("a header value"));
    }
    response
}

#[rstest]
#[case::openai_key(401, None, r#"{"error":{"message":"Incorrect API key provided: sk-x.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#, GiveUp(CredentialInvalid))]
#[case::openai_rate(429, None, r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, THROTTLED)]
#[case::openai_too_large(429, None, r#"{"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40000. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, GiveUp(ProviderRejected))]
#[case::openai_billing(429, None, r#"{"error":{"message":"Your account is not active, please check your billing details on our website.","type":"billing_not_active","param":null,"code":"billing_not_active"}}"#, GiveUp(QuotaExhausted))]
#[case::openai_quota(429, None, r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#, GiveUp(QuotaExhausted))]
#[case::openai_region(403, None, r#"{"error":{"message":"Country, region, or territory not supported","type":"request_forbidden","param":null,"code":"unsupported_country_region_territory"}}"#, GiveUp(ProviderRejected))]
#[case::anthropic_overloaded(
    529,
    None,
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    OVERLOADED
)]
#[case::anthropic_rate(429, Some("12"), r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 50,000 input tokens per minute"}}"#, throttled_for(12))]
#[case::anthropic_too_large(413, None, r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#, GiveUp(ProviderRejected))]
#[case::anthropic_credit(400, None, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#, GiveUp(QuotaExhausted))]
#[case::gemini_key(400, None, r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]"#, GiveUp(CredentialInvalid))]
#[case::gemini_rate(429, None, r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#, throttled_for(34))]
#[case::gemini_overloaded(503, None, r#"[{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}]"#, Retry)]
#[case::azure_key(401, None, r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#, GiveUp(CredentialInvalid))]
#[case::azure_rate(429, Some("3"), r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded call rate limit."}}"#, throttled_for(3))]
#[case::azure_deployment(404, None, r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#, GiveUp(ProviderRejected))]
#[case::openrouter_credit(402, None, r#"{"error":{"message":"Insufficient credits. Add more using https://openrouter.ai/credits","code":402}}"#, GiveUp(QuotaExhausted))]
#[case::openrouter_credit_for_now(
    402,
    Some("30"),
    r#"{"error":{"message":"This request requires more credits for now","code":402}}"#,
    throttled_for(30)
)]
#[case::openrouter_upstream(502, None, r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"provider_name":"x"}}}"#, Retry)]
#[case::groq_capacity(498, None, r#"{"error":{"message":"Flex tier capacity exceeded","type":"capacity_exceeded","code":"capacity_exceeded"}}"#, OVERLOADED)]
#[case::groq_too_large(413, None, r#"{"error":{"message":"Request too large for model `llama-3.1-8b-instant` in organization `org_x` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9000","type":"tokens","code":"rate_limit_exceeded"}}"#, GiveUp(ProviderRejected))]
#[case::mistral_key(401, None, r#"{"detail":"Unauthorized"}"#, GiveUp(CredentialInvalid))]
#[case::mistral_rate(429, None, r#"{"object":"error","message":"Requests rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}"#, THROTTLED)]
#[case::ollama_model(404, None, r#"{"error":{"message":"model \"x\" not found, try pulling it first","type":"not_found_error","param":null,"code":null}}"#, GiveUp(ProviderRejected))]
#[case::vllm_model(404, None, r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#, GiveUp(ProviderRejected))]
#[case::llama_cpp_loading(
    503,
    None,
    r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
    Retry
)]
#[case::lm_studio_model(404, None, r#"{"error":{"message":"Failed to load model \"x\"","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#, GiveUp(ProviderRejected))]
fn error_of_a_provider(
    #[case] status: u16,
    #[case] retry_after: Option<&str>,
    #[case] body: &str,
    #[case] decision: Decision,
) {
    let response = response(status, retry_after, body);
    let error = error_response(status, &response, &endpoint("http://x"), "m-1", NOW);
    assert_eq!(error.decision, decision, "{}", error.message);
    assert!(!ErrorBody::parse(body.as_bytes()).is_content_filter(status));
}

#[rstest]
#[case::azure(400, r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#)]
#[case::openai(400, r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#)]
#[case::openrouter(403, r#"{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"I will...","provider_name":"x","model_slug":"y"}}}"#)]
#[case::anthropic(400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#)]
#[case::hidden_in_a_success(
    200,
    r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["x"]}}}"#
)]
fn content_filter_is_a_blank_reply(#[case] status: u16, #[case] body: &str) {
    let request = crate::testing::chat_request("hi");
    let response = response(status, None, body);
    let read = crate::openai_wire::read;
    let reply = super::reply(&response, &endpoint("http://x"), &request, NOW, read);
    let reply = reply.expect("a turn, not an error");
    assert_eq!((reply.text.as_str(), reply.finish), ("", FinishReason::ContentFilter));
}
