//! The outbound path over real providers, as the server uses it.

use crate::{Connector, HttpClient, HttpOptions, Learned, Outbound, OutboundNetwork, Provider};
use clock::{SharedClock, SteadyClock};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;

/// Creates the outbound path over HTTP and the demo model. `learned` is what is
/// known about the servers; `seed` seeds the jitter.
///
/// # Errors
/// A message for the operator if the HTTP client cannot be created.
pub fn outbound_over_http(
    clock: &SharedClock,
    allow_private_urls: bool,
    network: &OutboundNetwork,
    demo: Arc<dyn Provider>,
    learned: Learned,
    seed: u64,
) -> Result<Arc<Outbound>, String> {
    // Waits end at a point in time, which must not move when the system clock is
    // set back or the machine was paused.
    let clock: SharedClock = Arc::new(SteadyClock::starting_from(clock.as_ref()));
    let options = HttpOptions { allow_private_urls, ..HttpOptions::default() };
    let http = HttpClient::with_network(options, clock.clone(), network)
        .map_err(|error| format!("the HTTP client cannot be created: {error}"))?;
    let provider = Arc::new(Connector::with_learned(http, demo, learned));
    Ok(Arc::new(Outbound::new(provider, clock, SmallRng::seed_from_u64(seed))))
}
