//! Reads what a server rejects from its error response. Pure.
//!
//! A server that names the rejected field (`error.param`, or `loc` of FastAPI) is taken at
//! its word. Otherwise the message must contain the field's name and words of rejection.

use super::token_limit::allowed_tokens;
use super::{Adjustments, Field, OutputForm, has_bounds};
use domain::ConnectionKind;
use llm_types::ChatRequest;
use serde_json::Value;

/// An error response, as far as it matters here.
struct Rejection {
    status: u16,
    /// The rejected field, if the server names it: `tools[0].function`.
    param: Option<String>,
    codes: Vec<String>,
    /// In lower case.
    message: String,
}

/// A decision about the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NextAdjustment {
    pub(crate) adjustments: Adjustments,
    /// Whether it holds for later requests too.
    pub(crate) lasting: bool,
}

/// Errors that no adjustment mends.
const FINAL_CODES: [&str; 9] = [
    "context_length_exceeded",
    "content_filter",
    "content_policy_violation",
    "invalid_prompt",
    "invalid_api_key",
    "model_not_found",
    "insufficient_quota",
    "billing_not_active",
    "string_above_max_length",
];

/// Words with which servers reject a field that is there.
const REJECTING: [&str; 16] = [
    "unsupported",
    "not support",
    "n't support",
    "unrecognized",
    "unknown",
    "extra inputs",
    "extra fields",
    "not permitted",
    "not allowed",
    "deprecated",
    "unexpected",
    "only the default",
    "may only",
    "cannot be",
    "invalid",
    "requires",
];

/// How to repeat a rejected request, given what was tried. `None` if nothing helps.
#[must_use]
pub(crate) fn next_adjustment(
    (status, body): (u16, &[u8]),
    kind: ConnectionKind,
    request: &ChatRequest,
    tried: &Adjustments,
) -> Option<NextAdjustment> {
    let rejection = Rejection::parse(status, body);
    if rejection.is_final() {
        return None;
    }
    let sent = tried.apply(request);
    let lasting = |adjustments| Some(NextAdjustment { adjustments, lasting: true });
    let may_change_api = kind == ConnectionKind::OpenAi && !tried.responses_api;
    if may_change_api && rejection.asks_for_responses_api() {
        return lasting(Adjustments { responses_api: true, ..tried.clone() });
    }
    if rejection.rejects_tools() && !sent.tools.is_empty() && sent.tools_optional {
        return lasting(with_dropped(tried, Field::Tools));
    }
    if let Some(tokens) = rejection.fitting_limit(&sent) {
        let adjustments = Adjustments { max_tokens: Some(tokens), ..tried.clone() };
        return Some(NextAdjustment { adjustments, lasting: false });
    }
    if !matches!(status, 400 | 422) {
        return None;
    }
    if let Some(allowed) = allowed_tokens(&rejection.message)
        && allowed.tokens < sent.max_tokens
    {
        let adjustments = Adjustments { max_tokens: Some(allowed.tokens), ..tried.clone() };
        return Some(NextAdjustment { adjustments, lasting: !allowed.of_this_prompt });
    }
    if rejection.names(&["include", "encrypted content"])
        && !tried.dropped.contains(&Field::EncryptedReasoning)
        && (tried.responses_api || kind == ConnectionKind::OpenAiResponses)
    {
        return lasting(with_dropped(tried, Field::EncryptedReasoning));
    }
    if sent.temperature.is_some() && rejection.names(&["temperature"]) {
        return lasting(with_dropped(tried, Field::Temperature));
    }
    if sent.reasoning_effort.is_some()
        && rejection.names(&[
            "reasoning_effort",
            "reasoning.effort",
            "output_config.effort",
            "effort",
        ])
    {
        return lasting(with_dropped(tried, Field::ReasoningEffort));
    }
    if !tried.dropped.contains(&Field::Stream) && rejection.rejects_stream() {
        return lasting(with_dropped(tried, Field::Stream));
    }
    let rejects_limit = rejection.names(&["max_tokens", "max_completion_tokens"]);
    if kind == ConnectionKind::OpenAi && rejects_limit && !tried.other_limit_name {
        return lasting(Adjustments { other_limit_name: true, ..tried.clone() });
    }
    next_output_form(&rejection, kind, &sent, tried).and_then(lasting)
}

fn with_dropped(tried: &Adjustments, field: Field) -> Adjustments {
    let mut next = tried.clone();
    next.dropped.insert(field);
    next
}

/// Servers reject structured output with many different messages, so every rejection that
/// does not name another field leads to the next form.
fn next_output_form(
    rejection: &Rejection,
    kind: ConnectionKind,
    sent: &ChatRequest,
    tried: &Adjustments,
) -> Option<Adjustments> {
    let schema = &sent.output.as_ref()?.schema;
    let about_output =
        ["response_format", "output_config", "output_format", "tool_choice", "tools", "text"];
    if let Some(param) = &rejection.param
        && !about_output.iter().any(|field| is_at(param, field))
    {
        return None;
    }
    if has_bounds(schema) {
        return Some(with_dropped(tried, Field::SchemaBounds));
    }
    let output = match (kind, tried.output) {
        (ConnectionKind::Anthropic, OutputForm::Native) => OutputForm::ForcedTool,
        _ => OutputForm::Prompt,
    };
    Some(Adjustments { output, ..tried.clone() })
}

/// Whether a path is the field or within it.
fn is_at(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl Rejection {
    fn parse(status: u16, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let json = json.get(0).unwrap_or(&json);
        let text = |places: &[&str]| {
            places.iter().find_map(|place| json.pointer(place)?.as_str()).map(str::to_owned)
        };
        let codes = ["/error/code", "/error/type", "/error/status", "/code", "/type"];
        let message = text(&["/error/message", "/message", "/error", "/detail/message", "/detail"]);
        Self {
            status,
            param: text(&["/error/param", "/param"])
                .filter(|param| !param.is_empty())
                .or_else(|| location(json)),
            codes: codes
                .iter()
                .filter_map(|place| json.pointer(place)?.as_str().map(str::to_owned))
                .collect(),
            message: message
                .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
                .to_ascii_lowercase(),
        }
    }

    fn is_final(&self) -> bool {
        self.codes.iter().any(|code| FINAL_CODES.contains(&code.as_str()))
    }

    /// Whether the server rejects one of these fields.
    fn names(&self, fields: &[&str]) -> bool {
        match &self.param {
            Some(param) => fields.iter().any(|field| is_at(param, field)),
            None => {
                fields.iter().any(|field| self.message.contains(field))
                    && REJECTING.iter().any(|words| self.message.contains(words))
            }
        }
    }

    /// Whether the server does not stream: OpenAI refuses it to unverified organizations, and
    /// older servers do not know `stream_options`.
    fn rejects_stream(&self) -> bool {
        match &self.param {
            Some(_) => self.names(&["stream", "stream_options"]),
            None => self.names(&["stream_options", "`stream`", "'stream'", "streaming"]),
        }
    }

    /// The limit with which a request fits into an allowance of tokens per minute, which
    /// counts the output limit in advance: "Limit 6000, Requested 12328". `None` if the
    /// user chose the limit, or if too little would be left.
    fn fitting_limit(&self, sent: &ChatRequest) -> Option<u32> {
        const MIN_TOKENS: u32 = 512;
        let too_large = self.message.contains("request too large for");
        if !matches!(self.status, 413 | 429) || !too_large || sent.fixed_limit {
            return None;
        }
        let number = |mark: &str| {
            let (_, rest) = self.message.split_once(mark)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse::<u32>().ok()
        };
        let excess = number("requested ")?.checked_sub(number("limit ")?)?;
        sent.max_tokens.checked_sub(excess).filter(|left| *left >= MIN_TOKENS)
    }

    /// Whether the server offers the model in the Responses API only, or in Chat Completions
    /// not with these fields. Of some models OpenAI says that they are no chat models, and
    /// Azure names the operation.
    fn asks_for_responses_api(&self) -> bool {
        let words =
            ["v1/responses", "this is not a chat model", "chatcompletion operation does not work"];
        matches!(self.status, 400 | 404) && words.iter().any(|words| self.message.contains(words))
    }

    /// Whether the server or the model supports no tools. OpenRouter says so with a 404,
    /// llama.cpp without a chat template with a 500.
    fn rejects_tools(&self) -> bool {
        if self.param.is_some() {
            return self.names(&["tools", "tool_choice"]);
        }
        let about_tools = ["tool", "function call"].iter().any(|word| self.message.contains(word));
        let rejects = REJECTING.iter().chain(&["no endpoints found", "only supported", "--jinja"]);
        matches!(self.status, 400 | 404 | 422 | 500 | 501)
            && about_tools
            && rejects.into_iter().any(|words| self.message.contains(words))
    }
}

/// The rejected field of FastAPI and pydantic: `{"detail": [{"loc": ["body", "temperature"]}]}`.
fn location(json: &Value) -> Option<String> {
    let list = ["/detail", "/error/detail", "/message/detail"];
    let loc = list.iter().find_map(|place| json.pointer(place)?.get(0)?.get("loc")?.as_array())?;
    let parts: Vec<&str> =
        loc.iter().filter_map(Value::as_str).filter(|part| *part != "body").collect();
    (!parts.is_empty()).then(|| parts.join("."))
}

#[cfg(test)]
#[path = "rejection_tests.rs"]
mod tests;
