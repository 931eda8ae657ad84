//! The request and the response of a test as its result shows them, without secrets.

use domain::{AuthScheme, ConnectionKind, is_secret_parameter};
use llm::{CallError, ChatReply, Endpoint};

/// The number of characters of a reply that are shown.
const MAX_REPLY_CHARS: usize = 500;

/// The beginning of a reply, with its tool calls.
pub(super) fn shown_answer(reply: &ChatReply) -> String {
    let calls = reply.tool_calls.iter().map(|call| format!("{}({})", call.name, call.arguments));
    let parts: Vec<String> = std::iter::once(reply.text.clone()).chain(calls).collect();
    parts.join("\n").trim().chars().take(MAX_REPLY_CHARS).collect()
}

/// The provider's response to a failed call, as far as it is known.
pub(super) fn error_response(error: &CallError) -> String {
    let status = error.status.map(|status| format!("HTTP {status}")).unwrap_or_default();
    let text = format!("{status}\n{}", error.provider_message);
    text.trim().chars().take(MAX_REPLY_CHARS).collect()
}

/// The request as it is sent, without secrets.
pub(super) fn request_line(endpoint: &Endpoint, model: &str) -> String {
    let path = match endpoint.kind {
        ConnectionKind::Anthropic => "/v1/messages",
        ConnectionKind::OpenAi => "/chat/completions",
        ConnectionKind::OpenAiResponses => "/responses",
        ConnectionKind::Demo => return format!("demo (no network)\nmodel: {model}"),
        // Only the agents of the connection know what to send.
        ConnectionKind::HttpAgent => return endpoint.base_url.clone(),
    };
    let query: Vec<_> = endpoint.query.iter().map(shown_parameter).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let headers: Vec<_> = endpoint.headers.keys().map(|name| format!("\n{name}: •••")).collect();
    let (auth, headers) = (credentials_line(endpoint), headers.concat());
    format!("POST {}{path}{query}\n{auth}{headers}\nmodel: {model}", endpoint.base_url)
}

fn shown_parameter((name, value): (&String, &String)) -> String {
    let value = if is_secret_parameter(name, value) { "•••" } else { value };
    format!("{name}={value}")
}

/// The header with the credentials, without them.
fn credentials_line(endpoint: &Endpoint) -> String {
    let header = match endpoint.auth.scheme {
        _ if endpoint.key.is_none() => "no credentials",
        AuthScheme::None => "no credentials",
        AuthScheme::Bearer => "authorization: Bearer •••",
        AuthScheme::XApiKey => "x-api-key: •••",
        AuthScheme::ApiKey => "api-key: •••",
        AuthScheme::Basic => "authorization: Basic •••",
        AuthScheme::OauthClientCredentials => {
            return format!("authorization: Bearer ••• (from {})", endpoint.auth.token_url);
        }
    };
    header.to_owned()
}
