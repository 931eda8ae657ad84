//! The capabilities that a connection test tries: what each call asks the model, and what
//! its outcome means for the user. Pure.

use domain::{Capability, CapabilityStatus, CapabilityTest, ErrorKind, ModelOptions};
use llm::reasoning::TEST_FLOOR;
use llm::{CallError, ChatReply, ChatRequest, Decision, Message, OutputSchema, ToolSpec};
use serde_json::{Value, json};

/// The token limit of a reply. It is higher for reasoning models.
const MAX_TOKENS: u32 = 256;
const TOOL: &str = "get_opening_hours";
const WORD: &str = "ready";

/// The request that tests a capability.
pub(crate) fn request_of(capability: Capability, model: &str) -> ChatRequest {
    let question = match capability {
        Capability::Reply => "Answer with the single word: ready".to_owned(),
        Capability::Tools => format!("When are you open on Monday? Call the tool {TOOL} now."),
        Capability::StructuredOutput => format!("Set the field answer to the word: {WORD}"),
    };
    let day = json!({ "type": "object", "properties": { "day": { "type": "string" } },
        "required": ["day"], "additionalProperties": false });
    let tool = ToolSpec {
        name: TOOL.to_owned(),
        description: "Returns the opening hours of a day of the week.".to_owned(),
        parameters: day,
    };
    let answer = json!({ "type": "object", "properties": { "answer": { "type": "string" } },
        "required": ["answer"], "additionalProperties": false });
    let output = OutputSchema { name: "connection_test".to_owned(), schema: answer };
    ChatRequest {
        model: model.to_owned(),
        messages: vec![Message::User(question)],
        max_tokens: MAX_TOKENS,
        tools: if capability == Capability::Tools { vec![tool] } else { Vec::new() },
        output: (capability == Capability::StructuredOutput).then_some(output),
        ..ChatRequest::default()
    }
    .with_options(&ModelOptions::default(), TEST_FLOOR)
}

/// What a reply means.
pub(crate) fn outcome_of_reply(
    capability: Capability,
    reply: &ChatReply,
) -> (CapabilityStatus, String) {
    let millis = reply.latency.as_millis();
    match capability {
        Capability::Reply => {
            (CapabilityStatus::Passed, format!("The model answered in {millis} ms."))
        }
        Capability::Tools if reply.tool_calls.iter().any(|call| call.name == TOOL) => {
            (CapabilityStatus::Passed, format!("The model called a tool in {millis} ms."))
        }
        Capability::Tools => (
            CapabilityStatus::Failed,
            "The model did not call the required tool: agents with tools may not \
             work with this model."
                .to_owned(),
        ),
        Capability::StructuredOutput if has_answer(&reply.text) => {
            (CapabilityStatus::Passed, format!("The model filled in a JSON schema in {millis} ms."))
        }
        Capability::StructuredOutput => (
            CapabilityStatus::Failed,
            "The model did not answer in the required JSON format: it cannot judge, and it cannot \
             play simulated users."
                .to_owned(),
        ),
    }
}

/// What a failed call means. The other calls follow a plain reply, so a request
/// that is rejected there is rejected because of its tools or its output schema.
pub(crate) fn outcome_of_error(
    capability: Capability,
    error: &CallError,
) -> (CapabilityStatus, String) {
    let is_unsupported = matches!(error.status, Some(400 | 404 | 405 | 415 | 422 | 500 | 501));
    let meaning = match capability {
        Capability::Reply => return (CapabilityStatus::Failed, error.message.clone()),
        Capability::Tools => {
            "Tools are not supported by this server: agents with tools cannot run here."
        }
        Capability::StructuredOutput => {
            "Structured output is not supported by this server: it cannot judge, and it cannot \
             play simulated users."
        }
    };
    if is_unsupported && is_rejection(error) {
        (CapabilityStatus::Failed, format!("{meaning} {}", error.message))
    } else {
        (CapabilityStatus::NotTested, format!("This could not be found out. {}", error.message))
    }
}

fn is_rejection(error: &CallError) -> bool {
    match error.decision {
        Decision::Wait { .. } => false,
        Decision::Retry | Decision::GiveUp(ErrorKind::ProviderRejected) => true,
        Decision::GiveUp(_) => false,
    }
}

/// A capability that was not tested because the plain reply failed.
pub(crate) fn skipped(capability: Capability) -> CapabilityTest {
    let (request, answer) = Default::default();
    CapabilityTest {
        capability,
        status: CapabilityStatus::NotTested,
        message: "Not tested, because the plain reply failed.".to_owned(),
        request,
        answer,
        latency_ms: 0,
    }
}

fn has_answer(text: &str) -> bool {
    let json: Option<Value> = serde_json::from_str(text).ok();
    json.is_some_and(|json| json.get("answer").is_some_and(Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ToolCall;
    use llm::testing::reply;

    fn failed(status: Option<u16>, decision: Decision) -> CallError {
        CallError { status, ..CallError::new(decision, "It said no.") }
    }

    #[test]
    fn tools_need_a_call_of_its_tool() {
        let call = |name: &str| ToolCall {
            id: "1".into(),
            name: name.into(),
            arguments: json!({"day": "Monday"}),
        };
        let status = |calls| {
            outcome_of_reply(Capability::Tools, &ChatReply { tool_calls: calls, ..reply(1, 1) }).0
        };
        assert_eq!(status(vec![call(TOOL)]), CapabilityStatus::Passed);
        assert_eq!(status(vec![call("other")]), CapabilityStatus::Failed);
        assert_eq!(status(vec![]), CapabilityStatus::Failed);
    }

    #[test]
    fn structured_output_needs_the_required_field() {
        let status = |text: &str| {
            let reply = ChatReply { text: text.into(), ..reply(1, 1) };
            outcome_of_reply(Capability::StructuredOutput, &reply).0
        };
        assert_eq!(status(r#"{"answer": "ready"}"#), CapabilityStatus::Passed);
        for text in ["ready", "{}", r#"{"answer": 7}"#, "", "```json\n{}\n```"] {
            assert_eq!(status(text), CapabilityStatus::Failed, "{text}");
        }
    }

    #[test]
    fn only_a_rejected_request_means_that_something_is_unsupported() {
        let rejected = Decision::GiveUp(ErrorKind::ProviderRejected);
        let busy = Decision::Wait { until: None, overloaded: false };
        let invalid_key = Decision::GiveUp(ErrorKind::CredentialInvalid);
        for (status, decision, expected) in [
            (Some(400), rejected, CapabilityStatus::Failed),
            (Some(422), rejected, CapabilityStatus::Failed),
            // llama.cpp's answer to tools without --jinja.
            (Some(500), Decision::Retry, CapabilityStatus::Failed),
            (Some(429), busy, CapabilityStatus::NotTested),
            (Some(503), Decision::Retry, CapabilityStatus::NotTested),
            (Some(401), invalid_key, CapabilityStatus::NotTested),
            (None, Decision::Retry, CapabilityStatus::NotTested),
        ] {
            for capability in [Capability::Tools, Capability::StructuredOutput] {
                let (status_of_test, message) =
                    outcome_of_error(capability, &failed(status, decision));
                assert_eq!(status_of_test, expected, "{status:?} {decision:?}");
                assert!(message.ends_with("It said no."), "{message}");
            }
        }
    }
}
