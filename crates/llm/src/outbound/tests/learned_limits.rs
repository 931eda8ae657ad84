//! Providers without rate limit headers, as whole suites meet them: what the limiter
//! learns from refusals, and what it costs.

use super::SECOND;
use super::provider_models::{Answer, Model, random_faults, sliding_minute, token_bucket};
use super::simulation::{Load, Simulated, bare_client, simulate};
use domain::ErrorKind;
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(50);

/// 200 conversations of five turns and a judge call, 32 at a time.
const SUITE: Load = Load { users: 1, conversations: 200, calls: 6, concurrency: 32 };

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn flaky_gateway_costs_little_more_than_its_faults() {
    let mut ratios = Vec::new();
    for seed in 1..=5 {
        let faults = || random_faults(seed, 0.05, 0.02, SECOND);
        let bare = bare_client(SUITE, LATENCY, faults()).await;
        let Simulated { took, replies, errors, .. } = simulate(SUITE, LATENCY, faults()).await;
        assert_eq!((replies, errors), (1200, vec![]), "seed {seed}");
        ratios.push(ratio(took, bare));
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[2] <= 1.25, "median of {ratios:?}");
}

#[tokio::test(start_paused = true)]
async fn very_flaky_gateway_is_not_taken_for_a_limit_for_long() {
    for share in [0.1, 0.2] {
        let mut ratios = Vec::new();
        for seed in 1..=5 {
            let faults = || random_faults(seed, share, 0.0, SECOND);
            let bare = bare_client(SUITE, LATENCY, faults()).await;
            let Simulated { took, replies, .. } = simulate(SUITE, LATENCY, faults()).await;
            assert_eq!(replies, 1200, "{share}, seed {seed}");
            ratios.push(ratio(took, bare));
        }
        ratios.sort_by(f64::total_cmp);
        assert!(ratios[2] <= 1.6, "{share}: median of {ratios:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_faults_suite_is_as_fast_as_bare_client() {
    let accept = || -> Model { Box::new(|_, _, _| Answer::Accept) };
    let bare = bare_client(SUITE, LATENCY, accept()).await;
    let Simulated { took, replies, .. } = simulate(SUITE, LATENCY, accept()).await;
    assert_eq!(replies, 1200);
    assert!(ratio(took, bare) <= 1.1, "{took:?} and {bare:?}");
}

#[tokio::test(start_paused = true)]
async fn steady_rate_is_learned_at_few_refusals() {
    // The latency in ms, requests per minute, burst, and the maxima: of the time compared
    // with the ideal, and of refused calls. A limit without a burst refuses every second
    // call that comes too early, so it takes longer to approach.
    for (latency, per_minute, burst, most, most_refused) in [
        (50, 600, 10, 1.1, 30),
        (20, 600, 10, 1.1, 30),
        (100, 600, 10, 1.1, 30),
        (800, 180, 5, 1.1, 45),
        (300, 300, 20, 1.1, 45),
        (50, 6000, 100, 1.1, 66),
        (50, 600, 1, 1.2, 36),
        (200, 60, 1, 1.2, 36),
    ] {
        let load = Load { users: 1, conversations: 600, calls: 1, concurrency: 32 };
        let latency = Duration::from_millis(latency);
        let model = token_bucket(per_minute, burst, None);
        let Simulated { took, replies, errors, provider } = simulate(load, latency, model).await;
        assert_eq!((replies, errors), (600, vec![]));
        let per_second = f64::from(per_minute) / 60.0;
        let ideal = Duration::from_secs_f64(f64::from(600 - burst) / per_second);
        let (ratio, refused) = (ratio(took, ideal), provider.refused());
        assert!(ratio <= most, "{ratio} at {per_minute}, {refused} refused");
        assert!(refused <= most_refused, "{refused} refused at {per_minute} and {latency:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_is_lost_to_waiting_while_provider_makes_progress() {
    let load = Load { users: 10, conversations: 3, calls: 20, concurrency: 3 };
    // The models, and the maxima of minutes and of refused calls. The ideals are 11, 12
    // and 11 minutes. A large burst is used up by 30 calls at once, and hides the rate.
    for (model, minutes, most_refused) in [
        (sliding_minute(50), 14, 120),
        (token_bucket(50, 1, None), 15, 40),
        (token_bucket(50, 50, Some(SECOND)), 14, 150),
    ] {
        let Simulated { took, replies, errors, provider } = simulate(load, SECOND, model).await;
        assert_eq!((replies, errors), (600, vec![]), "30 runs share 50 calls a minute");
        let refused = provider.refused();
        assert!(took <= Duration::from_secs(minutes * 60), "{took:?}, {refused} refused");
        assert!(refused <= most_refused, "{refused} refused");
    }
}

/// A provider that misbehaves, and what comes of 20 conversations of five calls.
struct BadProvider {
    name: &'static str,
    model: Model,
    /// The calls that get a reply, of 100.
    replies: u32,
    /// The kind of the errors of all other conversations.
    kind: Option<ErrorKind>,
    took: Duration,
    requests: usize,
    per_second: usize,
}

/// Refuses every second request.
fn every_second(retry_after: Option<u64>, overloaded: bool) -> Model {
    let mut count = 0_u64;
    let retry_after = retry_after.map(Duration::from_secs);
    Box::new(move |_, _, _| {
        count += 1;
        if count.is_multiple_of(2) {
            Answer::Refuse { retry_after, overloaded }
        } else {
            Answer::Accept
        }
    })
}

/// Refuses every request from `from` on, for so many seconds.
fn refusing(from: Duration, seconds: u64, retry_after: Option<u64>) -> Model {
    let retry_after = retry_after.map(Duration::from_secs);
    let during = from..from + Duration::from_secs(seconds);
    Box::new(
        move |now, _, _| {
            if during.contains(&now) { Answer::refuse(retry_after) } else { Answer::Accept }
        },
    )
}

fn bad_providers() -> Vec<BadProvider> {
    let all = |name, model, seconds, requests| BadProvider {
        name,
        model,
        replies: 100,
        kind: None,
        took: Duration::from_secs(seconds),
        requests,
        per_second: 130,
    };
    let failing = |name, model, seconds, requests| BadProvider {
        replies: 0,
        kind: Some(ErrorKind::RateLimited),
        ..all(name, model, seconds, requests)
    };
    let (start, forever) = (Duration::ZERO, 1_000_000);
    vec![
        all("every second 429, Retry-After 1", every_second(Some(1), false), 60, 300),
        all("every second 429, Retry-After 0", every_second(Some(0), false), 60, 300),
        all("every second 429 without Retry-After", every_second(None, false), 120, 300),
        all("200 and 529 in turn", every_second(None, true), 300, 300),
        all("429 for 90 s, Retry-After 1", refusing(start, 90, Some(1)), 120, 250),
        all("429 for 90 s, Retry-After 0", refusing(start, 90, Some(0)), 120, 250),
        all("429 for 90 s without Retry-After", refusing(start, 90, None), 150, 250),
        all("429 for 90 s after a start", refusing(4 * LATENCY, 90, None), 150, 250),
        failing("429 for ever, Retry-After 0", refusing(start, forever, Some(0)), 1300, 400),
        failing("429 for ever without Retry-After", refusing(start, forever, None), 1300, 400),
        failing("429 for ever, Retry-After 86400", refusing(start, forever, Some(86_400)), 15, 20),
    ]
}

#[tokio::test(start_paused = true)]
async fn bad_providers_have_bounded_outcomes() {
    let load = Load { users: 1, conversations: 20, calls: 5, concurrency: 10 };
    for bad in bad_providers() {
        let name = bad.name;
        let Simulated { took, replies, errors, provider } =
            simulate(load, LATENCY, bad.model).await;
        let kinds: Vec<ErrorKind> = errors.iter().map(|error| error.kind()).collect();
        assert_eq!(replies, bad.replies, "{name}: {kinds:?}");
        assert!(kinds.iter().all(|kind| Some(*kind) == bad.kind), "{name}: {kinds:?}");
        let (requests, most) = (provider.seen().len(), provider.most_per_second());
        assert!(took <= bad.took, "{name}: {took:?}, {requests} requests");
        assert!(requests <= bad.requests, "{name}: {requests} requests in {took:?}");
        assert!(most <= bad.per_second, "{name}: {most} requests within a second");
    }
}
