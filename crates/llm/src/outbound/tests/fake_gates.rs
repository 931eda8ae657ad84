//! A fake gate that opens at a given time.

use super::{START, Step, TestEnv, env};
use crate::classify::effect;
use crate::outbound::gate::{Admission, CallKey, Gate, Permit};
use clock::Clock;
use domain::{Timestamp, WaitReason};
use llm_types::{CallError, ChatReply};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Grants permits from a given time on, and logs their outcomes.
struct FakeGate {
    opens: Timestamp,
    reason: WaitReason,
    log: Arc<Mutex<Vec<String>>>,
    open: Arc<tokio::sync::Notify>,
}

struct FakePermit(Arc<Mutex<Vec<String>>>, Option<String>);

impl Permit for FakePermit {
    fn finish(mut self: Box<Self>, outcome: Result<&ChatReply, &CallError>) {
        self.1 = Some(outcome.map_or_else(|error| format!("{:?}", effect(error)), |_| "ok".into()));
    }
}

impl Drop for FakePermit {
    fn drop(&mut self) {
        self.0.lock().push(self.1.take().unwrap_or_else(|| "released".into()));
    }
}

impl Gate for FakeGate {
    fn acquire(&self, _: &CallKey, now: Timestamp) -> Admission {
        if now >= self.opens {
            return Admission::Granted(Box::new(FakePermit(Arc::clone(&self.log), None)));
        }
        let (wait, open) = (self.opens.since(now), Arc::clone(&self.open));
        let permit: Box<dyn Permit> = Box::new(FakePermit(Arc::clone(&self.log), None));
        let permit = Box::pin(async move {
            tokio::select! { () = tokio::time::sleep(wait) => {}, () = open.notified() => {} }
            Ok(permit)
        });
        Admission::Wait { reason: self.reason, until: Some(self.opens), permit }
    }
}

type Log = Arc<Mutex<Vec<String>>>;

/// A env with an open limiter and a breaker that opens after a time.
pub(super) fn gated(steps: Vec<Step>, opens: Duration) -> (TestEnv, Log, Log) {
    let mut env = env(steps);
    let (limiter, breaker) = (Log::default(), Log::default());
    let gate = |opens, reason, log: &Log| {
        Arc::new(FakeGate { opens, reason, log: Arc::clone(log), open: Arc::default() })
    };
    env.outbound = env.outbound.with_gates(
        gate(START, WaitReason::RateLimit, &limiter),
        gate(env.clock.now().plus(opens), WaitReason::Circuit, &breaker),
    );
    (env, limiter, breaker)
}
