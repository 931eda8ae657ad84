//! 429 and 529: waited for, together with the whole bucket, and told.

use super::{Notes, SECOND, Step, kind, limits, rig};
use crate::outbound::{CallLimits, CallTimes};
use domain::ErrorKind;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn rate_limits_wait_without_counting_as_attempts() {
    let throttle = Step::Throttle { seconds: Some(5), overloaded: false };
    let mut steps = vec![throttle; 8];
    steps.extend([Step::Fail, Step::Fail, Step::Fail, Step::Answer]);
    let rig = rig(steps);
    let (result, times) = rig.call().await;
    assert_eq!(result.expect("an answer").attempts, 12);
    assert!(times.parked >= 40 * SECOND && times.parked < 45 * SECOND, "{times:?}");
    assert!(times.active >= 12 * SECOND && times.active < 16 * SECOND, "{times:?}");
    assert_eq!(rig.retries_left(), 7);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_a_floor_for_the_whole_bucket_and_for_no_other() {
    let rig = rig([Step::Throttle { seconds: Some(30), overloaded: false }]);
    let mut times = [CallTimes::default(); 4];
    let [first, second, other, late] = &mut times;
    let (limited, neighbour, elsewhere, late) = tokio::join!(
        rig.call_with(limits(), "m", first),
        async {
            tokio::time::sleep(5 * SECOND).await;
            rig.call_with(limits(), "m", second).await
        },
        async {
            tokio::time::sleep(5 * SECOND).await;
            rig.call_with(limits(), "another", other).await.map(|_| rig.origin.elapsed())
        },
        async {
            tokio::time::sleep(40 * SECOND).await;
            rig.call_with(limits(), "m", late).await.map(|_| rig.origin.elapsed())
        },
    );
    limited.expect("an answer");
    neighbour.expect("an answer");
    assert_eq!(elsewhere, Ok(6 * SECOND));
    assert_eq!(late, Ok(41 * SECOND));
    let begun = rig.script.begun.lock().clone();
    // The throttled one at 0, the other model at 5; nobody of the bucket
    // before 1 + 30, and both soon after.
    assert_eq!(begun[..2], [Duration::ZERO, 5 * SECOND]);
    assert!(begun[2..4].iter().all(|at| *at >= 31 * SECOND && *at <= 33 * SECOND), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_left_alone_for_longer() {
    let rig = rig([Step::Throttle { seconds: None, overloaded: true }]);
    let (result, times) = rig.call().await;
    result.expect("an answer");
    assert!(
        times.parked >= Duration::from_millis(2_500) && times.parked <= 5 * SECOND,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_now_is_not_asked_without_end() {
    let steps = vec![Step::Throttle { seconds: Some(0), overloaded: false }; 100_000];
    let rig = rig(steps);
    let limits = CallLimits { max_wait: 10 * SECOND, ..limits() };
    let result = rig.call_with(limits, "m", &mut CallTimes::default()).await;
    assert_eq!(kind(&result), Some(ErrorKind::RateLimited));
    assert!(rig.begun() <= 41, "{}", rig.begun());
}

#[tokio::test(start_paused = true)]
async fn parked_too_long_is_rate_limited_and_said_at_once_when_known() {
    let rig1 = rig([Step::Throttle { seconds: Some(3600), overloaded: false }]);
    let (result, times) = rig1.call().await;
    assert_eq!(kind(&result), Some(ErrorKind::RateLimited));
    assert!(result.is_err_and(|error| error.message.starts_with("It said so. Held back")));
    assert_eq!((rig1.origin.elapsed(), times.parked), (SECOND, Duration::ZERO));

    let rig = rig(vec![Step::Throttle { seconds: None, overloaded: false }; 1000]);
    let (result, times) = rig.call().await;
    assert_eq!(kind(&result), Some(ErrorKind::RateLimited));
    assert!(times.parked <= 600 * SECOND, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_watcher_hears_of_long_waits_and_of_every_attempt() {
    let rig = rig([
        Step::Throttle { seconds: Some(5), overloaded: false },
        Step::Throttle { seconds: Some(0), overloaded: false },
        Step::Answer,
    ]);
    let (notes, mut times) = (Notes::default(), CallTimes::default());
    rig.watched(limits(), "m", &mut times, &notes).await.expect("an answer");
    let heard = notes.0.into_inner();
    let expected = ["attempt 1", "waiting rate_limit Some(6)", "resumed", "attempt 2", "attempt 3"];
    assert_eq!(heard, expected);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_lasts_longer_is_told_again() {
    let rig = rig([
        Step::Throttle { seconds: Some(10), overloaded: false },
        Step::Throttle { seconds: Some(40), overloaded: false },
    ]);
    let (notes, mut times) = (Notes::default(), [CallTimes::default(); 3]);
    let [first, second, third] = &mut times;
    // The first raises the floor to 11 s, the third waits for that, and then
    // the second raises it further.
    let (one, two, three) = tokio::join!(
        rig.call_with(limits(), "m", first),
        async {
            tokio::time::sleep(SECOND / 2).await;
            rig.call_with(limits(), "m", second).await
        },
        async {
            tokio::time::sleep(SECOND + SECOND / 4).await;
            rig.watched(limits(), "m", third, &notes).await
        }
    );
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    let expected =
        ["waiting rate_limit Some(11)", "waiting rate_limit Some(41)", "resumed", "attempt 1"];
    assert_eq!(notes.0.into_inner(), expected);
}
