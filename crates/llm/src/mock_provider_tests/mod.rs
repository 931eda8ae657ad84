//! Tests of the adapters over real HTTP against the mock provider.

mod authentication;
mod broken;
mod errors;
mod forms;
mod network;
mod providers;
mod rate_limits;
mod responses;
mod scripting;
mod wire;

use crate::anthropic::Anthropic;
use crate::http::{HttpClient, HttpOptions};
use crate::openai::OpenAi;
use crate::outbound::{Call, CallLimits, CallOrder, NoHooks, Outbound};
use crate::testing::{chat_request, endpoint};
use clock::SystemClock;
use domain::{AuthScheme, ConnectionKind, UserId};
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use mock_provider::{MockProvider, Script};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const OPTIONS: HttpOptions = HttpOptions {
    connect_timeout: Duration::from_secs(5),
    idle_timeout: Duration::from_secs(5),
    token_timeout: Duration::from_secs(5),
    max_body: 1024 * 1024,
    allow_private_urls: true,
};

fn http(options: HttpOptions) -> HttpClient {
    HttpClient::new(options, Arc::new(SystemClock)).expect("a client")
}

struct TestEnv {
    mock: MockProvider,
    provider: Arc<dyn Provider>,
    endpoint: Endpoint,
}

async fn env(kind: ConnectionKind, script: Script) -> TestEnv {
    rig_with(kind, script, OPTIONS).await
}

async fn rig_with(kind: ConnectionKind, script: Script, options: HttpOptions) -> TestEnv {
    let mock = mock_provider::start(script).await.expect("a mock provider");
    let (provider, url): (Arc<dyn Provider>, String) = match kind {
        ConnectionKind::Anthropic => {
            (Arc::new(Anthropic::new(http(options))), mock.anthropic_url())
        }
        _ => (Arc::new(OpenAi::new(http(options))), mock.openai_url()),
    };
    let auth = AuthScheme::default_of(kind).into();
    let endpoint = Endpoint { kind, auth, ..endpoint(&url) };
    TestEnv { mock, provider, endpoint }
}

impl TestEnv {
    async fn chat_request(&self, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.provider.complete(&self.endpoint, request).await
    }

    async fn error(&self) -> CallError {
        self.chat_request(&chat_request("hi")).await.expect_err("an error")
    }

    fn outbound(&self) -> Outbound {
        Outbound::new(Arc::clone(&self.provider), Arc::new(SystemClock), SmallRng::seed_from_u64(1))
    }

    async fn call(
        &self,
        outbound: &Outbound,
        call_timeout: Duration,
    ) -> Result<ChatReply, CallError> {
        let minute = Duration::from_secs(60);
        let limits = CallLimits {
            call_timeout,
            active_left: minute,
            max_wait: minute,
            circuit_wait: minute,
        };
        let call = Call {
            user_id: UserId(Uuid::from_u128(1)),
            order: CallOrder::default(),
            is_manual_probe: false,
            resolver: &self.endpoint,
            request: &chat_request("hi"),
            limits,
            hooks: &NoHooks,
        };
        outbound.call(call).await.result
    }
}

const PROTOCOLS: [ConnectionKind; 3] =
    [ConnectionKind::Anthropic, ConnectionKind::OpenAi, ConnectionKind::OpenAiResponses];
