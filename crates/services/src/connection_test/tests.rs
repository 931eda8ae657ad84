use super::*;
use clock::{Clock, SystemClock};
use domain::{BreakerState, SpaceId, UserId};
use llm::rate_headers::{RateLimit, RateLimits};
use llm::testing::{endpoint, reply};
use llm::{Decision, Provider};
use parking_lot::Mutex;
use rand::SeedableRng;
use uuid::Uuid;

/// Accepts the key after it was declared valid.
struct KeyCheckingProvider(Mutex<bool>);

#[async_trait]
impl Provider for KeyCheckingProvider {
    async fn complete(&self, _: &Endpoint, _: &ChatRequest) -> Result<ChatReply, CallError> {
        if *self.0.lock() {
            return Ok(reply(1, 1));
        }
        let decision = Decision::GiveUp(ErrorKind::CredentialInvalid);
        Err(CallError {
            status: Some(401),
            provider_message: "no such key".to_owned(),
            ..CallError::new(decision, "No such key (401).")
        })
    }
}

fn caller(n: u128) -> Caller {
    let id = Uuid::from_u128(n);
    Caller {
        user_id: UserId(id),
        space_id: SpaceId(id),
        email: String::new(),
        auth: domain::services::AuthMethod::Password,
    }
}

#[tokio::test]
async fn circuit_is_visible_to_its_user_and_ends_by_test_or_edit() {
    let provider = Arc::new(KeyCheckingProvider(Mutex::new(false)));
    let rng = rand::rngs::SmallRng::seed_from_u64(1);
    let outbound = Arc::new(Outbound::new(provider.clone(), Arc::new(SystemClock), rng));
    let provider_access =
        OutboundAccess { outbound, allow_private_urls: true, network: OutboundNetwork::default() };
    let (anna, ben, at) = (caller(1), caller(2), endpoint("http://x"));
    let id = at.connection_id;
    let suspend = async || {
        *provider.0.lock() = false;
        let tested = provider_access.test(&anna, at.clone(), None).await;
        assert!(!tested.ok && tested.answer == "HTTP 401\nno such key", "{tested:?}");
        assert!(tested.request.starts_with("POST "), "{tested:?}");
        let breaker = provider_access.breaker(&anna, id);
        assert_eq!(breaker.state, BreakerState::Suspended);
        assert_eq!(breaker.reason.as_deref(), Some("No such key (401)."));
        assert!(breaker.until.is_some());
        assert_eq!(provider_access.breaker(&ben, id), Breaker::default());
        *provider.0.lock() = true;
    };
    suspend().await;
    assert!(provider_access.test(&anna, at.clone(), None).await.ok);
    assert_eq!(provider_access.breaker(&anna, id), Breaker::default());
    suspend().await;
    provider_access.reset_connection(id);
    assert_eq!(provider_access.breaker(&anna, id), Breaker::default(), "an edit ends it");
    suspend().await;
    provider_access.clear_suspensions(id);
    assert_eq!(provider_access.breaker(&anna, id), Breaker::default(), "an unchanged save ends it");
}

/// A server without support for tools. It lists its models, or never answers.
struct NoTools {
    lists_models: bool,
    is_down: bool,
}

#[async_trait]
impl Provider for NoTools {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        let status = match (self.is_down, request.tools.is_empty()) {
            (true, _) => 404,
            (false, false) => 400,
            (false, true) => {
                return Ok(ChatReply { text: r#"{"answer": "ready"}"#.into(), ..reply(1, 1) });
            }
        };
        let decision = Decision::GiveUp(ErrorKind::ProviderRejected);
        Err(CallError { status: Some(status), ..CallError::new(decision, "No (4xx).") })
    }

    async fn models(&self, _: &Endpoint) -> Result<Vec<String>, CallError> {
        if self.lists_models { Ok(vec!["m-1".to_owned()]) } else { std::future::pending().await }
    }
}

fn access(provider: NoTools) -> OutboundAccess {
    let rng = rand::rngs::SmallRng::seed_from_u64(1);
    let outbound = Arc::new(Outbound::new(Arc::new(provider), Arc::new(SystemClock), rng));
    OutboundAccess { outbound, allow_private_urls: true, network: OutboundNetwork::default() }
}

#[tokio::test]
async fn each_capability_has_its_result() {
    use CapabilityStatus::{Failed, NotTested, Passed};
    let statuses = async |is_down| {
        let access = access(NoTools { lists_models: true, is_down });
        let tested = access.test(&caller(1), endpoint("http://x"), Some("m".into())).await;
        let all = tested.capabilities.iter().map(|test| test.status).collect::<Vec<_>>();
        assert_eq!(tested.ok, !is_down);
        assert_eq!(tested.message, tested.capabilities[0].message);
        (all, tested.capabilities)
    };
    let (all, capabilities) = statuses(false).await;
    assert_eq!(all, [Passed, Failed, Passed], "{capabilities:?}");
    let expected = "Tools are not supported by this server: agents with tools cannot run here.";
    assert!(capabilities[1].message.starts_with(expected), "{}", capabilities[1].message);
    let (all, capabilities) = statuses(true).await;
    assert_eq!(all, [Failed, NotTested, NotTested], "{capabilities:?}");
    assert_eq!(capabilities[1].request, "", "no request was sent");
}

#[tokio::test(start_paused = true)]
async fn list_of_models_is_bounded_in_time() {
    let models = async |lists_models| {
        access(NoTools { lists_models, is_down: false }).models(&endpoint("http://x")).await
    };
    assert_eq!(models(true).await, ["m-1"]);
    assert_eq!(models(false).await, Vec::<String>::new());
}

#[tokio::test]
async fn unsent_request_is_not_shown() {
    /// Reports that its limit is exhausted for an hour.
    struct Full;
    #[async_trait]
    impl Provider for Full {
        async fn complete(&self, _: &Endpoint, _: &ChatRequest) -> Result<ChatReply, CallError> {
            let until = Some(SystemClock.now().plus(Duration::from_secs(3600)));
            let decision = Decision::Wait { until, overloaded: false };
            let exhausted = RateLimit { limit: 1, remaining: 0, reset: until, period: None };
            let rate_limits =
                Some(Box::new(RateLimits { requests: Some(exhausted), ..Default::default() }));
            Err(CallError {
                status: Some(429),
                rate_limits,
                ..CallError::new(decision, "Full (429).")
            })
        }
    }
    let rng = rand::rngs::SmallRng::seed_from_u64(1);
    let outbound = Arc::new(Outbound::new(Arc::new(Full), Arc::new(SystemClock), rng));
    let provider_access =
        OutboundAccess { outbound, allow_private_urls: true, network: OutboundNetwork::default() };
    let sent = provider_access.test(&caller(1), endpoint("http://x"), None).await;
    assert!(sent.request.starts_with("POST "), "{sent:?}");
    let unsent = provider_access.test(&caller(1), endpoint("http://x"), None).await;
    assert_eq!((unsent.ok, unsent.request.as_str(), unsent.answer.as_str()), (false, "", ""));
    let (_, until) = unsent.message.split_once("(until ").expect("a time");
    let (until, _) = until.split_once(')').expect("a time");
    let example = "2026-11-25 06:05:32 UTC";
    assert!(until.ends_with(" UTC") && until.len() == example.len(), "{until}");
}

#[tokio::test]
async fn test_dials_only_addresses_that_calls_may_dial() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // As a literal address and behind a name.
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/v1");
        assert_eq!(check_reachable(&url, true, &direct()).await, Ok(()));
        listener.accept().await.unwrap();
        let refused = check_reachable(&url, false, &direct()).await.unwrap_err();
        assert!(refused.contains("private network"), "{refused}");
    }
    // A connection in the backlog would be accepted first.
    let own = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "no connection was dialed");
    drop(listener);
    let closed =
        check_reachable(&format!("http://127.0.0.1:{port}"), true, &direct()).await.unwrap_err();
    assert!(closed.contains("accepts no connections"), "{closed}");
}

fn direct() -> OutboundNetwork {
    OutboundNetwork::default()
}

#[tokio::test]
async fn address_behind_a_proxy_is_not_dialed_but_the_proxy_is() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = proxy.local_addr().expect("an address").port();
    let url = format!("http://user:secret@127.0.0.1:{port}");
    let network = direct().with_proxy(&url, "10.0.0.0/8").expect("a proxy");
    let unknown = "https://provider.example/v1";
    assert_eq!(check_reachable(unknown, false, &network).await, Ok(()));
    let refused = check_reachable("http://10.0.0.1/v1", false, &network).await;
    assert!(refused.is_err_and(|why| why.contains("private")), "it is called directly");
    drop(proxy);
    let closed = check_reachable(unknown, false, &network).await.expect_err("no proxy");
    assert!(closed.contains(&format!("127.0.0.1:{port}")) && !closed.contains("secret"));
}
