//! The adapter of OpenAI's two APIs, Chat Completions and Responses, and of compatible
//! servers.

use super::adjusted_call::{Adapter, Api, Protocol};
use super::adjustment::Adjustments;
use super::{openai_wire, response_events, responses_wire, stream};
use domain::ConnectionKind;
use llm_types::Endpoint;
use reqwest::header::HeaderMap;
use serde_json::json;

/// The adapter of this protocol.
pub type OpenAi = Adapter<OpenAiApis>;

/// Chat Completions, and Responses if the kind of the connection says so or the server said
/// that it offers the model there only.
pub enum OpenAiApis {}

impl Protocol for OpenAiApis {
    fn headers(_: &Endpoint) -> HeaderMap {
        HeaderMap::new()
    }

    fn api(endpoint: &Endpoint, adjustments: &Adjustments) -> &'static Api {
        if adjustments.responses_api || endpoint.kind == ConnectionKind::OpenAiResponses {
            &RESPONSES
        } else {
            &CHAT_COMPLETIONS
        }
    }
}

const CHAT_COMPLETIONS: Api = Api {
    path: "/chat/completions",
    body: |endpoint, request, form| {
        let is_openai = is_openai(&endpoint.base_url);
        let mut body = openai_wire::body(request, form.adjustments, is_openai);
        if form.streams() {
            body["stream"] = json!(true);
            // Without it, a stream does not report its usage.
            body["stream_options"] = json!({ "include_usage": true });
        }
        body
    },
    assemble: stream::chat_completion,
    read: openai_wire::read,
};

const RESPONSES: Api = Api {
    path: "/responses",
    body: |endpoint, request, form| {
        let is_openai = is_openai(&endpoint.base_url);
        let mut body = responses_wire::body(request, form.adjustments, is_openai);
        if form.streams() {
            body["stream"] = json!(true);
        }
        body
    },
    assemble: response_events::response,
    read: responses_wire::read,
};

/// Whether the server belongs to OpenAI or is Azure's copy of it.
fn is_openai(base_url: &str) -> bool {
    let host = base_url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".openai.azure.com")
}
