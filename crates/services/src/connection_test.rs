//! What the use cases know of the world: whether somebody answers at a
//! connection's address, and what a model says when it is asked once.

use super::connections::ConnectionTester;
use async_trait::async_trait;
use domain::services::Caller;
use domain::{Breaker, ConnectionId, ConnectionKind, ConnectionTest, ErrorKind};
use llm::outbound::{CallLimits, CallTimes, CallWatcher, Outbound, Scope};
use llm::private_urls::{self, ForbiddenAddress};
use llm::{CallError, Cause, ChatRequest, Endpoint, Message};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long an address may take to take a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a test may take.
const TEST: Duration = Duration::from_secs(30);
/// Characters of an answer that are shown.
const SHOWN: usize = 500;

/// Tests over the outbound path, as runs call.
pub struct OutboundTester {
    /// The path.
    pub outbound: Arc<Outbound>,
    /// Whether private networks may be called.
    pub allow_private_urls: bool,
}

#[async_trait]
impl ConnectionTester for OutboundTester {
    async fn test(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        model: Option<String>,
    ) -> ConnectionTest {
        let request = ChatRequest {
            model: model.unwrap_or_default(),
            messages: vec![Message::User("AppResult with the single word: ready".to_owned())],
            max_tokens: 16,
            ..ChatRequest::default()
        };
        let scope = Scope { user_id: caller.user_id, probe: true };
        let limits = CallLimits {
            call_timeout: TEST,
            active_left: TEST,
            max_wait: Duration::ZERO,
            circuit_wait: Duration::ZERO,
        };
        let mut times = CallTimes::default();
        let began = Began::default();
        let answer =
            self.outbound.call(&scope, &endpoint, &request, &limits, &began, &mut times).await;
        let line = || request_line(&endpoint, &request.model);
        let latency_ms = u32::try_from(times.active.as_millis()).unwrap_or(u32::MAX);
        match answer {
            Ok(reply) => ConnectionTest {
                ok: true,
                message: format!("The model answered in {} ms.", reply.latency.as_millis()),
                request: line(),
                answer: reply.text.chars().take(SHOWN).collect(),
                latency_ms: u32::try_from(reply.latency.as_millis()).unwrap_or(u32::MAX),
            },
            Err(error) => ConnectionTest {
                ok: false,
                message: error.message.clone(),
                request: if began.sent(&error) { line() } else { String::new() },
                answer: refusal(&error),
                latency_ms,
            },
        }
    }

    async fn refuses(&self, base_url: &str) -> Option<String> {
        private_urls::check_base_url(base_url, self.allow_private_urls).await.err()
    }

    async fn answers(&self, base_url: &str) -> Result<(), String> {
        answers(base_url, self.allow_private_urls).await
    }

    fn breaker(&self, caller: &Caller, id: ConnectionId) -> Breaker {
        self.outbound.circuit(caller.user_id, id)
    }

    fn breaker_of(&self, caller: &Caller, id: ConnectionId, model: &str) -> Breaker {
        self.outbound.circuit_of(caller.user_id, id, model)
    }

    fn edited(&self, _: &Caller, id: ConnectionId) {
        self.outbound.forget(id);
    }

    fn saved(&self, _: &Caller, id: ConnectionId) {
        self.outbound.unlatch(id);
    }
}

/// Whether an attempt began.
#[derive(Default)]
struct Began(AtomicBool);

#[async_trait]
impl CallWatcher for Began {
    async fn attempt_started(&self, _: u32) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Began {
    /// Whether a call that ended like this went out: not if it was held back, nor
    /// if it was stopped on our side.
    fn sent(&self, error: &CallError) -> bool {
        let ours = error.cause == Cause::Unsent && error.kind() != ErrorKind::RateLimited;
        self.0.load(Ordering::Relaxed) && (!ours || error.status.is_some())
    }
}

/// What came back of a call that failed, as far as it is known.
fn refusal(error: &CallError) -> String {
    let status = error.status.map(|status| format!("HTTP {status}")).unwrap_or_default();
    let text = format!("{status}\n{}", error.words);
    text.trim().chars().take(SHOWN).collect()
}

/// The request as it is sent, with what is secret left out.
fn request_line(endpoint: &Endpoint, model: &str) -> String {
    let key = if endpoint.key.is_some() { "•••" } else { "none" };
    let headers: Vec<_> = endpoint.headers.keys().map(|name| format!("\n{name}: •••")).collect();
    let (path, auth) = match endpoint.kind {
        ConnectionKind::Anthropic => ("/v1/messages", format!("x-api-key: {key}")),
        ConnectionKind::OpenAi => ("/chat/completions", format!("authorization: Bearer {key}")),
        ConnectionKind::Demo => return format!("demo (no network)\nmodel: {model}"),
    };
    format!("POST {}{path}\n{auth}{}\nmodel: {model}", endpoint.base_url, headers.concat())
}

/// Whether somebody takes a connection at the address of a URL. The name is
/// resolved once, and only what a call may dial is dialled: where somebody
/// answers in a private network is nobody's to find out.
async fn answers(base_url: &str, allow_private: bool) -> Result<(), String> {
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
            format!("cannot be reached: nobody answers at {host}:{port} ({})", error.kind())
        })
    };
    tokio::time::timeout(CONNECT, dial).await.unwrap_or_else(|_| {
        Err(format!(
            "cannot be reached: {host}:{port} did not answer within {} s",
            CONNECT.as_secs()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::{Clock, SystemClock};
    use domain::{BreakerState, SpaceId, UserId};
    use llm::testing::{endpoint, reply};
    use llm::{ChatReply, Decision, Provider};
    use parking_lot::Mutex;
    use rand::SeedableRng;
    use uuid::Uuid;

    /// Accepts the key once it is told that it is valid.
    struct Keyed(Mutex<bool>);

    #[async_trait]
    impl Provider for Keyed {
        async fn complete(&self, _: &Endpoint, _: &ChatRequest) -> Result<ChatReply, CallError> {
            if *self.0.lock() {
                return Ok(reply(1, 1));
            }
            let decision = Decision::GiveUp(ErrorKind::CredentialInvalid);
            Err(CallError {
                status: Some(401),
                words: "no such key".to_owned(),
                ..CallError::new(decision, "No such key (401).")
            })
        }
    }

    fn caller(n: u128) -> Caller {
        let id = Uuid::from_u128(n);
        Caller { user_id: UserId(id), space_id: SpaceId(id), email: String::new() }
    }

    #[tokio::test]
    async fn a_circuit_is_shown_to_its_user_and_ended_by_a_test_or_an_edit() {
        let provider = Arc::new(Keyed(Mutex::new(false)));
        let rng = rand::rngs::SmallRng::seed_from_u64(1);
        let outbound = Arc::new(Outbound::new(provider.clone(), Arc::new(SystemClock), rng));
        let tester = OutboundTester { outbound, allow_private_urls: true };
        let (anna, ben, at) = (caller(1), caller(2), endpoint("http://x"));
        let id = at.connection_id;
        let latch = async || {
            *provider.0.lock() = false;
            let tested = tester.test(&anna, at.clone(), None).await;
            assert!(!tested.ok && tested.answer == "HTTP 401\nno such key", "{tested:?}");
            assert!(tested.request.starts_with("POST "), "{tested:?}");
            let breaker = tester.breaker(&anna, id);
            assert_eq!(breaker.state, BreakerState::Latched);
            assert_eq!(breaker.reason.as_deref(), Some("No such key (401)."));
            assert!(breaker.until.is_some());
            assert_eq!(tester.breaker(&ben, id), Breaker::default());
            *provider.0.lock() = true;
        };
        latch().await;
        assert!(tester.test(&anna, at.clone(), None).await.ok);
        assert_eq!(tester.breaker(&anna, id), Breaker::default());
        latch().await;
        tester.edited(&ben, id);
        assert_eq!(tester.breaker(&anna, id), Breaker::default(), "whoever edited it");
        latch().await;
        tester.saved(&ben, id);
        assert_eq!(tester.breaker(&anna, id), Breaker::default(), "or saved it as it was");
    }

    #[tokio::test]
    async fn what_was_not_sent_is_not_shown_as_a_request() {
        /// Asks for a pause of an hour.
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
                Err(CallError { status: Some(429), ..CallError::new(decision, "Full (429).") })
            }
        }
        let rng = rand::rngs::SmallRng::seed_from_u64(1);
        let outbound = Arc::new(Outbound::new(Arc::new(Full), Arc::new(SystemClock), rng));
        let tester = OutboundTester { outbound, allow_private_urls: true };
        let asked = tester.test(&caller(1), endpoint("http://x"), None).await;
        assert!(asked.request.starts_with("POST "), "this one was sent: {asked:?}");
        let held = tester.test(&caller(1), endpoint("http://x"), None).await;
        assert_eq!((held.ok, held.request.as_str(), held.answer.as_str()), (false, "", ""));
        let until = held.message.split("(until ").nth(1).and_then(|rest| rest.split(')').next());
        let until = until.expect("until when");
        assert!(
            until.ends_with(" UTC") && until.len() == "2026-11-25 06:05:32 UTC".len(),
            "{until}"
        );
    }

    #[tokio::test]
    async fn nothing_is_dialled_that_a_call_would_not_dial() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Literal, and behind a name: as after a look that saw another address.
        for host in ["127.0.0.1", "localhost"] {
            let url = format!("http://{host}:{port}/v1");
            assert_eq!(answers(&url, true).await, Ok(()));
            listener.accept().await.unwrap();
            let refused = answers(&url, false).await.unwrap_err();
            assert!(refused.contains("private network"), "{refused}");
        }
        // Whoever came before would be taken first.
        let own = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (_, first) = listener.accept().await.unwrap();
        assert_eq!(first, own.local_addr().unwrap(), "nobody dialled");
        drop(listener);
        let closed = answers(&format!("http://127.0.0.1:{port}"), true).await.unwrap_err();
        assert!(closed.contains("nobody answers"), "{closed}");
    }
}
