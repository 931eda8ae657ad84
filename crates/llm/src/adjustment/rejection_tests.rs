//! Decisions for the error bodies of known servers.

use super::*;
use crate::testing::chat_request;
use ConnectionKind::{Anthropic, OpenAi};
use llm_types::{OutputSchema, ToolSpec};
use rstest::rstest;
use serde_json::json;

/// A request with everything that a server may reject.
fn full() -> ChatRequest {
    let tool = ToolSpec {
        name: "end_conversation".into(),
        description: String::new(),
        parameters: json!({}),
    };
    ChatRequest {
        temperature: Some(0.5),
        reasoning_effort: Some(domain::ReasoningEffort::Low),
        max_tokens: 16_000,
        tools: vec![tool],
        tools_optional: true,
        ..chat_request("hi")
    }
}

fn structured() -> ChatRequest {
    let output = OutputSchema { name: "evaluation".into(), schema: json!({"type": "object"}) };
    ChatRequest { output: Some(output), tools: vec![], ..full() }
}

fn next(
    kind: ConnectionKind,
    status: u16,
    body: &str,
    request: &ChatRequest,
) -> Option<Adjustments> {
    let next = next_adjustment((status, body.as_bytes()), kind, request, &Adjustments::default())?;
    Some(next.adjustments)
}

fn dropped(field: Field) -> Option<Adjustments> {
    Some(with_dropped(&Adjustments::default(), field))
}

#[rstest]
#[case::openai_temperature(OpenAi, 400, r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#, Field::Temperature)]
#[case::claude_temperature(Anthropic, 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` is deprecated for this model."}}"#, Field::Temperature)]
#[case::claude_thinking(Anthropic, 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` may only be set to 1 when thinking is enabled."}}"#, Field::Temperature)]
#[case::mistral_temperature(OpenAi, 422, r#"{"detail":[{"type":"extra_forbidden","loc":["body","temperature"],"msg":"Extra inputs are not permitted"}]}"#, Field::Temperature)]
#[case::openai_effort(OpenAi, 400, r#"{"error":{"message":"Unsupported parameter: 'reasoning_effort' is not supported with this model.","type":"invalid_request_error","param":"reasoning_effort","code":"unsupported_parameter"}}"#, Field::ReasoningEffort)]
#[case::groq_effort(OpenAi, 400, r#"{"error":{"message":"`reasoning_effort` is not supported with this model","type":"invalid_request_error","param":"reasoning_effort"}}"#, Field::ReasoningEffort)]
#[case::claude_effort(Anthropic, 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"output_config.effort: Extra inputs are not permitted"}}"#, Field::ReasoningEffort)]
#[case::openai_stream(OpenAi, 400, r#"{"error":{"message":"Your organization must be verified to stream this model.","type":"invalid_request_error","param":"stream","code":"unsupported_value"}}"#, Field::Stream)]
#[case::old_stream_options(OpenAi, 400, r#"{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error","param":null,"code":null}}"#, Field::Stream)]
#[case::ollama_tools(OpenAi, 400, r#"{"error":{"message":"registry.ollama.ai/library/gemma:2b does not support tools","type":"api_error","param":null,"code":null}}"#, Field::Tools)]
#[case::vllm_tools(OpenAi, 400, r#"{"object":"error","message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","param":null,"code":400}"#, Field::Tools)]
#[case::openrouter_tools(
    OpenAi,
    404,
    r#"{"error":{"message":"No endpoints found that support tool use.","code":404}}"#,
    Field::Tools
)]
#[case::llama_cpp_tools(
    OpenAi,
    500,
    r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
    Field::Tools
)]
fn rejected_field_is_dropped(
    #[case] kind: ConnectionKind,
    #[case] status: u16,
    #[case] body: &str,
    #[case] field: Field,
) {
    assert_eq!(next(kind, status, body, &full()), dropped(field));
    let tried = dropped(field).expect("adjustments");
    let again = next_adjustment((status, body.as_bytes()), kind, &full(), &tried);
    assert!(again.is_none_or(|next| next.adjustments != tried), "it is dropped once");
}

#[test]
fn tools_of_the_agent_are_never_dropped() {
    let body = r#"{"error":{"message":"gemma does not support tools"}}"#;
    let request = ChatRequest { tools_optional: false, ..full() };
    assert_eq!(next(OpenAi, 400, body, &request), None);
}

#[rstest]
#[case::openai(r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#)]
#[case::gateway(r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","code":"invalid_request_body"}}"#)]
fn name_of_the_limit_changes_once(#[case] body: &str) {
    let other = Adjustments { other_limit_name: true, ..Adjustments::default() };
    assert_eq!(next(OpenAi, 400, body, &full()), Some(other.clone()));
    assert_eq!(next_adjustment((400, body.as_bytes()), OpenAi, &full(), &other), None);
    assert_eq!(next(Anthropic, 400, body, &full()), None, "the protocol has one name");
}

#[test]
fn allowed_limit_is_obeyed_and_that_of_one_prompt_not_remembered() {
    let next = |message: &str| {
        let body = json!({"error": {"message": message, "param": "max_tokens"}}).to_string();
        next_adjustment((400, body.as_bytes()), OpenAi, &full(), &Adjustments::default())
    };
    let limited = |tokens| Adjustments { max_tokens: Some(tokens), ..Adjustments::default() };
    let of_model =
        next("max_tokens is too large: 16000. This model supports at most 4096 completion tokens.");
    assert_eq!(of_model, Some(NextAdjustment { adjustments: limited(4096), lasting: true }));
    let of_prompt = next("'max_tokens' is too large: 16000 (16000 > 4096 - 1200).");
    assert_eq!(of_prompt, Some(NextAdjustment { adjustments: limited(2896), lasting: false }));
}

#[rstest]
#[case::claude_old(Anthropic, 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"output_config.format: Extra inputs are not permitted"}}"#, OutputForm::ForcedTool)]
#[case::claude_no_support(Anthropic, 400, r#"{"type":"error","error":{"type":"invalid_request_error","message":"'claude-3-haiku-20240307' does not support output format."}}"#, OutputForm::ForcedTool)]
#[case::openai_old(OpenAi, 400, r#"{"error":{"message":"Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.","type":"invalid_request_error","param":null,"code":null}}"#, OutputForm::Prompt)]
#[case::groq(OpenAi, 400, r#"{"error":{"message":"This model does not support response format `json_schema`.","type":"invalid_request_error","param":"response_format"}}"#, OutputForm::Prompt)]
#[case::strict_fastapi(
    OpenAi,
    422,
    r#"{"detail":[{"loc":["body","response_format","type"],"msg":"unexpected value"}]}"#,
    OutputForm::Prompt
)]
#[case::anything(OpenAi, 400, "", OutputForm::Prompt)]
fn structured_output_falls_back(
    #[case] kind: ConnectionKind,
    #[case] status: u16,
    #[case] body: &str,
    #[case] output: OutputForm,
) {
    let request = ChatRequest { temperature: None, ..structured() };
    assert_eq!(
        next(kind, status, body, &request),
        Some(Adjustments { output, ..Adjustments::default() })
    );
    let last = Adjustments { output: OutputForm::Prompt, ..Adjustments::default() };
    assert_eq!(next_adjustment((status, body.as_bytes()), kind, &request, &last), None);
}

#[test]
fn forced_tool_falls_back_to_the_prompt() {
    let body = r#"{"error":{"type":"invalid_request_error","message":"tool_choice: forced tools are not supported"}}"#;
    let tried = Adjustments { output: OutputForm::ForcedTool, ..Adjustments::default() };
    let next = next_adjustment((400, body.as_bytes()), Anthropic, &structured(), &tried);
    assert_eq!(next.map(|next| next.adjustments.output), Some(OutputForm::Prompt));
}

#[rstest]
#[case::context(400, r#"{"error":{"message":"maximum context length is 8192 tokens; temperature is unsupported","code":"context_length_exceeded"}}"#)]
#[case::filter(400, r#"{"error":{"message":"filtered","code":"content_filter"}}"#)]
#[case::key(
    400,
    r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#
)]
#[case::other_field(400, r#"{"error":{"message":"Invalid 'messages[0]'","param":"messages[0].content","code":"invalid_type"}}"#)]
#[case::unauthorized(
    401,
    r#"{"error":{"message":"temperature is not supported","param":"temperature"}}"#
)]
#[case::outage(500, r#"{"error":{"message":"Internal error"}}"#)]
#[case::not_json(400, "temperature and max_tokens")]
fn other_errors_are_final(#[case] status: u16, #[case] body: &str) {
    let request = ChatRequest { output: None, ..full() };
    assert_eq!(next(OpenAi, status, body, &request), None);
}

#[rstest]
#[case::output_limit_is_the_cause("Limit 6000, Requested 12328", false, Some(9672))]
#[case::chosen_by_the_user("Limit 6000, Requested 12328", true, None)]
#[case::prompt_is_the_cause("Limit 6000, Requested 40000", false, None)]
#[case::no_numbers("Limit reached", false, None)]
fn request_fits_into_the_tokens_per_minute(
    #[case] numbers: &str,
    #[case] fixed_limit: bool,
    #[case] limit: Option<u32>,
) {
    let message = format!("Request too large for model m on tokens per minute (TPM): {numbers}");
    let body = json!({"error": {"message": message, "code": "rate_limit_exceeded"}}).to_string();
    let request = ChatRequest { fixed_limit, ..full() };
    let known = Adjustments::default();
    let next = next_adjustment((413, body.as_bytes()), OpenAi, &request, &known);
    assert_eq!(
        next.map(|next| (next.adjustments.max_tokens, next.lasting)),
        limit.map(|n| (Some(n), false))
    );
}

#[test]
fn bounds_of_an_output_schema_are_dropped_before_the_schema() {
    let schema = json!({"type": "object", "properties": {
        "maxItems": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 400}}}});
    let output = OutputSchema { name: "evaluation".into(), schema };
    let request = ChatRequest { output: Some(output), ..structured() };
    let message = "Invalid schema for response_format 'evaluation': 'maxLength' is not permitted.";
    let body = json!({"error": {"message": message, "param": "response_format"}}).to_string();
    let first = next(OpenAi, 400, &body, &request).expect("an adjustment");
    assert_eq!(first.output, OutputForm::Native);
    let sent = first.apply(&request).output.expect("a schema").schema;
    let plain = json!({"type": "object", "properties": {
        "maxItems": {"type": "array", "items": {"type": "string"}}}});
    assert_eq!(sent, plain);
    let second = next_adjustment((400, body.as_bytes()), OpenAi, &request, &first);
    assert_eq!(second.map(|next| next.adjustments.output), Some(OutputForm::Prompt));
}
