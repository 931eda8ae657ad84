//! The adapters over real HTTP, against the stand: what goes over the wire,
//! and what is made of everything that can come back. Here: a stand with an
//! adapter before it.

mod broken;
mod errors;
mod forms;
mod rate_limits;
mod the_stand;
mod wire;

use clock::SystemClock;
use crate::anthropic::Anthropic;
use crate::http::{HttpClient, HttpOptions};
use crate::openai::OpenAi;
use crate::outbound::{CallLimits, CallTimes, Outbound, Scope, Unwatched};
use crate::testing::{ask, endpoint};
use llm_types::{CallError, ChatReply, ChatRequest, Endpoint, Provider};
use domain::{ConnectionKind, UserId};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use mock_provider::{Script, Stand};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const OPTIONS: HttpOptions = HttpOptions {
    connect_timeout: Duration::from_secs(5),
    idle_timeout: Duration::from_secs(5),
    max_body: 1024 * 1024,
    allow_private_urls: true,
};

fn http(options: HttpOptions) -> HttpClient {
    HttpClient::new(options, Arc::new(SystemClock)).expect("a client")
}

struct Rig {
    stand: Stand,
    provider: Arc<dyn Provider>,
    endpoint: Endpoint,
}

async fn rig(kind: ConnectionKind, script: Script) -> Rig {
    rig_with(kind, script, OPTIONS).await
}

async fn rig_with(kind: ConnectionKind, script: Script, options: HttpOptions) -> Rig {
    let stand = mock_provider::start(script).await.expect("a stand");
    let (provider, url): (Arc<dyn Provider>, String) = match kind {
        ConnectionKind::Anthropic => {
            (Arc::new(Anthropic::new(http(options))), stand.anthropic_url())
        }
        _ => (Arc::new(OpenAi::new(http(options))), stand.openai_url()),
    };
    let endpoint = Endpoint { kind, ..endpoint(&url) };
    Rig { stand, provider, endpoint }
}

impl Rig {
    async fn ask(&self, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.provider.complete(&self.endpoint, request).await
    }

    async fn error(&self) -> CallError {
        self.ask(&ask("hi")).await.expect_err("an error")
    }

    fn outbound(&self) -> Outbound {
        Outbound::new(Arc::clone(&self.provider), Arc::new(SystemClock), SmallRng::seed_from_u64(1))
    }

    async fn call(
        &self,
        outbound: &Outbound,
        call_timeout: Duration,
    ) -> Result<ChatReply, CallError> {
        let scope = Scope { user_id: UserId(Uuid::from_u128(1)), probe: false };
        let minute = Duration::from_secs(60);
        let limits = CallLimits {
            call_timeout,
            active_left: minute,
            max_wait: minute,
            circuit_wait: minute,
        };
        let mut times = CallTimes::default();
        outbound.call(&scope, &self.endpoint, &ask("hi"), &limits, &Unwatched, &mut times).await
    }
}

const BOTH: [ConnectionKind; 2] = [ConnectionKind::Anthropic, ConnectionKind::OpenAi];
