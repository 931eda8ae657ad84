//! Tests connections through the outbound path: whether the address accepts
//! connections, what a model can do, and which models the server lists.

use super::capability_test;
use super::connections::ProviderAccess;
use async_trait::async_trait;
use domain::services::Caller;
use domain::{
    AuthScheme, Breaker, Capability, CapabilityStatus, CapabilityTest, ConnectionId,
    ConnectionKind, ConnectionTest, ErrorKind, is_secret_parameter,
};
use llm::outbound::{Call, CallHooks, CallLimits, CallOrder, NoHooks, Outbound};
use llm::private_urls::{self, ForbiddenAddress};
use llm::{CallError, Cause, ChatReply, ChatRequest, Endpoint};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Timeout of the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of one call of a test. A test makes at most two calls after another.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of the list of models.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call of a chat waits for a rate limit. A person waits for it.
const CHAT_WAIT: Duration = Duration::from_secs(10);
/// The number of characters of a reply that are shown.
const MAX_REPLY_CHARS: usize = 500;

/// Tests connections over the same outbound path as runs.
pub struct OutboundAccess {
    pub outbound: Arc<Outbound>,
    /// Whether private networks may be called.
    pub allow_private_urls: bool,
}

#[async_trait]
impl ProviderAccess for OutboundAccess {
    async fn test(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> ConnectionTest {
        let model = model.unwrap_or_default();
        let test = |capability| self.test_capability(caller, &endpoint, capability, &model);
        let reply = test(Capability::Reply).await;
        let ok = reply.status == CapabilityStatus::Passed;
        let others = [Capability::Tools, Capability::StructuredOutput];
        let mut capabilities = vec![reply.clone()];
        match others {
            // The demo model is always the same.
            _ if endpoint.kind == ConnectionKind::Demo => {}
            [tools, structured] if ok => {
                let (tools, structured) = tokio::join!(test(tools), test(structured));
                capabilities.extend([tools, structured]);
            }
            others => capabilities.extend(others.map(capability_test::skipped)),
        }
        let CapabilityTest { message, request, answer, latency_ms, .. } = reply;
        let models = Vec::new();
        ConnectionTest { ok, message, request, answer, latency_ms, capabilities, models }
    }

    async fn models(&self, endpoint: &Endpoint) -> Vec<String> {
        let listed = tokio::time::timeout(LIST_TIMEOUT, self.outbound.models(endpoint)).await;
        // A server without a list can still be used.
        listed.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn complete(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        request: &ChatRequest,
        time: Duration,
    ) -> (Result<ChatReply, CallError>, Duration) {
        let limits = CallLimits {
            call_timeout: time,
            active_left: time,
            max_wait: CHAT_WAIT,
            circuit_wait: Duration::ZERO,
        };
        let call = Call {
            user_id: caller.user_id,
            order: CallOrder::default(),
            is_manual_probe: false,
            resolver: &endpoint,
            request,
            limits,
            hooks: &NoHooks,
        };
        let outcome = self.outbound.call(call).await;
        (outcome.result, outcome.times.active)
    }

    async fn check_base_url(&self, base_url: &str) -> Option<String> {
        private_urls::check_base_url(base_url, self.allow_private_urls).await.err()
    }

    async fn check_reachable(&self, base_url: &str) -> Result<(), String> {
        check_reachable(base_url, self.allow_private_urls).await
    }

    fn breaker(&self, caller: &Caller, id: ConnectionId) -> Breaker {
        self.outbound.circuit(caller.user_id, id)
    }

    fn model_breaker(&self, caller: &Caller, id: ConnectionId, model: &str) -> Breaker {
        self.outbound.model_circuit(caller.user_id, id, model)
    }

    fn connection_changed(&self, id: ConnectionId) {
        self.outbound.reset_connection(id);
    }

    fn connection_saved(&self, id: ConnectionId) {
        self.outbound.clear_suspensions(id);
    }
}

impl OutboundAccess {
    /// Makes one call that needs this capability.
    async fn test_capability(
        &self,
        caller: &Caller,
        endpoint: &Endpoint,
        capability: Capability,
        model: &str,
    ) -> CapabilityTest {
        let request = capability_test::request_of(capability, model);
        let limits = CallLimits {
            call_timeout: TEST_TIMEOUT,
            active_left: TEST_TIMEOUT,
            max_wait: Duration::ZERO,
            circuit_wait: Duration::ZERO,
        };
        let attempt = AttemptRecorder::default();
        let call = Call {
            user_id: caller.user_id,
            order: CallOrder::default(),
            is_manual_probe: true,
            resolver: endpoint,
            request: &request,
            limits,
            hooks: &attempt,
        };
        let outcome = self.outbound.call(call).await;
        let line = || request_line(endpoint, model);
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        match outcome.result {
            Ok(reply) => {
                let (status, message) = capability_test::outcome_of_reply(capability, &reply);
                CapabilityTest {
                    capability,
                    status,
                    message,
                    request: line(),
                    answer: shown_answer(&reply),
                    latency_ms: millis(reply.latency),
                }
            }
            Err(error) => {
                let (status, message) = capability_test::outcome_of_error(capability, &error);
                CapabilityTest {
                    capability,
                    status,
                    message,
                    request: if attempt.was_sent(&error) { line() } else { String::new() },
                    answer: error_response(&error),
                    latency_ms: millis(outcome.times.active),
                }
            }
        }
    }
}

/// The beginning of a reply, with its tool calls.
fn shown_answer(reply: &ChatReply) -> String {
    let calls = reply.tool_calls.iter().map(|call| format!("{}({})", call.name, call.arguments));
    let parts: Vec<String> = std::iter::once(reply.text.clone()).chain(calls).collect();
    parts.join("\n").trim().chars().take(MAX_REPLY_CHARS).collect()
}

/// Records whether an attempt began.
#[derive(Default)]
struct AttemptRecorder(AtomicBool);

#[async_trait]
impl CallHooks for AttemptRecorder {
    async fn attempt_started(&self, _: u32) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl AttemptRecorder {
    /// Whether a request was sent before this error: not if a limit delayed the call
    /// or the call failed on our side.
    fn was_sent(&self, error: &CallError) -> bool {
        let ours = error.cause == Cause::NotSent && error.kind() != ErrorKind::RateLimited;
        self.0.load(Ordering::Relaxed) && (!ours || error.status.is_some())
    }
}

/// The provider's response to a failed call, as far as it is known.
fn error_response(error: &CallError) -> String {
    let status = error.status.map(|status| format!("HTTP {status}")).unwrap_or_default();
    let text = format!("{status}\n{}", error.provider_message);
    text.trim().chars().take(MAX_REPLY_CHARS).collect()
}

/// The request as it is sent, without secrets.
fn request_line(endpoint: &Endpoint, model: &str) -> String {
    let path = match endpoint.kind {
        ConnectionKind::Anthropic => "/v1/messages",
        ConnectionKind::OpenAi => "/chat/completions",
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

/// Whether the address of a URL accepts connections. The name is resolved once
/// and only addresses that a call may dial are dialed, so that users cannot probe
/// private networks.
async fn check_reachable(base_url: &str, allow_private: bool) -> Result<(), String> {
    let url = reqwest::Url::parse(base_url).map_err(|_| "has no usable base URL".to_owned())?;
    let host = url.host_str().ok_or("has no usable base URL")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let dial = async {
        let addrs = private_urls::addresses(&host, port, allow_private).await;
        let addrs = addrs.map_err(|error| match error.downcast_ref::<ForbiddenAddress>() {
            Some(forbidden) => format!("cannot be reached: {forbidden}"),
            None => format!("cannot be reached: the name {host} cannot be resolved"),
        })?;
        let connect = tokio::net::TcpStream::connect(addrs.as_slice()).await;
        connect.map(drop).map_err(|error| {
            format!("cannot be reached: {host}:{port} accepts no connections ({})", error.kind())
        })
    };
    tokio::time::timeout(CONNECT_TIMEOUT, dial).await.unwrap_or_else(|_| {
        let seconds = CONNECT_TIMEOUT.as_secs();
        Err(format!("cannot be reached: {host}:{port} did not answer within {seconds} s"))
    })
}

#[cfg(test)]
mod tests {
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
        let provider_access = OutboundAccess { outbound, allow_private_urls: true };
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
        provider_access.connection_changed(id);
        assert_eq!(provider_access.breaker(&anna, id), Breaker::default(), "an edit ends it");
        suspend().await;
        provider_access.connection_saved(id);
        assert_eq!(
            provider_access.breaker(&anna, id),
            Breaker::default(),
            "an unchanged save ends it"
        );
    }

    /// A server without support for tools. It lists its models, or never answers.
    struct NoTools {
        lists_models: bool,
        is_down: bool,
    }

    #[async_trait]
    impl Provider for NoTools {
        async fn complete(
            &self,
            _: &Endpoint,
            request: &ChatRequest,
        ) -> Result<ChatReply, CallError> {
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
            if self.lists_models {
                Ok(vec!["m-1".to_owned()])
            } else {
                std::future::pending().await
            }
        }
    }

    fn access(provider: NoTools) -> OutboundAccess {
        let rng = rand::rngs::SmallRng::seed_from_u64(1);
        let outbound = Arc::new(Outbound::new(Arc::new(provider), Arc::new(SystemClock), rng));
        OutboundAccess { outbound, allow_private_urls: true }
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
            async fn complete(
                &self,
                _: &Endpoint,
                _: &ChatRequest,
            ) -> Result<ChatReply, CallError> {
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
        let provider_access = OutboundAccess { outbound, allow_private_urls: true };
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
            assert_eq!(check_reachable(&url, true).await, Ok(()));
            listener.accept().await.unwrap();
            let refused = check_reachable(&url, false).await.unwrap_err();
            assert!(refused.contains("private network"), "{refused}");
        }
        // A connection in the backlog would be accepted first.
        let own = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (_, first) = listener.accept().await.unwrap();
        assert_eq!(first, own.local_addr().unwrap(), "no connection was dialed");
        drop(listener);
        let closed = check_reachable(&format!("http://127.0.0.1:{port}"), true).await.unwrap_err();
        assert!(closed.contains("accepts no connections"), "{closed}");
    }
}
