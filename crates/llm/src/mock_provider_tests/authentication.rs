//! Authentication over real sockets: the mock provider rejects wrong credentials.

use super::{OPTIONS, TestEnv, env, http};
use crate::connector::Connector;
use crate::http::{HttpClient, HttpOptions};
use crate::testing::{chat_request, endpoint};
use clock::Clock;
use domain::{AuthScheme, ConnectionAuth, ConnectionKind, ErrorKind, Timestamp};
use llm_types::{Cause, Decision, Endpoint, Provider};
use mock_provider::{Action, MockProvider, RequiredAuth, Rule, Script, TokenEndpoint};
use rstest::rstest;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const SECRET: &str = "very-secret-0123456789";
const REFUSED: Decision = Decision::GiveUp(ErrorKind::CredentialInvalid);

/// Every scheme with the credentials that a server requires for it.
fn schemes(token_url: &str) -> Vec<(ConnectionAuth, RequiredAuth)> {
    let key = || SECRET.to_owned();
    let basic = ConnectionAuth { username: "ana".into(), ..AuthScheme::Basic.into() };
    vec![
        (AuthScheme::Bearer.into(), RequiredAuth::Bearer(key())),
        (AuthScheme::XApiKey.into(), RequiredAuth::XApiKey(key())),
        (AuthScheme::ApiKey.into(), RequiredAuth::ApiKey(key())),
        (basic, RequiredAuth::Basic { username: "ana".into(), password: key() }),
        (client(token_url), RequiredAuth::Token(token_endpoint())),
        (AuthScheme::None.into(), RequiredAuth::None),
    ]
}

fn client(token_url: &str) -> ConnectionAuth {
    ConnectionAuth {
        client_id: "rehearsal app".into(),
        token_url: token_url.to_owned(),
        scope: "models.read models/call".into(),
        ..AuthScheme::OauthClientCredentials.into()
    }
}

fn token_endpoint() -> TokenEndpoint {
    TokenEndpoint {
        client_id: "rehearsal app".into(),
        client_secret: SECRET.into(),
        scope: "models.read models/call".into(),
        expires_in: Some(3600),
        ..TokenEndpoint::default()
    }
}

fn requires(auth: RequiredAuth) -> Script {
    Script { auth: Some(auth), ..Script::default() }
}

/// An OpenAI-compatible server that requires a token, and its connection.
async fn oauth_env(token_endpoint: TokenEndpoint) -> TestEnv {
    let mut env = env(ConnectionKind::OpenAi, requires(RequiredAuth::Token(token_endpoint))).await;
    use_token(&mut env.endpoint, &env.mock);
    env
}

fn use_token(endpoint: &mut Endpoint, mock: &MockProvider) {
    endpoint.auth = client(&mock.token_url());
    endpoint.key = Some(SECRET.into());
}

#[rstest]
#[case(ConnectionKind::OpenAi)]
#[case(ConnectionKind::Anthropic)]
#[tokio::test]
async fn server_accepts_its_scheme_and_rejects_all_others(#[case] kind: ConnectionKind) {
    let mut env = env(kind, Script::default()).await;
    env.endpoint.key = Some(SECRET.into());
    let schemes = schemes(&env.mock.token_url());
    for (required, script) in schemes.iter().map(|(auth, script)| (auth.scheme, script)) {
        env.mock.set_script(requires(script.clone()));
        for (auth, _) in &schemes {
            env.endpoint.auth = auth.clone();
            let outcome = env.chat_request(&chat_request("hi")).await;
            if auth.scheme == required {
                outcome.unwrap_or_else(|error| unreachable!("{required}: {error}"));
            } else {
                let error = outcome.expect_err("other credentials");
                assert_eq!(error.decision, REFUSED, "{} for {required}", auth.scheme);
                assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn connection_without_key_sends_no_credentials_or_says_what_is_missing() {
    let mut env = env(ConnectionKind::OpenAi, requires(RequiredAuth::None)).await;
    env.endpoint.key = None;
    for (auth, _) in schemes(&env.mock.token_url()) {
        env.mock.clear_request_log();
        env.endpoint.auth = auth.clone();
        match env.chat_request(&chat_request("hi")).await {
            Ok(_) => assert!(!auth.scheme.requires_secret(), "{}", auth.scheme),
            Err(error) => {
                assert!(error.message.contains(auth.scheme.secret_name()), "{error}");
                assert_eq!((error.cause, env.mock.request_count()), (Cause::NotSent, 0));
            }
        }
    }
}

#[tokio::test]
async fn query_parameters_are_sent_and_secret_ones_not_shown() {
    let query = BTreeMap::from([
        ("api-version".to_owned(), "2024-10-21".to_owned()),
        ("key".to_owned(), "a b&c=/ü-secret".to_owned()),
    ]);
    let script = Script { required_query: query.clone(), ..Script::default() };
    let mut env = env(ConnectionKind::OpenAi, script).await;
    assert_eq!(env.error().await.status, Some(404));
    env.endpoint.query = query.clone();
    env.chat_request(&chat_request("hi")).await.expect("a reply");

    let body = "unknown version 2024-10-21 or key a b&c=/ü-secret".into();
    let action = Action::Status { status: 400, body, headers: BTreeMap::new() };
    env.mock.set_script(Script::of([Rule::always(action)]));
    let message = env.error().await.message;
    assert!(message.contains("2024-10-21") && !message.contains("ü-secret"), "{message}");
    assert!(!format!("{:?}", env.endpoint).contains("ü-secret"));
}

#[tokio::test]
async fn concurrent_calls_share_one_token() {
    let env = oauth_env(TokenEndpoint { latency_ms: 50, ..token_endpoint() }).await;
    let request = chat_request("hi");
    let replies = futures::future::join_all((0..8).map(|_| env.chat_request(&request))).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!(env.mock.token_requests(), 1);
}

/// A clock that only the test moves.
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[rstest]
#[case::an_hour(Some(3600), 3539, 3541)]
#[case::short(Some(100), 89, 91)]
#[case::unknown(None, 269, 271)]
#[tokio::test]
async fn token_is_replaced_before_it_expires(
    #[case] expires_in: Option<u64>,
    #[case] fresh: i64,
    #[case] stale: i64,
) {
    let mut env = oauth_env(TokenEndpoint { expires_in, ..token_endpoint() }).await;
    let clock = Arc::new(ManualClock(AtomicI64::new(0)));
    let http = HttpClient::new(OPTIONS, clock.clone()).expect("a client");
    env.provider = Arc::new(crate::openai::OpenAi::new(http));
    for (seconds, requests) in [(0, 1), (fresh, 1), (stale, 2)] {
        clock.0.store(seconds * 1000, Ordering::SeqCst);
        env.chat_request(&chat_request("hi")).await.expect("a reply");
        assert_eq!(env.mock.token_requests(), requests, "after {seconds} s");
    }
}

#[tokio::test]
async fn revoked_token_is_replaced_within_the_call() {
    let env = oauth_env(token_endpoint()).await;
    env.chat_request(&chat_request("hi")).await.expect("a reply");
    env.mock.revoke_tokens();
    env.chat_request(&chat_request("hi")).await.expect("a reply with a new token");
    assert_eq!(env.mock.token_requests(), 2);
}

#[tokio::test]
async fn edited_client_gets_a_token_of_its_own() {
    let mut env = oauth_env(token_endpoint()).await;
    env.chat_request(&chat_request("hi")).await.expect("a reply");
    env.endpoint.auth.scope = "other".into();
    assert_eq!(env.error().await.decision, REFUSED);
    env.endpoint.auth = client(&env.mock.token_url());
    env.endpoint.key = Some("wrong-secret-999".into());
    assert_eq!(env.error().await.decision, REFUSED, "the old token is not used");
}

#[tokio::test]
async fn secret_is_sent_in_the_body_if_the_header_is_refused() {
    let env = oauth_env(TokenEndpoint { secret_in_body: true, ..token_endpoint() }).await;
    env.chat_request(&chat_request("hi")).await.expect("a reply");
    assert_eq!(env.mock.token_requests(), 2);
    env.mock.revoke_tokens();
    env.chat_request(&chat_request("hi")).await.expect("a reply");
    assert_eq!(env.mock.token_requests(), 3, "the way that worked is remembered");
}

#[rstest]
#[case::wrong_secret(TokenEndpoint { client_secret: "other".into(), ..token_endpoint() }, REFUSED, "invalid_client")]
#[case::wrong_scope(TokenEndpoint { scope: "other".into(), ..token_endpoint() }, REFUSED, "invalid_scope")]
#[case::forbidden(TokenEndpoint { status: Some(403), ..token_endpoint() }, REFUSED, "it answered 403")]
#[case::redirect(TokenEndpoint { status: Some(302), ..token_endpoint() }, REFUSED, "it answered 302")]
#[case::fails(TokenEndpoint { status: Some(503), ..token_endpoint() }, Decision::Retry, "it answered 503")]
#[case::busy(TokenEndpoint { status: Some(429), ..token_endpoint() }, Decision::Retry, "it answered 429")]
#[case::page(TokenEndpoint { status: Some(200), ..token_endpoint() }, Decision::Retry, "not JSON")]
#[case::hangs(TokenEndpoint { hangs: true, ..token_endpoint() }, Decision::Retry, "did not answer within 0.2 s")]
#[tokio::test]
async fn failure_of_token_endpoint_is_classified(
    #[case] token_endpoint: TokenEndpoint,
    #[case] decision: Decision,
    #[case] message: &str,
) {
    let mut env = oauth_env(token_endpoint).await;
    let options = HttpOptions { token_timeout: Duration::from_millis(200), ..OPTIONS };
    env.provider = Arc::new(crate::openai::OpenAi::new(http(options)));
    let error = env.error().await;
    assert_eq!(error.decision, decision, "{error}");
    assert!(error.message.contains("token endpoint") && error.message.contains(message), "{error}");
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    assert_eq!(env.mock.request_count(), 0, "the model is not called");
}

#[tokio::test]
async fn calls_that_wait_for_a_failing_token_request_share_its_failure() {
    let mut env = oauth_env(TokenEndpoint { hangs: true, ..token_endpoint() }).await;
    let options = HttpOptions { token_timeout: Duration::from_millis(200), ..OPTIONS };
    env.provider = Arc::new(crate::openai::OpenAi::new(http(options)));
    let request = chat_request("hi");
    let replies = futures::future::join_all((0..8).map(|_| env.chat_request(&request))).await;
    assert!(replies.iter().all(Result::is_err));
    assert_eq!(env.mock.token_requests(), 1);
    env.mock.set_script(requires(RequiredAuth::Token(token_endpoint())));
    env.chat_request(&request).await.expect("the next call requests a token again");
}

#[tokio::test]
async fn unreachable_and_private_token_endpoints_are_reported() {
    let mut env = oauth_env(token_endpoint()).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = closed.local_addr().expect("an address");
    drop(closed);
    env.endpoint.auth.token_url = format!("http://{addr}/token");
    let error = env.error().await;
    assert_eq!((error.decision, error.cause), (Decision::Retry, Cause::Connect), "{error}");

    env.endpoint.base_url = "http://8.8.8.8:1/v1".into();
    let public_only = http(HttpOptions { allow_private_urls: false, ..OPTIONS });
    env.provider = Arc::new(crate::openai::OpenAi::new(public_only));
    let error = env.error().await;
    assert_eq!(error.decision, REFUSED, "{error}");
    assert!(error.message.contains("private network"), "{error}");
}

#[tokio::test]
async fn access_token_that_the_server_repeats_is_masked() {
    let tokens = oauth_env(token_endpoint()).await;
    let script = requires(RequiredAuth::Bearer("another-key".into()));
    let mut env = env(ConnectionKind::OpenAi, script).await;
    use_token(&mut env.endpoint, &tokens.mock);
    let error = env.error().await;
    assert!(error.message.contains("Bearer [key]"), "{error}");
    assert!(!format!("{error:?}").contains("access-token-"), "{error:?}");

    env.endpoint.auth = ConnectionAuth { username: "ana".into(), ..AuthScheme::Basic.into() };
    let error = env.error().await;
    assert!(error.message.contains("Basic [key]"), "{error}");
}

#[tokio::test]
async fn latency_of_a_reply_excludes_the_token_request() {
    let mut env = oauth_env(TokenEndpoint { latency_ms: 1000, ..token_endpoint() }).await;
    let demo = Arc::new(crate::openai::OpenAi::new(http(OPTIONS)));
    env.provider = Arc::new(Connector::new(http(OPTIONS), demo));
    let reply = env.call(&env.outbound(), Duration::from_secs(30)).await.expect("a reply");
    assert!(reply.latency < Duration::from_millis(900), "{:?}", reply.latency);
    assert_eq!(env.mock.token_requests(), 1);
}

#[tokio::test]
async fn connection_sets_its_own_timeout() {
    let mut env = env(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Hang)])).await;
    env.endpoint.timeout = Some(Duration::from_millis(100));
    let outbound = env.outbound();
    let call = env.call(&outbound, Duration::from_secs(600));
    let error = tokio::time::timeout(Duration::from_secs(30), call).await.expect("in time");
    let error = error.expect_err("a timeout");
    assert!(error.message.contains("within 0.1 s"), "{error}");
}

#[tokio::test]
async fn models_are_listed_with_the_credentials_of_the_connection() {
    let script = Script {
        models: vec!["b".into(), "a".into()],
        required_query: BTreeMap::from([("api-version".to_owned(), "v1".to_owned())]),
        ..requires(RequiredAuth::ApiKey(SECRET.into()))
    };
    let mock = mock_provider::start(script.clone()).await.expect("a mock provider");
    let demo = Arc::new(crate::openai::OpenAi::new(http(OPTIONS)));
    let connector = Connector::new(http(OPTIONS), demo);
    let urls = [
        (ConnectionKind::OpenAi, mock.openai_url()),
        (ConnectionKind::Anthropic, mock.anthropic_url()),
    ];
    for (kind, url) in urls {
        let mut endpoint = Endpoint { kind, ..endpoint(&url) };
        endpoint.key = Some(SECRET.into());
        // A missing api-version is a 404, like a missing list.
        assert_eq!(connector.models(&endpoint).await, Ok(Vec::new()));
        endpoint.query.insert("api-version".into(), "v1".into());
        let error = connector.models(&endpoint).await.expect_err("another scheme");
        assert_eq!(error.decision, REFUSED);
        endpoint.auth = AuthScheme::ApiKey.into();
        assert_eq!(connector.models(&endpoint).await, Ok(vec!["a".to_owned(), "b".to_owned()]));
    }
    mock.set_script(Script { models: Vec::new(), ..script });
    let endpoint = Endpoint {
        auth: AuthScheme::ApiKey.into(),
        key: Some(SECRET.into()),
        query: BTreeMap::from([("api-version".to_owned(), "v1".to_owned())]),
        ..endpoint(&mock.openai_url())
    };
    assert_eq!(connector.models(&endpoint).await, Ok(Vec::new()), "a server without a list");
}
