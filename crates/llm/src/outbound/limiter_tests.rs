//! Tests of the limiter as a gate, on paused time.

use super::breakers_tests::opened;
use super::fair_queue::CallOrder;
use super::gate::{Admission, CallKey, Gate, Permit, PermitFuture};
use super::limiter::Limiter;
use super::token_estimate::RequestSize;
use crate::rate_headers::{RateLimit, RateLimits};
use crate::testing::reply;
use clock::{Clock, TokioClock};
use domain::{ConnectionId, Timestamp, UserId};
use futures::FutureExt;
use llm_types::{CallError, ChatReply, Decision};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn connection() -> ConnectionId {
    ConnectionId(Uuid::from_u128(1))
}

pub(super) fn key(user: u128) -> CallKey {
    CallKey {
        user_id: UserId(Uuid::from_u128(user)),
        connection_id: connection(),
        model: "m".into(),
        order: CallOrder::default(),
        not_before: None,
        is_manual_probe: false,
        size: RequestSize { bytes: 40, max_tokens: 10 },
    }
}

pub(super) fn clock() -> TokioClock {
    TokioClock::starting_at(Timestamp(1_000_000))
}

pub(super) fn granted(admission: Admission) -> Box<dyn Permit> {
    match admission {
        Admission::Granted(permit) => permit,
        Admission::Wait { until, .. } => panic!("expected a permit, not a wait until {until:?}"),
        Admission::Rejected(error) => panic!("expected a permit: {error}"),
    }
}

pub(super) fn waiting(admission: Admission) -> (Option<Timestamp>, PermitFuture) {
    match admission {
        Admission::Wait { until, permit, .. } => (until, permit),
        _ => panic!("expected a wait"),
    }
}

/// Makes a call of a user that takes `takes` and ends with `outcome`.
async fn call(
    limiter: &Limiter,
    clock: &TokioClock,
    user: u128,
    takes: Duration,
    outcome: Result<ChatReply, CallError>,
) {
    let mut permit = match limiter.acquire(&key(user), clock.now()) {
        Admission::Granted(permit) => permit,
        Admission::Wait { permit, .. } => permit.await.expect("a permit"),
        Admission::Rejected(error) => panic!("{error}"),
    };
    permit.mark_sent();
    tokio::time::sleep(takes).await;
    permit.finish(outcome.as_ref());
}

/// Makes three calls of user 1 that are refused, so that the bucket stops.
async fn refuse_three(limiter: &Limiter, clock: &TokioClock, error: &CallError) {
    for _ in 0..3 {
        call(limiter, clock, 1, SECOND, Err(error.clone())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn call_of_older_run_goes_first_and_users_alternate() {
    let clock = clock();
    let limiter = Limiter::new(Arc::new(clock));
    let held: Vec<_> = (0..4).map(|_| granted(limiter.acquire(&key(1), clock.now()))).collect();
    let served = Arc::new(Mutex::new(Vec::new()));
    let waiters: Vec<_> = [(1, 30), (1, 10), (2, 50), (1, 20), (2, 40)]
        .into_iter()
        .map(|(user, started_at)| {
            let order = CallOrder { began_at: Timestamp(started_at), id: Uuid::nil() };
            let key = CallKey { order, ..key(user) };
            let (_, permit) = waiting(limiter.acquire(&key, clock.now()));
            let served = served.clone();
            tokio::spawn(async move {
                let permit = permit.await.expect("a permit");
                served.lock().push((user, started_at));
                tokio::time::sleep(SECOND).await;
                permit.finish(Ok(&reply(1, 1)));
            })
        })
        .collect();
    for permit in held {
        permit.finish(Ok(&reply(1, 1)));
        tokio::time::sleep(SECOND / 100).await;
    }
    for waiter in waiters {
        waiter.await.expect("done");
    }
    assert_eq!(*served.lock(), [(2, 40), (1, 10), (2, 50), (1, 20), (1, 30)]);
}

#[tokio::test(start_paused = true)]
async fn edit_ends_wait_of_refused_call() {
    let clock = clock();
    let limiter = Limiter::new(Arc::new(clock));
    let until = clock.now().plus(3600 * SECOND);
    let refused = CallKey { not_before: Some(until), ..key(1) };
    let (known, permit) = waiting(limiter.acquire(&refused, clock.now()));
    assert_eq!((known, limiter.until(&refused, clock.now())), (Some(until), Some(until)));
    granted(limiter.acquire(&key(1), clock.now()));
    let permit = tokio::spawn(permit);
    tokio::time::sleep(SECOND).await;
    assert!(!permit.is_finished(), "its Retry-After binds this call");
    limiter.reset(connection());
    let permit = tokio::time::timeout(SECOND, permit).await.expect("at once").expect("joins");
    permit.expect("a permit");
}

#[tokio::test(start_paused = true)]
async fn busy_user_delays_another_by_one_call() {
    let clock = clock();
    let limiter = Arc::new(Limiter::new(Arc::new(clock)));
    // A token bucket that allows one call per second and is empty now.
    let period = Some(60 * SECOND);
    let limit = RateLimit { limit: 60, remaining: 6, reset: None, period };
    let rate_limits = Some(Box::new(RateLimits { requests: Some(limit), ..RateLimits::default() }));
    call(&limiter, &clock, 1, SECOND, Ok(ChatReply { rate_limits, ..reply(1, 1) })).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let join = |user: u128| {
        let (limiter, order) = (limiter.clone(), order.clone());
        let began = Instant::now();
        let (_, permit) = waiting(limiter.acquire(&key(user), clock.now()));
        tokio::spawn(async move {
            let permit = permit.await.expect("a permit");
            order.lock().push((user, began.elapsed()));
            permit.finish(Ok(&reply(1, 1)));
        })
    };
    let many: Vec<_> = (0..500).map(|_| join(1)).collect();
    tokio::time::sleep(10 * SECOND + SECOND / 2).await;
    order.lock().clear();
    let two = [join(2), join(2)];
    for one in two {
        one.await.expect("done");
    }
    let seen = order.lock().clone();
    let users: Vec<u128> = seen.iter().map(|(user, _)| *user).collect();
    assert_eq!(users, [2, 1, 2], "users take turns");
    let waits: Vec<Duration> =
        seen.iter().filter(|(user, _)| *user == 2).map(|(_, waited)| *waited).collect();
    assert!(waits[0] <= SECOND && waits[1] <= 3 * SECOND, "{waits:?}");
    many.iter().for_each(|task| task.abort());
}

#[tokio::test(start_paused = true)]
async fn end_of_rate_limit_releases_calls_gradually() {
    let clock = clock();
    let limiter = Arc::new(Limiter::new(Arc::new(clock)));
    let until = Some(clock.now().plus(30 * SECOND));
    let slow = CallError::new(Decision::Wait { until, overloaded: false }, "slow down");
    refuse_three(&limiter, &clock, &slow).await;
    let flying = Arc::new(Mutex::new((0_u32, 0_u32)));
    let calls = (0..500).map(|n| {
        let (limiter, flying) = (limiter.clone(), flying.clone());
        tokio::spawn(async move {
            let (until, permit) = waiting(limiter.acquire(&key(n % 7), clock.now()));
            assert!(until.is_some(), "the end of the wait is known");
            let mut permit = permit.await.expect("a permit");
            permit.mark_sent();
            {
                let mut flying = flying.lock();
                flying.0 += 1;
                flying.1 = flying.1.max(flying.0);
            }
            assert!(clock.now() >= until.unwrap(), "no call before the floor");
            tokio::time::sleep(SECOND).await;
            flying.lock().0 -= 1;
            permit.finish(Ok(&reply(1, 1)));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("done");
    }
    let most = flying.lock().1;
    assert!((6..64).contains(&most), "{most} at once, from one up by one per second");
}

#[tokio::test(start_paused = true)]
async fn cancelled_waiters_take_no_capacity() {
    let clock = clock();
    let limiter = Limiter::new(Arc::new(clock));
    let held: Vec<_> = (0..4).map(|_| granted(limiter.acquire(&key(1), clock.now()))).collect();
    for user in 2..60 {
        let (_, permit) = waiting(limiter.acquire(&key(user), clock.now()));
        assert!(permit.now_or_never().is_none(), "the waiter is dropped at once");
    }
    let (_, permit) = waiting(limiter.acquire(&key(99), clock.now()));
    assert_eq!(limiter.exhausted(connection(), "m", clock.now()), Some(None));
    drop(held);
    permit.await.expect("a permit");
    assert_eq!(limiter.exhausted(connection(), "m", clock.now()), None);
    let again: Vec<_> = (0..4).map(|_| granted(limiter.acquire(&key(1), clock.now()))).collect();
    assert_eq!(again.len(), 4, "all capacity was released");
}

#[tokio::test(start_paused = true)]
async fn edit_ends_rate_limit_wait() {
    let clock = clock();
    let limiter = Limiter::new(Arc::new(clock));
    let until = Some(clock.now().plus(3600 * SECOND));
    let slow = CallError::new(Decision::Wait { until, overloaded: false }, "slow down");
    refuse_three(&limiter, &clock, &slow).await;
    let (until, permit) = waiting(limiter.acquire(&key(1), clock.now()));
    assert_eq!(until.map(|until| until.since(clock.now())), Some(3597 * SECOND));
    limiter.reset(connection());
    tokio::time::timeout(SECOND, permit).await.expect("at once").expect("a permit");
}

#[tokio::test(start_paused = true)]
async fn metrics_follow_circuits_and_queue() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let shows = |lines: &[&str]| {
        let shown = recorder.handle().render();
        for line in lines {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
    };
    let clock = clock();
    let breakers = opened(clock);
    shows(&[
        "rehearsal_breakers{state=\"open\"} 1",
        "rehearsal_breaker_transitions_total{to=\"open\"} 1",
    ]);
    tokio::time::sleep(15 * SECOND).await;
    let probe = granted(breakers.acquire(&key(1), clock.now()));
    shows(&["rehearsal_breakers{state=\"open\"} 0", "rehearsal_breakers{state=\"half_open\"} 1"]);
    probe.finish(Ok(&reply(1, 1)));
    granted(breakers.acquire(&key(1), clock.now())).finish(Ok(&reply(1, 1)));
    shows(&[
        "rehearsal_breakers{state=\"half_open\"} 0",
        "rehearsal_breaker_transitions_total{to=\"closed\"} 1",
    ]);

    let limiter = Limiter::new(Arc::new(clock));
    let held: Vec<_> = (0..4).map(|_| granted(limiter.acquire(&key(1), clock.now()))).collect();
    let (_, permit) = waiting(limiter.acquire(&key(1), clock.now()));
    let left = waiting(limiter.acquire(&key(1), clock.now()));
    shows(&["rehearsal_limiter_waiting 2"]);
    drop((held, left));
    permit.await.expect("a permit");
    shows(&["rehearsal_limiter_waiting 0", "rehearsal_limiter_wait_seconds_count 6"]);
}

#[tokio::test(start_paused = true)]
async fn unused_model_buckets_are_bounded() {
    let clock = clock();
    let limiter = Limiter::new(Arc::new(clock));
    let until = Some(clock.now().plus(3600 * SECOND));
    let slow = CallError::new(Decision::Wait { until, overloaded: false }, "slow down");
    let model = |n: u64| CallKey { model: format!("m-{n}"), ..key(1) };
    let held = granted(limiter.acquire(&model(0), clock.now()));
    for n in 1..3000 {
        for _ in 0..3 {
            granted(limiter.acquire(&model(n), clock.now())).finish(Err(&slow));
        }
    }
    assert_eq!(
        limiter.all_exhausted(clock.now()).len(),
        99,
        "100 per connection, one of them without a limit"
    );
    assert!(
        limiter.exhausted(connection(), "m-2999", clock.now()).is_some(),
        "the newest are kept"
    );
    let more: Vec<_> = (0..3).map(|_| granted(limiter.acquire(&model(0), clock.now()))).collect();
    let _ = waiting(limiter.acquire(&model(0), clock.now()));
    drop((held, more));
}
