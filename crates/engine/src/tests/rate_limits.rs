//! Rate limits as whole suites meet them: waited for, shared fairly, and never
//! behind a begin that could only wait.

use super::bench::{Bench, connection, failure, obliging, reply, scripted, user};
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

/// A provider that allows so many requests within any minute.
#[derive(Default)]
struct Sliding {
    recent: Mutex<VecDeque<Timestamp>>,
    refused: AtomicU32,
}

impl Sliding {
    /// Whether a request of now is allowed, what is left, and when the oldest
    /// leaves the window.
    fn see(&self, allowed: usize, now: Timestamp) -> (bool, usize, Timestamp) {
        let mut recent = self.recent.lock();
        while recent.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            recent.pop_front();
        }
        let fits = recent.len() < allowed;
        if fits {
            recent.push_back(now);
        } else {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        let reset = recent.front().map_or(now, |oldest| oldest.plus(MINUTE));
        (fits, allowed - recent.len(), reset)
    }
}

type Answer = BoxFuture<'static, Result<ChatReply, CallError>>;

/// Answers as such a provider; `headers` when it tells of its limit.
fn limited(
    window: Arc<Sliding>,
    clock: TokioClock,
    allowed: usize,
    headers: bool,
) -> impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static {
    move |_, request| {
        let (fits, left, reset) = window.see(allowed, clock.now());
        let limit = RateLimit {
            limit: allowed as u64,
            remaining: left as u64,
            reset: Some(reset),
            period: None,
        };
        let rate_limits = headers
            .then(|| Box::new(RateLimits { requests: Some(limit), ..RateLimits::default() }));
        Box::pin(async move {
            if !fits {
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

/// 500 runs of two calls each at 50 requests a minute: how many of the calls
/// were refused, and how long it took.
async fn five_hundred(headers: bool) -> (u32, Duration) {
    let b = Bench::new(obliging);
    let window = Arc::new(Sliding::default());
    b.answers(limited(window.clone(), b.clock, 50, headers));
    let all: Vec<_> = (0..500).map(|_| scripted(1)).collect();
    let suite = b.suite_with(1, &all, |suite| suite.concurrency = 64).await;
    let _engine = b.engine().await;
    let began = tokio::time::Instant::now();
    let runs = b.finished(1, suite).await;
    let ended: Vec<_> = runs.iter().filter(|run| run.status != RunStatus::Passed).collect();
    assert!(ended.is_empty(), "{} of 500: {:?}", ended.len(), ended[0].error);
    let longest = runs.iter().map(|run| run.parked_ms).max().unwrap_or(0);
    assert!(longest < 180_000, "nobody waits for long once begun: {longest} ms");
    (window.refused.load(Ordering::SeqCst), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn all_500_runs_finish_at_50_requests_per_minute() {
    let (refused, took) = five_hundred(true).await;
    assert_eq!(refused, 0, "what is told is kept to");
    // 1000 calls at 45 a minute, the first 45 of them at once.
    assert!(took < 24 * MINUTE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn all_runs_finish_without_limit_headers() {
    let (refused, took) = five_hundred(false).await;
    // 1000 calls at 50 a minute; each minute some are out when it is full.
    assert!(took < 24 * MINUTE, "{took:?}");
    assert!(refused <= 20 * 20, "{refused} refused");
}

#[tokio::test(start_paused = true)]
async fn single_run_on_shared_connection_is_delayed_by_one_call_each_time() {
    for headers in [true, false] {
        let b = Bench::new(obliging);
        b.answers(limited(Arc::default(), b.clock, 50, headers));
        let all: Vec<_> = (0..500).map(|_| scripted(1)).collect();
        let many = b.suite_with(1, &all, |suite| suite.concurrency = 64).await;
        let engine = b.engine().await;
        tokio::time::sleep(5 * MINUTE + MINUTE / 2).await;
        let one = b.suite(2, &[scripted(3)]).await;
        engine.wake();
        let run = b.finished(2, one).await.remove(0);
        assert_eq!(run.status, RunStatus::Passed);
        let calls = b.work.calls();
        let own: Vec<String> = calls
            .iter()
            .filter(|(of, ..)| *of == run.id)
            .map(|(_, intent, _)| intent.id.to_string())
            .collect();
        let seen = b.seen();
        let mine: Vec<_> = seen.iter().filter(|seen| own.contains(&seen.call_id)).collect();
        assert!(mine.len() >= 4, "three turns and the judge");
        let mut ready = run.created_at;
        for call in mine {
            let between = seen
                .iter()
                .filter(|other| !own.contains(&other.call_id))
                .filter(|other| other.at > ready && other.at < call.at)
                .count();
            assert!(between <= 1, "{between} went before, headers: {headers}");
            ready = call.at.plus(LATENCY);
        }
        let took = run.finished_at.unwrap().since(run.created_at);
        assert!(took < 5 * MINUTE, "four calls, each within a minute: {took:?}");
        assert!(b.runs(1, many).await.iter().any(|run| !run.status.is_final()));
    }
}

#[tokio::test(start_paused = true)]
async fn pending_runs_wait_for_long_rate_limit() {
    let b = Bench::new(obliging);
    let (clock, until) = (b.clock, b.clock.now().plus(20 * MINUTE));
    b.answers(move |number, request| {
        if clock.now() < until {
            let decision = Decision::Wait { until: Some(until), overloaded: false };
            return Box::pin(async move { failure(decision) });
        }
        obliging(number, request)
    });
    let all: Vec<_> = (0..20).map(|_| scripted(1)).collect();
    let suite = b.suite(1, &all).await;
    let engine = b.engine().await;
    tokio::time::sleep(5 * MINUTE).await;
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    let waits = engine.held_back(user(1), &model).expect("it is said what they wait for");
    assert_eq!((waits.what, waits.until), (WaitReason::RateLimit, Some(until)));
    assert!(b.seen().len() <= 3, "nothing more begins");
    let runs = b.finished(1, suite).await;
    let (errors, passed): (Vec<&RunRow>, Vec<&RunRow>) =
        runs.iter().partition(|run| run.status == RunStatus::Error);
    assert_eq!((errors.len(), passed.len()), (3, 17), "only what had begun could not wait so long");
    for run in errors {
        let error = run.error.as_ref().unwrap();
        assert_eq!((error.kind, error.retryable), (ErrorKind::RateLimited, true));
    }
}

#[tokio::test(start_paused = true)]
async fn pending_runs_report_what_they_wait_for() {
    let b = Bench::new(obliging);
    let until = b.clock.now().plus(5 * MINUTE);
    let clock = b.clock;
    b.answers(move |number, request| {
        if clock.now() < until {
            let decision = Decision::Wait { until: Some(until), overloaded: false };
            return Box::pin(async move { failure(decision) });
        }
        obliging(number, request)
    });
    let all: Vec<_> = (0..5).map(|_| scripted(1)).collect();
    let suite = b.suite(1, &all).await;
    let engine = b.engine().await;
    tokio::time::sleep(MINUTE).await;
    let waits = Some(Waiting { what: WaitReason::RateLimit, until: Some(until) });
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    assert_eq!(engine.held_back(user(1), &model), waits);
    let stored = b.runs(1, suite).await;
    let stored = stored.iter().filter(|run| run.status == RunStatus::Pending);
    assert!(stored.clone().count() == 2 && stored.clone().all(|run| run.waiting.is_none()));
    let runs = b.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.status == RunStatus::Passed));
}

#[tokio::test(start_paused = true)]
async fn parked_run_resumes_before_new_runs_begin() {
    let mut b = Bench::new(obliging);
    b.settings.runs_per_user = 2;
    let clock = b.clock;
    b.answers(move |number, request| {
        if number == 0 {
            let until = Some(clock.now().plus(Duration::from_secs(40)));
            return Box::pin(async move { failure(Decision::Wait { until, overloaded: false }) });
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            obliging(number, request).await
        })
    });
    let parked = b.suite(1, &[scripted(1)]).await;
    let engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(b.runs(1, parked).await[0].parked);
    // Over another connection, so that nothing holds them back.
    let many: Vec<_> = (0..60).map(|_| scripted(1)).collect();
    let elsewhere = b.suite_with(1, &many, |suite| {
        suite.concurrency = 60;
        suite.model_snapshot.agent.connection_id = ConnectionId(uuid::Uuid::from_u128(8));
        suite.model_snapshot.judge.connection_id = suite.model_snapshot.agent.connection_id;
        suite.allow_parallel = true;
    });
    let elsewhere = elsewhere.await;
    engine.wake();
    let run = b.finished(1, parked).await.remove(0);
    assert_eq!((run.status, run.error.clone()), (RunStatus::Passed, None));
    assert!(run.parked_ms < 60_000, "it went on when a place was free: {} ms", run.parked_ms);
    let pending = |run: &&RunRow| run.status == RunStatus::Pending;
    assert!(b.runs(1, elsewhere).await.iter().filter(pending).count() > 40, "before new runs");
}
