//! The waits after 429 and 529: of the refused call, and of its bucket if a limit is
//! reached.

use super::{Notes, SECOND, Step, env, kind, limits};
use crate::outbound::{CallLimits, CallOutcome};
use domain::ErrorKind;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn rate_limits_wait_without_counting_as_attempts() {
    let throttle = Step::Throttle { seconds: Some(5), overloaded: false };
    let mut steps = vec![throttle; 8];
    steps.extend([Step::Fail, Step::Fail, Step::Fail, Step::Reply]);
    let env = env(steps);
    let (result, times) = env.call().await;
    assert_eq!(result.expect("a reply").attempts, 12);
    assert!(times.waited >= 40 * SECOND && times.waited < 45 * SECOND, "{times:?}");
    assert!(times.active >= 12 * SECOND && times.active < 16 * SECOND, "{times:?}");
    assert_eq!(env.retries_left(), 7);
}

#[tokio::test(start_paused = true)]
async fn retry_after_binds_the_refused_call_only() {
    let env = env([Step::Throttle { seconds: Some(30), overloaded: false }]);
    let (limited, neighbor) = tokio::join!(env.call_with(limits(), "m"), async {
        tokio::time::sleep(5 * SECOND).await;
        env.call_with(limits(), "m").await
    });
    limited.result.expect("a reply");
    neighbor.result.expect("a reply");
    let begun = env.script.begun.lock().clone();
    assert_eq!(begun, [Duration::ZERO, 5 * SECOND, 31 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn limit_stops_its_own_bucket_until_a_trial_succeeds() {
    let throttle = Step::Throttle { seconds: Some(30), overloaded: false };
    let env = env(vec![throttle; 3]);
    let refused = || env.call_with(limits(), "m");
    let (one, two, three, neighbor, elsewhere) = tokio::join!(
        refused(),
        refused(),
        refused(),
        async {
            tokio::time::sleep(5 * SECOND).await;
            env.call_with(limits(), "m").await
        },
        async {
            tokio::time::sleep(5 * SECOND).await;
            env.call_with(limits(), "another").await.result.map(|_| env.origin.elapsed())
        }
    );
    assert!([one, two, three, neighbor].iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(elsewhere, Ok(6 * SECOND));
    let begun = env.script.begun.lock()[3..].to_vec();
    // The other model at 5 s, the trial at 1 + 30 s, and all others after its reply.
    assert_eq!(begun[..2], [5 * SECOND, 31 * SECOND]);
    assert!(begun[2..].iter().all(|at| *at >= 32 * SECOND), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn overload_backs_off_longer() {
    let env = env([Step::Throttle { seconds: None, overloaded: true }]);
    let (result, times) = env.call().await;
    result.expect("a reply");
    assert!(
        times.waited >= Duration::from_millis(2_500) && times.waited <= 5 * SECOND,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn zero_retry_after_does_not_loop() {
    let steps = vec![Step::Throttle { seconds: Some(0), overloaded: false }; 100_000];
    let env = env(steps);
    let limits = CallLimits { max_wait: 10 * SECOND, ..limits() };
    let CallOutcome { result, .. } = env.call_with(limits, "m").await;
    assert_eq!(kind(&result), Some(ErrorKind::RateLimited));
    assert!(env.begun() <= 41, "{}", env.begun());
}

#[tokio::test(start_paused = true)]
async fn excessive_wait_fails_at_once_if_known() {
    let rig1 = env([Step::Throttle { seconds: Some(3600), overloaded: false }]);
    let (result, times) = rig1.call().await;
    assert_eq!(kind(&result), Some(ErrorKind::RateLimited));
    assert!(
        result.is_err_and(|error| error.message.starts_with("Provider error. Gave up waiting for"))
    );
    assert_eq!((rig1.origin.elapsed(), times.waited), (SECOND, Duration::ZERO));

    let env = env(vec![Step::Throttle { seconds: None, overloaded: false }; 1000]);
    let (result, times) = env.call().await;
    assert_eq!(kind(&result), Some(ErrorKind::RateLimited));
    assert!(times.waited <= 600 * SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn watcher_is_told_of_long_waits_and_attempts() {
    let env = env([
        Step::Throttle { seconds: Some(5), overloaded: false },
        Step::Throttle { seconds: Some(0), overloaded: false },
        Step::Reply,
    ]);
    let notes = Notes::default();
    env.watched(limits(), "m", &notes).await.result.expect("a reply");
    let seen = notes.0.into_inner();
    let expected = ["attempt 1", "waiting rate_limit Some(6)", "resumed", "attempt 2", "attempt 3"];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn watcher_is_told_again_of_extended_wait() {
    let throttle = |seconds| Step::Throttle { seconds: Some(seconds), overloaded: false };
    let env = env([throttle(10), throttle(10), throttle(10), throttle(40)]);
    let notes = Notes::default();
    // Three refusals stop the bucket until 11 s. Then the fourth call is the trial, and
    // extends the stop to 52 s. The fifth call waits meanwhile.
    let refused = || env.call_with(limits(), "m");
    let (one, two, three, trial, watched) = tokio::join!(
        refused(),
        refused(),
        refused(),
        async {
            tokio::time::sleep(SECOND + SECOND / 8).await;
            env.call_with(limits(), "m").await
        },
        async {
            tokio::time::sleep(SECOND + SECOND / 4).await;
            env.watched(limits(), "m", &notes).await
        }
    );
    assert!([one, two, three, trial, watched].iter().all(|outcome| outcome.result.is_ok()));
    let expected =
        ["waiting rate_limit Some(11)", "waiting rate_limit Some(52)", "resumed", "attempt 1"];
    assert_eq!(notes.0.into_inner(), expected);
}
