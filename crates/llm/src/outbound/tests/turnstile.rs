//! A gate that opens at a time, in the place of limiter and breaker.

use super::{Rig, START, Step, rig};
use clock::Clock;
use crate::classify::effect;
use crate::outbound::gate::{Admission, CallKey, Gate, Permit};
use llm_types::{CallError, ChatReply};
use domain::{Timestamp, WaitingOn};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

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
pub(super) fn gated(steps: Vec<Step>, opens: Duration) -> (Rig, Log, Log) {
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
