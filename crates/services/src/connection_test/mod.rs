//! Tests connections through the outbound path: whether the address accepts
//! connections, what a model can do, and which models the server lists.

mod exchange;
#[cfg(test)]
mod tests;

use super::capability_test;
use super::connections::ProviderAccess;
use async_trait::async_trait;
use domain::services::Caller;
use domain::{
    Breaker, Capability, CapabilityStatus, CapabilityTest, ConnectionId, ConnectionKind,
    ConnectionTest, ErrorKind,
};
use exchange::{error_response, request_line, shown_answer};
use llm::OutboundNetwork;
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

/// Tests connections over the same outbound path as runs.
pub struct OutboundAccess {
    pub outbound: Arc<Outbound>,
    /// Whether private networks may be called.
    pub allow_private_urls: bool,
    /// The proxy that calls go through.
    pub network: OutboundNetwork,
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
        check_reachable(base_url, self.allow_private_urls, &self.network).await
    }

    fn breaker(&self, caller: &Caller, id: ConnectionId) -> Breaker {
        self.outbound.circuit(caller.user_id, id)
    }

    fn model_breaker(&self, caller: &Caller, id: ConnectionId, model: &str) -> Breaker {
        self.outbound.model_circuit(caller.user_id, id, model)
    }

    fn reset_connection(&self, id: ConnectionId) {
        self.outbound.reset_connection(id);
    }

    fn clear_suspensions(&self, id: ConnectionId) {
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

/// Whether the address of a URL accepts connections. The name is resolved once
/// and only addresses that a call may dial are dialed, so that users cannot probe
/// private networks.
///
/// Through a proxy, the address of the proxy is dialed.
async fn check_reachable(
    base_url: &str,
    allow_private: bool,
    network: &OutboundNetwork,
) -> Result<(), String> {
    let url = reqwest::Url::parse(base_url).map_err(|_| "has no usable base URL".to_owned())?;
    let host = url.host_str().ok_or("has no usable base URL")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let proxy = network.proxy_of(&url);
    let allow_private = allow_private || proxy.is_some();
    let (host, port) = proxy.unwrap_or((host, port));
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
