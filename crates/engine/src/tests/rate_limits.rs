//! Rate limits of whole suites: runs wait for them and share them fairly, and no run starts
//! that could only wait.

use super::fixture::{Fixture, connection, failure, passing_reply, reply, scripted, user};
use clock::{Clock, TokioClock};
use domain::{ConnectionId, ErrorKind, RunStatus, Timestamp, WaitReason, Waiting};
use futures::future::BoxFuture;
use llm::rate_headers::{RateLimit, RateLimits};
use llm::{CallError, ChatReply, ChatRequest, Decision};
use mock_provider::judge_reply;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use store::rows::{ModelRef, RunRow};

const MINUTE: Duration = Duration::from_secs(60);
const LATENCY: Duration = Duration::from_secs(1);

/// A provider that limits the requests within any minute.
#[derive(Default)]
pub(super) struct SlidingWindow {
    recent: Mutex<VecDeque<Timestamp>>,
    refused: AtomicU32,
}

impl SlidingWindow {
    /// Counts a request. Returns whether it is allowed, the number of remaining requests,
    /// and when the oldest request leaves the window.
    fn count(&self, allowed: usize, now: Timestamp) -> (bool, usize, Timestamp) {
        let mut recent = self.recent.lock();
        while recent.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            recent.pop_front();
        }
        let is_allowed = recent.len() < allowed;
        if is_allowed {
            recent.push_back(now);
        } else {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        let reset = recent.front().map_or(now, |oldest| oldest.plus(MINUTE));
        (is_allowed, allowed - recent.len(), reset)
    }
}

type Answer = BoxFuture<'static, Result<ChatReply, CallError>>;

/// The script of such a provider; with `headers` it reports its limit.
pub(super) fn limited(
    window: Arc<SlidingWindow>,
    clock: TokioClock,
    allowed: usize,
    headers: bool,
) -> impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static {
    move |_, request| {
        let (is_allowed, left, reset) = window.count(allowed, clock.now());
        let limit = RateLimit {
            limit: allowed as u64,
            remaining: left as u64,
            reset: Some(reset),
            period: None,
        };
        let rate_limits = headers
            .then(|| Box::new(RateLimits { requests: Some(limit), ..RateLimits::default() }));
        Box::pin(async move {
            if !is_allowed {
                let decision = Decision::Wait { until: Some(reset), overloaded: false };
                return Err(CallError { rate_limits, ..CallError::new(decision, "too fast") });
            }
            tokio::time::sleep(LATENCY).await;
            let text = match &request.output {
                None => "Answer from the helpful agent.".to_owned(),
                Some(_) => judge_reply(true, "from the helpful agent").to_string(),
            };
            Ok(ChatReply { rate_limits, ..reply(text)? })
        })
    }
}

/// Finishes 500 runs of two calls each at 50 requests per minute. Returns the number of
/// refused calls and the duration.
async fn finish_500_runs(headers: bool) -> (u32, Duration) {
    let f = Fixture::new(passing_reply);
    let window = Arc::new(SlidingWindow::default());
    f.set_script(limited(window.clone(), f.clock, 50, headers));
    let all = vec![scripted(1); 500];
    let suite = f.suite_with(1, &all, |suite| suite.concurrency = 64).await;
    let _engine = f.start().await;
    let began = tokio::time::Instant::now();
    let runs = f.finished(1, suite).await;
    let ended: Vec<_> = runs.iter().filter(|run| run.status != RunStatus::Passed).collect();
    assert!(ended.is_empty(), "{} of 500: {:?}", ended.len(), ended[0].error);
    let longest = runs.iter().map(|run| run.waited_ms).max().unwrap_or(0);
    assert!(longest < 180_000, "started runs do not wait long: {longest} ms");
    (window.refused.load(Ordering::SeqCst), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn all_500_runs_finish_at_50_requests_per_minute() {
    let (refused, took) = finish_500_runs(true).await;
    assert_eq!(refused, 0, "reported limits are respected");
    // 1000 calls at 45 per minute, the first 45 of them at once.
    assert!(took < 24 * MINUTE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn all_runs_finish_without_limit_headers() {
    let (refused, took) = finish_500_runs(false).await;
    // 1000 calls at 50 per minute; some are in flight when the limit is reached.
    assert!(took < 24 * MINUTE, "{took:?}");
    assert!(refused <= 20 * 20, "{refused} refused");
}

#[tokio::test(start_paused = true)]
async fn single_run_on_shared_connection_is_delayed_by_one_call_each_time() {
    for headers in [true, false] {
        let f = Fixture::new(passing_reply);
        f.set_script(limited(Arc::default(), f.clock, 50, headers));
        let all = vec![scripted(1); 500];
        let many = f.suite_with(1, &all, |suite| suite.concurrency = 64).await;
        let engine = f.start().await;
        tokio::time::sleep(5 * MINUTE + MINUTE / 2).await;
        let one = f.suite(2, &[scripted(3)]).await;
        engine.wake();
        let run = f.finished(2, one).await.remove(0);
        assert_eq!(run.status, RunStatus::Passed);
        let calls = f.queue.calls();
        let own_calls: Vec<String> = calls
            .iter()
            .filter(|(of, ..)| *of == run.id)
            .map(|(_, intent, _)| intent.id.to_string())
            .collect();
        let received = f.received_calls();
        let own: Vec<_> =
            received.iter().filter(|call| own_calls.contains(&call.call_id)).collect();
        assert!(own.len() >= 4, "three turns and the judge");
        let mut ready = run.created_at;
        for call in own {
            let between = received
                .iter()
                .filter(|other| !own_calls.contains(&other.call_id))
                .filter(|other| other.at > ready && other.at < call.at)
                .count();
            assert!(between <= 1, "{between} calls of others came first, headers: {headers}");
            ready = call.at.plus(LATENCY);
        }
        let took = run.finished_at.unwrap().since(run.created_at);
        assert!(took < 5 * MINUTE, "four calls, each within a minute: {took:?}");
        assert!(f.runs(1, many).await.iter().any(|run| !run.status.is_final()));
    }
}

#[tokio::test(start_paused = true)]
async fn pending_runs_wait_for_long_rate_limit() {
    let f = Fixture::new(passing_reply);
    let until = f.clock.now().plus(20 * MINUTE);
    f.fail_until(until, Decision::Wait { until: Some(until), overloaded: false });
    let all = vec![scripted(1); 20];
    let suite = f.suite(1, &all).await;
    let engine = f.start().await;
    tokio::time::sleep(5 * MINUTE).await;
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    let waits = engine.expected_wait(user(1), &model).expect("the wait is reported");
    assert_eq!((waits.what, waits.until), (WaitReason::RateLimit, Some(until)));
    assert!(f.received_calls().len() <= 3, "no more runs start");
    let runs = f.finished(1, suite).await;
    let (errors, passed): (Vec<&RunRow>, Vec<&RunRow>) =
        runs.iter().partition(|run| run.status == RunStatus::Error);
    assert_eq!((errors.len(), passed.len()), (3, 17), "only started runs gave up");
    for run in errors {
        let error = run.error.as_ref().unwrap();
        assert_eq!((error.kind, error.retryable), (ErrorKind::RateLimited, true));
    }
}

#[tokio::test(start_paused = true)]
async fn pending_runs_report_what_they_wait_for() {
    let f = Fixture::new(passing_reply);
    let until = f.clock.now().plus(5 * MINUTE);
    f.fail_until(until, Decision::Wait { until: Some(until), overloaded: false });
    let all = vec![scripted(1); 5];
    let suite = f.suite(1, &all).await;
    let engine = f.start().await;
    tokio::time::sleep(MINUTE).await;
    let waits = Some(Waiting { what: WaitReason::RateLimit, until: Some(until) });
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    assert_eq!(engine.expected_wait(user(1), &model), waits);
    let stored = f.runs(1, suite).await;
    let stored = stored.iter().filter(|run| run.status == RunStatus::Pending);
    assert!(stored.clone().count() == 2 && stored.clone().all(|run| run.waiting.is_none()));
    let runs = f.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Passed));
}

#[tokio::test(start_paused = true)]
async fn parked_run_resumes_before_new_runs_start() {
    let mut f = Fixture::new(passing_reply);
    f.settings.runs_per_user = 2;
    let clock = f.clock;
    f.set_script(move |number, request| {
        if number == 0 {
            let until = Some(clock.now().plus(Duration::from_secs(40)));
            return Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) });
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            passing_reply(number, request).await
        })
    });
    let parked = f.suite(1, &[scripted(1)]).await;
    let engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(f.runs(1, parked).await[0].parked);
    // Over another connection, so that they do not wait for the rate limit.
    let many = vec![scripted(1); 60];
    let other_suite = f.suite_with(1, &many, |suite| {
        suite.concurrency = 60;
        suite.model_snapshot.agent.connection_id = ConnectionId(uuid::Uuid::from_u128(8));
        suite.model_snapshot.judge.model_ref.connection_id =
            suite.model_snapshot.agent.connection_id;
        suite.allow_parallel = true;
    });
    let other_suite = other_suite.await;
    engine.wake();
    let run = f.finished(1, parked).await.remove(0);
    assert_eq!((run.status, run.error.clone()), (RunStatus::Passed, None));
    assert!(run.waited_ms < 60_000, "it resumed when a slot was free: {} ms", run.waited_ms);
    let pending = |run: &&RunRow| run.status == RunStatus::Pending;
    assert!(f.runs(1, other_suite).await.iter().filter(pending).count() > 40, "before new runs");
}
