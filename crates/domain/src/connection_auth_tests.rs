//! Authentication, query parameters and presets of connections.

use super::{
    AuthScheme, ConnectionKind, ConnectionPreset, ConnectionSpec, Draft, KeyUse, MASKED_VALUE,
    is_secret_parameter, remove_secret_values,
};
use rstest::rstest;
use serde_json::{Value, json};

fn parse(with: Value) -> Result<ConnectionSpec, Vec<String>> {
    let mut draft = json!({"name": "Mine", "kind": "openai"});
    for (key, value) in with.as_object().into_iter().flatten() {
        draft[key] = value.clone();
    }
    ConnectionSpec::parse(&Draft(draft))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn valid(with: Value) -> ConnectionSpec {
    parse(with).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

#[rstest]
#[case("openai", AuthScheme::Bearer)]
#[case("anthropic", AuthScheme::XApiKey)]
#[case("demo", AuthScheme::None)]
fn scheme_is_that_of_the_kind_by_default(#[case] kind: &str, #[case] scheme: AuthScheme) {
    assert_eq!(valid(json!({"kind": kind})).auth, scheme.into());
    assert_eq!(valid(json!({"kind": kind, "auth": {"scheme": ""}})).auth, scheme.into());
}

#[test]
fn fields_of_other_schemes_are_ignored() {
    let all = json!({"scheme": "bearer", "username": "a:b", "client_id": "app",
        "token_url": "nowhere", "scope": "s"});
    assert_eq!(valid(json!({"auth": all})).auth, AuthScheme::Bearer.into());
    let oauth = valid(json!({"auth": {"scheme": "oauth_client_credentials", "username": "x",
        "client_id": " app ", "token_url": "https://login.example.com/token", "scope": "a b"}}));
    assert_eq!(oauth.auth.client_id, "app");
    assert_eq!(oauth.auth.token_url, "https://login.example.com/token");
    assert_eq!((oauth.auth.scope.as_str(), oauth.auth.username.as_str()), ("a b", ""));
    let demo = valid(json!({"kind": "demo", "auth": {"scheme": "bearer"}, "api_key": "x"}));
    assert_eq!(demo.auth.scheme, AuthScheme::None, "the demo model has no credentials");
}

#[rstest]
#[case::word(json!({"auth": {"scheme": "digest"}}), &["auth.scheme: must be one of bearer, x_api_key, api_key, basic, oauth_client_credentials, none"])]
#[case::no_object(json!({"auth": "bearer"}), &["auth: must be an object, not text"])]
#[case::unknown(json!({"auth": {"scheme": "none", "key": "x"}}), &["auth.key: is not a known field; known fields: scheme"])]
#[case::no_user(json!({"auth": {"scheme": "basic"}}), &["auth.username: must not be empty"])]
#[case::colon(json!({"auth": {"scheme": "basic", "username": "a:b"}}), &["auth.username: must not contain a colon"])]
#[case::no_client(json!({"auth": {"scheme": "oauth_client_credentials"}}), &["auth.token_url: must not be empty", "auth.client_id: must not be empty"])]
#[case::token_url(json!({"auth": {"scheme": "oauth_client_credentials", "client_id": "a", "token_url": "ftp://x"}}), &["auth.token_url: must start with https:// or http:// and include a host"])]
#[case::token_user(json!({"auth": {"scheme": "oauth_client_credentials", "client_id": "a", "token_url": "https://a:b@x"}}), &["auth.token_url: must not contain user info or a fragment"])]
#[case::key_without_scheme(json!({"auth": {"scheme": "none"}, "api_key": "x"}), &["api_key: must be empty if the connection uses no authentication"])]
#[case::timeout(json!({"timeout_seconds": 601}), &["timeout_seconds: must be from 1 to 600"])]
#[case::fraction(json!({"timeout_seconds": "1.5"}), &["timeout_seconds: must be a whole number"])]
#[case::query_line(json!({"query": "api-version"}), &["query: line 1: must have the form name=value"])]
#[case::query_twice(json!({"query": "a=1\na=2"}), &["query: a is specified twice"])]
#[case::query_name(json!({"query": "=1"}), &["query: \"\" is not a valid parameter name"])]
#[case::query_value(json!({"query": {"a": "b\nc"}}), &["query: a must be text on one line, at most 4096 bytes"])]
#[case::query_kind(json!({"query": 7}), &["query: must be an object of parameter names and values"])]
#[case::lost_secret(json!({"query": "key="}), &["query: key must have a value; enter it again, because it is not kept here"])]
#[case::preset(json!({"preset": "bedrock"}), &["preset: must be one of openai, anthropic, azure_openai, gemini, openrouter, groq, mistral, ollama, vllm, lm_studio, llama_cpp"])]
#[case::resource(json!({"resource": "x"}), &["resource: is only known for Azure OpenAI"])]
#[case::no_resource(json!({"preset": "azure_openai"}), &["resource: must not be empty"])]
#[case::bad_resource(json!({"preset": "azure_openai", "resource": "a/b"}), &["resource: must be the name of the resource, or its host, such as my-resource.openai.azure.com"])]
#[case::two_addresses(json!({"preset": "azure_openai", "resource": "a", "base_url": "https://b"}), &["base_url: must be empty if a resource is given"])]
#[case::dated(json!({"preset": "azure_openai", "resource": "a", "api_version": "2024-10-21"}), &["api_version: must be empty, v1 or preview for the v1 API; a dated version needs the base URL of a deployment, such as https://my-resource.openai.azure.com/openai/deployments/gpt"])]
#[case::version_twice(json!({"api_version": "v1", "query": "api-version=v2"}), &["query: api-version is specified twice"])]
fn invalid_field_has_its_problem(#[case] with: Value, #[case] problems: &[&str]) {
    assert_eq!(parse(with).err().unwrap_or_default(), problems);
}

#[test]
fn query_is_read_from_object_and_lines() {
    let object = valid(json!({"query": {"api-version": "v1", "filter": "a=b"}}));
    let lines = valid(json!({"query": "api-version = v1\n\nfilter=a=b"}));
    assert_eq!(object.query, lines.query);
    assert_eq!(object.query["filter"], "a=b");
    let masked = valid(json!({"query": {"key": MASKED_VALUE, "api-version": "v1"}}));
    assert_eq!(masked.masked_parameters().collect::<Vec<_>>(), ["key"]);
}

#[rstest]
#[case("key", true)]
#[case("api_key", true)]
#[case("sig", true)]
#[case("access_token", true)]
#[case("api-version", false)]
#[case("deployment", false)]
fn secret_parameters_are_recognized(#[case] name: &str, #[case] is_secret: bool) {
    assert_eq!(is_secret_parameter(name, "1"), is_secret);
}

#[test]
fn secret_parameters_are_not_kept_in_forms() {
    let mut lines = json!("api-version=v1\nkey=abc");
    remove_secret_values(&mut lines, '=');
    assert_eq!(lines, json!("api-version=v1\nkey="));
}

#[test]
fn preset_fills_in_what_is_absent() {
    for (word, preset) in ConnectionPreset::ALL {
        let facts = preset.facts();
        let resource = if *preset == ConnectionPreset::AzureOpenAi { "ours" } else { "" };
        let draft = json!({"name": "Mine", "preset": word, "resource": resource});
        let spec = ConnectionSpec::parse(&Draft(draft)).expect(word);
        assert_eq!((spec.kind, spec.auth), (facts.kind, facts.auth_scheme.into()), "{word}");
        assert_eq!(spec.preset, Some(*preset));
        match *preset {
            ConnectionPreset::AzureOpenAi => {
                assert_eq!(spec.base_url, "https://ours.openai.azure.com/openai/v1");
            }
            _ => assert_eq!(spec.base_url, facts.base_url),
        }
        let own = json!({"name": "Mine", "preset": word, "base_url": "http://10.0.0.1:9/v1",
            "auth": {"scheme": "basic", "username": "u"}});
        let own = ConnectionSpec::parse(&Draft(own)).expect(word);
        assert_eq!(own.base_url, "http://10.0.0.1:9/v1");
        assert_eq!(own.auth.scheme, AuthScheme::Basic, "{word}");
    }
}

#[test]
fn azure_deployment_takes_a_dated_version() {
    let spec = valid(json!({"preset": "azure_openai", "api_version": "2024-10-21",
        "base_url": "https://ours.openai.azure.com/openai/deployments/gpt"}));
    assert_eq!(spec.query["api-version"], "2024-10-21");
    assert_eq!(spec.kind, ConnectionKind::OpenAi);
}

#[test]
fn missing_secret_depends_on_preset_and_scheme() {
    for (word, preset) in ConnectionPreset::ALL {
        let draft = json!({"name": "Mine", "preset": word, "resource":
            if *preset == ConnectionPreset::AzureOpenAi { "ours" } else { "" }});
        let spec = ConnectionSpec::parse(&Draft(draft)).expect(word);
        let is_required = preset.facts().key == KeyUse::Required;
        assert_eq!(spec.missing_secret().is_some(), is_required, "{word}");
    }
    assert_eq!(valid(json!({})).missing_secret(), None);
    let basic = valid(json!({"auth": {"scheme": "basic", "username": "u"}}));
    assert_eq!(basic.missing_secret().as_deref(), Some("must not be empty: calls need a password"));
    let none = valid(json!({"preset": "openai", "auth": {"scheme": "none"}}));
    assert_eq!(none.missing_secret(), None);
}
