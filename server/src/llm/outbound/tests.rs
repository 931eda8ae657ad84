//! The path on paused time, over a provider that answers by a script.

use super::gate::{Admission, CallKey, Permit};
use super::*;
use crate::clock::{Clock, TokioClock};
use crate::llm::classify::{Effect, effect};
use crate::llm::testing::{ask, endpoint};
use crate::llm::types::Decision;
use app::domain::{ErrorKind, Finish, Timestamp, UserId, Waiting, WaitingOn};
use async_trait::async_trait;
use rand::SeedableRng;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
const START: Timestamp = Timestamp(1_000_000);

#[derive(Clone, Debug)]
enum Step {
    Answer,
    Fail,
    Throttle { seconds: Option<u64>, overloaded: bool },
    GiveUp(ErrorKind, u16),
    Hang,
}

/// Takes 1 s for each answer; counts what was begun and what was dropped.
#[derive(Default)]
struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    begun: Mutex<Vec<Duration>>,
    dropped: AtomicU32,
}

struct CountDrop<'a>(&'a AtomicU32, bool);

impl Drop for CountDrop<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Rig {
    script: Arc<Scripted>,
    outbound: Outbound,
    clock: TokioClock,
    origin: Instant,
}

#[async_trait]
impl Provider for ScriptedAt {
    async fn complete(&self, _: &Endpoint, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.script.begun.lock().push(self.origin.elapsed());
        let step = self.script.steps.lock().pop_front().unwrap_or(Step::Answer);
        let mut whole = CountDrop(&self.script.dropped, false);
        if matches!(step, Step::Hang) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SECOND).await;
        whole.1 = true;
        let error =
            |decision, status| CallError { status, ..CallError::new(decision, "It said so.") };
        match step {
            Step::Answer | Step::Hang => Ok(ChatReply {
                text: request.model.clone(),
                tool_calls: vec![],
                finish: Finish::Stop,
                input_tokens: 1,
                output_tokens: 1,
                latency: Duration::ZERO,
                attempts: 0,
                told: None,
            }),
            Step::Fail => Err(error(Decision::Retry, Some(503))),
            Step::Throttle { seconds, overloaded } => {
                let now = START.plus(self.origin.elapsed());
                let until = seconds.map(|seconds| now.plus(Duration::from_secs(seconds)));
                Err(error(Decision::Wait { until, overloaded }, Some(429)))
            }
            Step::GiveUp(kind, status) => Err(error(Decision::GiveUp(kind), Some(status))),
        }
    }
}

struct ScriptedAt {
    script: Arc<Scripted>,
    origin: Instant,
}

fn rig(steps: impl IntoIterator<Item = Step>) -> Rig {
    let (clock, origin) = (TokioClock::starting_at(START), Instant::now());
    let script = Arc::new(Scripted {
        steps: Mutex::new(steps.into_iter().collect()),
        ..Scripted::default()
    });
    let provider = Arc::new(ScriptedAt { script: Arc::clone(&script), origin });
    let outbound = Outbound::new(provider, Arc::new(clock), SmallRng::seed_from_u64(1));
    Rig { script, outbound, clock, origin }
}

fn limits() -> CallLimits {
    CallLimits {
        call_timeout: 120 * SECOND,
        active_left: 300 * SECOND,
        max_wait: 600 * SECOND,
        circuit_wait: 60 * SECOND,
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

#[async_trait]
impl CallWatcher for Notes {
    async fn waiting(&self, waiting: Waiting) {
        let until = waiting.until.map(|until| until.since(START).as_secs());
        self.0.lock().push(format!("waiting {} {until:?}", waiting.what));
    }
    async fn resumed(&self) {
        self.0.lock().push("resumed".into());
    }
    async fn attempt_started(&self, attempt: u32) {
        self.0.lock().push(format!("attempt {attempt}"));
    }
}

impl Rig {
    async fn call_with(
        &self,
        limits: CallLimits,
        model: &str,
        times: &mut CallTimes,
    ) -> Result<ChatReply, CallError> {
        self.watched(limits, model, times, &Unwatched).await
    }

    async fn watched(
        &self,
        limits: CallLimits,
        model: &str,
        times: &mut CallTimes,
        watcher: &dyn CallWatcher,
    ) -> Result<ChatReply, CallError> {
        let scope = Scope { user_id: UserId(Uuid::from_u128(1)), probe: false };
        let request = ChatRequest { model: model.into(), ..ask("hi") };
        self.outbound.call(&scope, &endpoint("http://x"), &request, &limits, watcher, times).await
    }

    async fn call(&self) -> (Result<ChatReply, CallError>, CallTimes) {
        let mut times = CallTimes::default();
        (self.call_with(limits(), "m", &mut times).await, times)
    }

    fn retries_left(&self) -> u32 {
        self.outbound.retries_left(UserId(Uuid::from_u128(1)), endpoint("x").connection_id)
    }

    fn begun(&self) -> usize {
        self.script.begun.lock().len()
    }
}

fn kind(result: &Result<ChatReply, CallError>) -> Option<ErrorKind> {
    match result.as_ref().map_err(|error| error.decision) {
        Err(Decision::GiveUp(kind)) => Some(kind),
        Err(other) => unreachable!("an error that leaves the path has given up, not {other:?}"),
        Ok(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_its_own_latency_and_all_attempts() {
    let rig = rig([Step::Fail, Step::Fail, Step::Answer]);
    let (result, times) = rig.call().await;
    let reply = result.expect("an answer");
    assert_eq!((reply.latency, reply.attempts), (SECOND, 3));
    assert_eq!(times.active, rig.origin.elapsed(), "attempts and backoff are active time");
    assert!(times.active >= 3 * SECOND && times.parked.is_zero());
}

#[tokio::test(start_paused = true)]
async fn four_failures_are_the_end() {
    let rig = rig(vec![Step::Fail; 10]);
    let (result, _) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::ProviderUnavailable), 4));
    let error = result.expect_err("used up");
    assert_eq!((error.message.as_str(), error.status), ("It said so. Tried 4 times.", Some(503)));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied() {
    // 10 retries at the start: 3 + 3 + 3 + 1, then every call is tried once.
    let (rig, _, _) = gated(vec![Step::Fail; 100], Duration::ZERO);
    for expected in [4, 8, 12, 14, 15, 16] {
        assert_eq!(kind(&rig.call().await.0), Some(ErrorKind::ProviderUnavailable));
        assert_eq!(rig.begun(), expected);
    }
    assert_eq!(rig.retries_left(), 0);
    rig.script.steps.lock().clear();
    for _ in 0..10 {
        rig.call().await.0.expect("an answer");
    }
    assert_eq!(rig.retries_left(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_helped_is_not_tried_again() {
    for (end, status) in [
        (ErrorKind::CredentialInvalid, 401),
        (ErrorKind::ProviderRejected, 400),
        (ErrorKind::QuotaExhausted, 402),
    ] {
        let rig = rig([Step::GiveUp(end, status)]);
        let (result, times) = rig.call().await;
        assert_eq!((kind(&result), rig.begun()), (Some(end), 1));
        assert_eq!(times.active, SECOND, "times are told of errors too");
    }
}

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
async fn a_slow_call_is_a_failure_and_the_run_s_own_end_is_a_timeout() {
    let rig1 = rig([Step::Hang, Step::Answer]);
    let (result, times) = rig1.call().await;
    assert_eq!(result.map(|reply| reply.attempts), Ok(2));
    assert!(times.active >= 121 * SECOND, "{times:?}");
    assert_eq!(rig1.script.dropped.load(Ordering::SeqCst), 1);

    let rig2 = rig([Step::Hang]);
    let short = CallLimits { active_left: 10 * SECOND, ..limits() };
    let mut times = CallTimes::default();
    let result = rig2.call_with(short, "m", &mut times).await;
    assert_eq!((kind(&result), times.active), (Some(ErrorKind::Timeout), 10 * SECOND));

    let rig3 = rig([]);
    let none = CallLimits { active_left: Duration::ZERO, ..limits() };
    let result = rig3.call_with(none, "m", &mut CallTimes::default()).await;
    assert_eq!((kind(&result), rig3.begun()), (Some(ErrorKind::Timeout), 0));
}

#[tokio::test(start_paused = true)]
async fn active_time_ends_retries_too() {
    let rig = rig(vec![Step::Fail; 10]);
    let short = CallLimits { active_left: 2 * SECOND, ..limits() };
    let result = rig.call_with(short, "m", &mut CallTimes::default()).await;
    assert_eq!(kind(&result), Some(ErrorKind::Timeout));
    assert!(rig.origin.elapsed() <= 2 * SECOND);
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
async fn dropping_the_call_drops_the_attempt() {
    let rig = rig([Step::Hang]);
    let mut times = CallTimes::default();
    let call = rig.call_with(limits(), "m", &mut times);
    assert!(tokio::time::timeout(3 * SECOND, call).await.is_err());
    assert_eq!((rig.begun(), rig.script.dropped.load(Ordering::SeqCst)), (1, 1));
}

/// A gate that lets nobody in before a time, and notes what came of permits.
struct Turnstile {
    opens: Timestamp,
    what: WaitingOn,
    log: Arc<Mutex<Vec<String>>>,
    open: Arc<tokio::sync::Notify>,
}

struct Ticket(Arc<Mutex<Vec<String>>>, Option<String>);

impl Permit for Ticket {
    fn finish(mut self: Box<Self>, outcome: Result<&ChatReply, &CallError>) {
        self.1 = Some(outcome.map_or_else(|error| format!("{:?}", effect(error)), |_| "ok".into()));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.lock().push(self.1.take().unwrap_or_else(|| "given back".into()));
    }
}

impl Gate for Turnstile {
    fn admit(&self, _: &CallKey, now: Timestamp) -> Admission {
        if now >= self.opens {
            return Admission::Granted(Box::new(Ticket(Arc::clone(&self.log), None)));
        }
        let (wait, open) = (self.opens.since(now), Arc::clone(&self.open));
        let ticket: Box<dyn Permit> = Box::new(Ticket(Arc::clone(&self.log), None));
        let turn = Box::pin(async move {
            tokio::select! { () = tokio::time::sleep(wait) => {}, () = open.notified() => {} }
            Ok(ticket)
        });
        Admission::Wait { what: self.what, until: Some(self.opens), turn }
    }
}

type Log = Arc<Mutex<Vec<String>>>;

/// A rig behind a limiter that is open and a breaker that opens after a time.
fn gated(steps: Vec<Step>, opens: Duration) -> (Rig, Log, Log) {
    let mut rig = rig(steps);
    let (limiter, breaker) = (Log::default(), Log::default());
    let gate = |opens, what, log: &Log| {
        Arc::new(Turnstile { opens, what, log: Arc::clone(log), open: Arc::default() })
    };
    rig.outbound = rig.outbound.with_gates(
        gate(START, WaitingOn::RateLimit, &limiter),
        gate(rig.clock.now().plus(opens), WaitingOn::Circuit, &breaker),
    );
    (rig, limiter, breaker)
}

#[tokio::test(start_paused = true)]
async fn gates_hear_how_each_attempt_ended() {
    let steps = vec![Step::Fail, Step::GiveUp(ErrorKind::CredentialInvalid, 401)];
    let (rig, limiter, breaker) = gated(steps, Duration::ZERO);
    rig.call().await.0.expect_err("no key");
    rig.call().await.0.expect("an answer");
    let heard = [Effect::Failure, Effect::LatchCredential].map(|effect| format!("{effect:?}"));
    let heard = [heard[0].clone(), heard[1].clone(), "ok".into()];
    assert_eq!((limiter.lock().as_slice(), breaker.lock().as_slice()), (&heard[..], &heard[..]));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_circuit_holds_no_place_at_the_limiter() {
    let (rig, limiter, breaker) = gated(vec![], 20 * SECOND);
    let (notes, mut times) = (Notes::default(), CallTimes::default());
    rig.watched(limits(), "m", &mut times, &notes).await.expect("an answer");
    assert_eq!(*limiter.lock(), ["given back", "ok"]);
    assert_eq!(*breaker.lock(), ["ok"]);
    assert_eq!(notes.0.into_inner(), ["waiting circuit Some(20)", "resumed", "attempt 1"]);
    assert_eq!((times.parked, times.circuit, times.active), (20 * SECOND, 20 * SECOND, SECOND));
}

/// Has its own places again so long after a wait.
struct Late(Duration);

#[async_trait]
impl CallWatcher for Late {
    async fn resumed(&self) {
        tokio::time::sleep(self.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_no_place_of_its_own_keeps_no_turn_from_others() {
    let rig = rig(vec![Step::Fail; 5]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        rig.call_with(at_once, "m", &mut CallTimes::default()).await.expect_err("it fails");
    }
    assert_eq!((rig.circuit().state, rig.begun()), (BreakerState::Open, 5));
    let (began, mut times) = (rig.origin.elapsed(), [CallTimes::default(); 2]);
    let [first, second] = &mut times;
    let late = Late(50 * SECOND);
    let opens = rig.circuit().until.expect("known").since(rig.clock.now());
    let (late, other) = tokio::join!(rig.watched(limits(), "m", first, &late), async {
        // The turn is the first one's by now, and its own place is not free.
        tokio::time::sleep(opens + SECOND / 2).await;
        assert_eq!(rig.begun(), 5);
        let short = CallLimits { circuit_wait: 30 * SECOND, ..limits() };
        rig.call_with(short, "m", second).await
    });
    assert!(late.is_ok() && other.is_ok(), "{late:?} {other:?}");
    let begun = rig.script.begun.lock()[5..].to_vec();
    // The first gives its probe back after a second, and the second has it.
    assert!(begun[0] - began < 20 * SECOND, "{begun:?}");
    assert!(begun[1] - began > 50 * SECOND, "{begun:?}");
    let [first, _] = times;
    assert!(first.parked > 60 * SECOND && first.circuit < 20 * SECOND, "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_place_of_its_own_is_waited_for_no_longer_than_a_wait_may_last() {
    let (rig, limiter, breaker) = gated(vec![], 20 * SECOND);
    let mut times = CallTimes::default();
    let short = CallLimits { max_wait: 90 * SECOND, ..limits() };
    let result = rig.watched(short, "m", &mut times, &Late(3600 * SECOND)).await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::RateLimited), 0));
    assert_eq!((times.parked, times.circuit), (90 * SECOND, 20 * SECOND));
    assert_eq!((limiter.lock().len(), breaker.lock().len()), (1, 1), "given back");
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_has_its_own_patience() {
    let (rig, _, _) = gated(vec![], 100 * SECOND);
    let (result, times) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::CircuitOpen), 0));
    assert_eq!(times.circuit, 60 * SECOND, "it may close earlier, so it is waited for");
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    let before = rig.origin.elapsed();
    let result = rig.call_with(at_once, "m", &mut CallTimes::default()).await;
    assert_eq!((kind(&result), rig.origin.elapsed()), (Some(ErrorKind::CircuitOpen), before));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_attempt_gives_its_permits_back() {
    let (rig, limiter, breaker) = gated(vec![Step::Hang], Duration::ZERO);
    let mut times = CallTimes::default();
    let call = rig.call_with(limits(), "m", &mut times);
    assert!(tokio::time::timeout(SECOND, call).await.is_err());
    assert_eq!(
        (limiter.lock().as_slice(), breaker.lock().as_slice()),
        (&["given back".into()][..], &["given back".into()][..])
    );
}

impl Rig {
    /// A person tries now, as the page does.
    async fn try_now(&self) -> Result<ChatReply, CallError> {
        let scope = Scope { user_id: UserId(Uuid::from_u128(1)), probe: true };
        let limits = CallLimits {
            call_timeout: 30 * SECOND,
            active_left: 30 * SECOND,
            max_wait: Duration::ZERO,
            circuit_wait: Duration::ZERO,
        };
        let (endpoint, request, mut times) =
            (endpoint("http://x"), ask("hi"), CallTimes::default());
        self.outbound.call(&scope, &endpoint, &request, &limits, &Unwatched, &mut times).await
    }

    fn circuit(&self) -> Breaker {
        self.outbound.circuit(UserId(Uuid::from_u128(1)), endpoint("x").connection_id)
    }
}

#[tokio::test(start_paused = true)]
async fn trying_now_goes_through_an_open_circuit_and_a_success_closes_it() {
    let rig = rig(vec![Step::Fail; 6]);
    let at_once = CallLimits { circuit_wait: Duration::ZERO, ..limits() };
    for _ in 0..2 {
        rig.call_with(at_once, "m", &mut CallTimes::default()).await.expect_err("it fails");
    }
    let open = rig.circuit();
    assert_eq!((open.state, rig.begun()), (BreakerState::Open, 5));
    let held = rig.outbound.held();
    assert_eq!((held.len(), held[0].nobody), (1, true));
    let left = rig.retries_left();
    let error = rig.try_now().await.expect_err("still out");
    assert_eq!((error.message.as_str(), rig.begun()), ("It said so.", 6));
    assert_eq!(rig.circuit(), open, "a failed try changes nothing");
    assert_eq!(rig.retries_left(), left);
    rig.try_now().await.expect("an answer");
    assert_eq!(rig.circuit(), Breaker::default());
    assert!(rig.outbound.held().is_empty());
    rig.call_with(at_once, "m", &mut CallTimes::default()).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn trying_now_is_kept_back_by_the_provider_alone_and_says_so() {
    let rig = Arc::new(rig(vec![Step::Hang; 20]));
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.call().await.0 })
        })
        .collect();
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.begun(), 8, "eight at once, twelve in the queue");
    rig.script.steps.lock().clear();
    rig.try_now().await.expect("our own queue is no reason");
    rig.script.steps.lock().push_back(Step::Throttle { seconds: Some(60), overloaded: false });
    let error = rig.try_now().await.expect_err("too fast");
    assert!(error.message.starts_with("It said so. Held back by the provider's rate limit"));
    let begun = rig.begun();
    let error = rig.try_now().await.expect_err("too fast");
    assert_eq!((error.kind(), rig.begun()), (ErrorKind::RateLimited, begun), "not asked again");
    busy.iter().for_each(|call| call.abort());
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_says_so() {
    let rig = rig([Step::Hang]);
    let error = rig.try_now().await.expect_err("no answer");
    assert_eq!(error.message, "The provider did not answer within 30 s.");
}

#[tokio::test(start_paused = true)]
async fn behind_a_latch_calls_are_refused_at_once_until_an_edit() {
    let rig = rig([Step::GiveUp(ErrorKind::QuotaExhausted, 402)]);
    assert_eq!(kind(&rig.call().await.0), Some(ErrorKind::QuotaExhausted));
    let before = rig.origin.elapsed();
    let (result, times) = rig.call().await;
    assert_eq!((kind(&result), rig.begun()), (Some(ErrorKind::QuotaExhausted), 1));
    assert_eq!((rig.origin.elapsed(), times), (before, CallTimes::default()));
    assert_eq!(rig.circuit().state, BreakerState::Latched);
    assert!(rig.outbound.held().is_empty(), "there is nothing to wait for");
    rig.outbound.forget(endpoint("x").connection_id);
    assert_eq!(rig.circuit(), Breaker::default());
    rig.call().await.0.expect("an answer");
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
