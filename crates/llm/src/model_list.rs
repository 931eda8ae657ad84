//! The list of models that a server offers: `GET /models` of OpenAI-compatible servers, and
//! `GET /v1/models` of Anthropic.

use super::anthropic::version_header;
use super::classify;
use super::http::{HttpClient, HttpRequest};
use domain::ConnectionKind;
use llm_types::{CallError, Endpoint};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// The maximum number of models that are kept.
const MAX_MODELS: usize = 500;
/// The maximum length of a name that is kept, in characters.
const MAX_NAME: usize = domain::limits::NAME;

/// Lists the models of a server, sorted. Empty if it has no list.
pub(super) async fn list_models(
    http: &HttpClient,
    endpoint: &Endpoint,
) -> Result<Vec<String>, CallError> {
    // Anthropic lists 20 models by default.
    let (path, headers) = match endpoint.kind {
        ConnectionKind::Anthropic => ("/v1/models?limit=1000", version_header(endpoint)),
        _ => ("/models", HeaderMap::new()),
    };
    let request = HttpRequest { method: Method::GET, path: path.to_owned(), headers, body: None };
    let response = http.exchange(endpoint, request).await;
    let response = response.map_err(|error| classify::transport_error(&error, endpoint))?;
    match response.status {
        200..300 => Ok(read(&response.body)),
        404 | 405 | 501 => Ok(Vec::new()),
        _ => Err(classify::error_of(&response, endpoint, "", http.clock().now())),
    }
}

/// Reads the names from `{"data": [{"id": …}]}`, or from a bare list of them, which some
/// servers send. Empty for anything else.
fn read(body: &[u8]) -> Vec<String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let list = json.get("data").unwrap_or(&json).as_array();
    let ids = list.into_iter().flatten().filter_map(|model| model.get("id")?.as_str());
    let is_kept = |id: &&str| {
        !id.is_empty() && id.chars().count() <= MAX_NAME && !id.chars().any(char::is_control)
    };
    let mut names: Vec<String> = ids.filter(is_kept).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_MODELS);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::openai(r#"{"object":"list","data":[{"id":"b"},{"id":"a"},{"id":"b"}]}"#, &["a", "b"])]
    #[case::bare_list(r#"[{"id":"a"}]"#, &["a"])]
    #[case::other_entries(r#"{"data":[{"id":7},{},"x",{"id":""},{"id":"a\nb"}]}"#, &[])]
    #[case::other_json(r#"{"models":"none"}"#, &[])]
    #[case::no_json("<html>", &[])]
    fn names_are_sorted_and_unusable_ones_left_out(#[case] body: &str, #[case] names: &[&str]) {
        assert_eq!(read(body.as_bytes()), names);
    }

    #[test]
    fn number_and_length_of_names_are_limited() {
        let long = "x".repeat(MAX_NAME + 1);
        let models: Vec<Value> =
            (0..1000).map(|n| serde_json::json!({ "id": n.to_string() })).collect();
        let body = serde_json::json!({ "data": models }).to_string();
        assert_eq!(read(body.as_bytes()).len(), MAX_MODELS);
        let body = serde_json::json!({ "data": [{ "id": long }] }).to_string();
        assert_eq!(read(body.as_bytes()), Vec::<String>::new());
    }
}
