use super::{
    ConnectionKind, ConnectionSpec, Draft, MASKED_VALUE, is_secret_header, remove_secret_values,
};
use rstest::rstest;
use serde_json::{Value, json};

fn draft(with: Value) -> Draft {
    let mut draft = json!({"name": "Mine", "kind": "openai"});
    for (key, value) in with.as_object().into_iter().flatten() {
        draft[key] = value.clone();
    }
    Draft(draft)
}

fn problems(with: Value) -> Vec<String> {
    let parsed = ConnectionSpec::parse(&draft(with));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn valid(with: Value) -> ConnectionSpec {
    ConnectionSpec::parse(&draft(with)).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

#[rstest]
#[case::openai("openai", "", "https://api.openai.com/v1")]
#[case::anthropic("anthropic", "", "https://api.anthropic.com")]
#[case::demo("demo", "", "")]
#[case::own("openai", " http://localhost:8080/v1/ ", "http://localhost:8080/v1")]
#[case::word_in_capitals("OpenAI", "https://example.com//", "https://example.com")]
fn parse_normalizes_base_url(#[case] kind: &str, #[case] url: &str, #[case] expected: &str) {
    assert_eq!(valid(json!({"kind": kind, "base_url": url})).base_url, expected);
}

#[rstest]
#[case::scheme(json!({"base_url": "ftp://example.com"}), "base_url: must start with https:// or http:// and include a host")]
#[case::no_server(json!({"base_url": "https:///v1"}), "base_url: must start with https:// or http:// and include a host")]
#[case::only_scheme(json!({"base_url": "https://"}), "base_url: must start with https:// or http:// and include a host")]
#[case::user(json!({"base_url": "https://me:pw@example.com"}), "base_url: must not contain user info, a query or a fragment")]
#[case::query(json!({"base_url": "https://example.com?key=1"}), "base_url: must not contain user info, a query or a fragment")]
#[case::space(json!({"base_url": "https://exam ple.com"}), "base_url: must not contain spaces")]
#[case::space_before_slash(json!({"kind": "demo", "base_url": "x /"}), "base_url: must not contain spaces")]
#[case::kind(json!({"kind": "gemini"}), "kind: must be one of anthropic, openai, openai_responses, demo, http_agent")]
#[case::no_kind(json!({"kind": null}), "kind: must be one of anthropic, openai, openai_responses, demo, http_agent")]
#[case::name(json!({"name": ""}), "name: must not be empty")]
#[case::header_name(json!({"headers": {"X Y": "1"}}), "headers: \"X Y\" is not a valid header name")]
#[case::header_value(json!({"headers": {"X-Y": "a\nb"}}), "headers: X-Y must be ASCII text on one line, at most 4096 bytes")]
#[case::header_kind(json!({"headers": {"X-Y": 1}}), "headers: X-Y must be text")]
#[case::own_header(json!({"headers": {"Authorization": "Bearer x"}}), "headers: Authorization is set by Rehearsal; use the API key field")]
#[case::host(json!({"headers": {"Host": "x"}}), "headers: Host is set by Rehearsal")]
#[case::framing(json!({"headers": {"Transfer-Encoding": "chunked"}}), "headers: Transfer-Encoding is set by Rehearsal")]
#[case::hop_by_hop(json!({"headers": "connection: close"}), "headers: connection is set by Rehearsal")]
#[case::compressed(json!({"headers": {"Accept-Encoding": "br"}}), "headers: Accept-Encoding is set by Rehearsal")]
#[case::header_line(json!({"headers": "X-Y: 1\nnonsense"}), "headers: line 2: must have the form Name: value")]
#[case::header_twice(json!({"headers": "X-Y: 1\nx-y: 2"}), "headers: x-y is specified twice")]
#[case::secret_without_value(json!({"headers": "X-Token:"}), "headers: X-Token must have a value; enter it again, because it is not kept here")]
#[case::headers_kind(json!({"headers": [1]}), "headers: must be an object of header names and values")]
#[case::key(json!({"api_key": "sk-ä"}), "api_key: must be ASCII text on one line")]
#[case::key_and_none(json!({"api_key": "sk", "remove_key": "true"}), "remove_key: must not be combined with a new key")]
#[case::key_lines(json!({"api_key": "sk\n1"}), "api_key: must be ASCII text on one line")]
fn parse_validates_field(#[case] with: Value, #[case] problem: &str) {
    assert_eq!(problems(with), [problem]);
}

#[test]
fn parse_reports_all_problems() {
    let listed = problems(json!({
        "name": "", "base_url": "nowhere", "headers": {"Host": "x"}, "api_key": "ö", "url": "x"
    }));
    for path in ["name", "base_url", "headers", "api_key", "url"] {
        let at = format!("{path}: ");
        assert!(listed.iter().any(|line| line.starts_with(&at)), "{path} is not in {listed:?}");
    }
}

#[test]
fn parse_reads_headers_from_object_and_lines() {
    let object = valid(json!({"headers": {"X-A": " 1 ", "X-B": "a: b"}}));
    let lines = valid(json!({"headers": "X-A: 1\n\n X-B : a: b \n"}));
    assert_eq!(object.headers, lines.headers);
    assert_eq!(object.headers.get("X-B").map(String::as_str), Some("a: b"));
}

#[test]
fn blank_key_is_none() {
    assert_eq!(valid(json!({"api_key": "  "})).api_key, None);
    assert_eq!(valid(json!({"api_key": " sk-1 "})).api_key, Some("sk-1".to_owned()));
    assert_eq!(valid(json!({})).kind, ConnectionKind::OpenAi);
}

#[test]
fn debug_omits_key_and_header_values() {
    let spec = valid(json!({"api_key": "sk-secret", "headers": {"X-Token": "hidden"}}));
    let printed = format!("{spec:?}");
    assert!(!printed.contains("sk-secret") && !printed.contains("hidden"), "{printed}");
}

#[rstest]
#[case("X-Api-Token", "1", true)]
#[case("api-key", "1", true)]
#[case("Ocp-Apim-Subscription-Key", "1", true)]
#[case("CF-Access-Client-Secret", "1", true)]
#[case("Helicone-Auth", "1", true)]
#[case("Cookie", "a=b", true)]
#[case("X-Amz-Signature", "1", true)]
#[case("X-Upstream", "Bearer abc", true)]
#[case("X-Upstream", "sk-live-1", true)]
#[case("OpenAI-Organization", "org-1", false)]
#[case("anthropic-beta", "tools-2024", false)]
#[case("HTTP-Referer", "https://example.com", false)]
#[case("X-Title", "Monkey business", false)]
#[case("X-Portkey-Provider", "openai", false)]
fn secret_headers_are_recognized(#[case] name: &str, #[case] value: &str, #[case] secret: bool) {
    assert_eq!(is_secret_header(name, value), secret);
}

#[test]
fn mask_keeps_stored_value() {
    let spec = valid(json!({"headers": {"X-Token": MASKED_VALUE, "X-Team": "support"}}));
    assert_eq!(spec.masked_headers().collect::<Vec<_>>(), ["X-Token"]);
}

#[test]
fn secret_values_are_removed_from_both_forms_of_headers() {
    let mut lines = json!("X-Team: support\nX-Token: abc\nX-Kept-Token: ••••••••\nnonsense");
    remove_secret_values(&mut lines, ':');
    assert_eq!(lines, json!("X-Team: support\nX-Token:\nX-Kept-Token: ••••••••\nnonsense"));
    let mut object = json!({"X-Team": "support", "X-Token": "abc", "X-Number": 7});
    remove_secret_values(&mut object, ':');
    assert_eq!(object, json!({"X-Team": "support", "X-Token": "", "X-Number": 7}));
}
