//! The circuits of all users and connections, as a gate.

use super::backpressure::FailingConnection;
use super::breaker::{Acquire, Circuit, Outcome, Ticket};
use super::eviction::EvictionSchedule;
use super::gate::{Admission, CallKey, Gate, Permit};
use super::timer::sleep_towards;
use clock::SharedClock;
use domain::{Breaker, BreakerState, ConnectionId, Timestamp, UserId, WaitReason};
use llm_types::{CallError, ChatReply};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) struct Breakers {
    circuits: Mutex<HashMap<(UserId, ConnectionId), Arc<SharedCircuit>>>,
    eviction: Mutex<EvictionSchedule>,
    clock: SharedClock,
}

struct SharedCircuit {
    circuit: Mutex<Circuit>,
    /// Wakes the waiting calls.
    changed: watch::Sender<()>,
    connection_id: ConnectionId,
    clock: SharedClock,
}

/// A suspended connection or model of a user.
pub(super) struct Suspended {
    pub(super) user_id: UserId,
    pub(super) connection_id: ConnectionId,
    /// `None` for all models of the connection.
    pub(super) model: Option<String>,
    /// The time of the next probe.
    pub(super) until: Timestamp,
    /// Whether calls are rejected now.
    pub(super) rejects: bool,
}

impl Breakers {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { circuits: Mutex::default(), eviction: Mutex::default(), clock }
    }

    fn get_or_insert(&self, user: UserId, connection_id: ConnectionId) -> Arc<SharedCircuit> {
        let mut circuits = self.circuits.lock();
        if let Some(circuit) = circuits.get(&(user, connection_id)) {
            return circuit.clone();
        }
        if self.eviction.lock().is_due() {
            circuits.retain(|_, shared| {
                Arc::strong_count(shared) > 1 || !shared.circuit.lock().is_initial()
            });
        }
        let new = SharedCircuit {
            circuit: Mutex::default(),
            changed: watch::channel(()).0,
            connection_id,
            clock: self.clock.clone(),
        };
        circuits.entry((user, connection_id)).or_insert(Arc::new(new)).clone()
    }

    /// A user's circuit on a connection.
    pub(super) fn view(&self, user: UserId, connection: ConnectionId, now: Timestamp) -> Breaker {
        let shared = self.circuits.lock().get(&(user, connection)).cloned();
        shared.map(|shared| shared.circuit.lock().view(now)).unwrap_or_default()
    }

    /// A user's circuit on a connection, as it applies to calls of `model`.
    pub(super) fn view_for_model(
        &self,
        key: (UserId, ConnectionId),
        model: &str,
        now: Timestamp,
    ) -> Breaker {
        let shared = self.circuits.lock().get(&key).cloned();
        shared.map(|shared| shared.circuit.lock().view_for_model(model, now)).unwrap_or_default()
    }

    /// All open and half-open circuits.
    pub(super) fn all_open(&self, now: Timestamp) -> Vec<(UserId, ConnectionId, Breaker)> {
        let circuits = self.circuits.lock();
        let views = circuits.iter().map(|((user, connection), shared)| {
            (*user, *connection, shared.circuit.lock().view(now))
        });
        let open = [BreakerState::Open, BreakerState::HalfOpen];
        views.filter(|(_, _, breaker)| open.contains(&breaker.state)).collect()
    }

    /// All connections whose calls fail (open, half-open and suspended circuits), and all
    /// suspended models.
    pub(super) fn all_failing(&self) -> Vec<FailingConnection> {
        let circuits = self.circuits.lock();
        let failing = circuits.iter().flat_map(|((user_id, connection_id), shared)| {
            let failures = shared.circuit.lock().failures();
            failures.into_iter().map(|failure| FailingConnection {
                user_id: *user_id,
                connection_id: *connection_id,
                model: failure.model,
                reason: failure.reason,
                last_success: failure.last_success,
            })
        });
        failing.collect()
    }

    /// The suspension of a user's connection or of the model: until when its calls are
    /// rejected, and whether they are rejected now.
    pub(super) fn suspension(
        &self,
        key: (UserId, ConnectionId),
        model: &str,
        now: Timestamp,
    ) -> Option<(Timestamp, bool)> {
        let shared = self.circuits.lock().get(&key).cloned();
        shared.and_then(|shared| shared.circuit.lock().suspension(model, now))
    }

    /// All suspended connections and models.
    pub(super) fn all_suspended(&self, now: Timestamp) -> Vec<Suspended> {
        let circuits = self.circuits.lock();
        let suspended = circuits.iter().flat_map(|((user_id, connection_id), shared)| {
            let suspensions = shared.circuit.lock().suspensions(now);
            suspensions.into_iter().map(|(model, until, rejects)| Suspended {
                user_id: *user_id,
                connection_id: *connection_id,
                model,
                until,
                rejects,
            })
        });
        suspended.collect()
    }

    /// Resets the circuits of an edited connection for all users.
    pub(super) fn reset(&self, connection: ConnectionId) {
        self.update_all(connection, Circuit::reset);
    }

    /// Ends the suspensions of a saved connection for all users.
    pub(super) fn clear_suspensions(&self, connection: ConnectionId) {
        self.update_all(connection, Circuit::clear_suspensions);
    }

    fn update_all(&self, connection: ConnectionId, update: fn(&mut Circuit)) {
        let circuits: Vec<_> = self.circuits.lock().values().cloned().collect();
        for shared in circuits.iter().filter(|shared| shared.connection_id == connection) {
            shared.update(None, update);
            shared.changed.send_replace(());
        }
    }
}

impl Gate for Breakers {
    fn acquire(&self, key: &CallKey, now: Timestamp) -> Admission {
        let shared = self.get_or_insert(key.user_id, key.connection_id);
        match shared.acquire(&key.model, key.is_manual_probe, now) {
            Acquire::Granted(ticket) => {
                Admission::Granted(Box::new(BreakerPermit { shared, ticket: Some(ticket) }))
            }
            Acquire::Rejected(error) => Admission::Rejected(error),
            Acquire::Wait(until) => {
                let (changed, model) = (shared.changed.subscribe(), key.model.clone());
                let permit = Box::pin(wait(shared, changed, model));
                Admission::Wait { reason: WaitReason::Circuit, until, permit }
            }
        }
    }

    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        self.view(key.user_id, key.connection_id, now).until
    }
}

/// Waits until the circuit is closed or this call is the next probe.
async fn wait(
    shared: Arc<SharedCircuit>,
    mut changed: watch::Receiver<()>,
    model: String,
) -> Result<Box<dyn Permit>, CallError> {
    loop {
        changed.mark_unchanged();
        let now = shared.clock.now();
        let until = match shared.acquire(&model, false, now) {
            Acquire::Granted(ticket) => {
                return Ok(Box::new(BreakerPermit { shared, ticket: Some(ticket) }));
            }
            Acquire::Rejected(error) => return Err(error),
            Acquire::Wait(until) => until,
        };
        let sleep = sleep_towards(until, now);
        tokio::select! { () = sleep => {} _ = changed.changed() => {} }
    }
}

impl SharedCircuit {
    fn acquire(&self, model: &str, is_manual_probe: bool, now: Timestamp) -> Acquire {
        self.update(None, |circuit| circuit.acquire(model, is_manual_probe, now))
    }

    /// Updates the circuit, and reports a change of its state. `error` is the error
    /// that caused the update.
    fn update<T>(&self, error: Option<&CallError>, update: impl FnOnce(&mut Circuit) -> T) -> T {
        let mut circuit = self.circuit.lock();
        let before = circuit.metric_state();
        let result = update(&mut circuit);
        let after = circuit.metric_state();
        if before != after {
            let reason = circuit.view(self.clock.now()).reason.unwrap_or_default();
            report_transition(self.connection_id, before, after, error, &reason);
        }
        result
    }

    fn record(&self, ticket: &Ticket, outcome: Outcome<'_>) {
        let now = self.clock.now();
        let error = match outcome {
            Outcome::Error(error) => Some(error),
            Outcome::Success | Outcome::Cancelled => None,
        };
        self.update(error, |circuit| circuit.record(ticket, outcome, now));
        self.changed.send_replace(());
    }
}

/// Updates the metrics and logs the transition. `reason` contains text of the
/// provider, so it is logged at debug level only.
fn report_transition(
    connection: ConnectionId,
    before: &'static str,
    after: &'static str,
    error: Option<&CallError>,
    reason: &str,
) {
    metrics::counter!("rehearsal_breaker_transitions_total", "to" => after).increment(1);
    if before != "closed" {
        metrics::gauge!("rehearsal_breakers", "state" => before).decrement(1.0);
    }
    if after != "closed" {
        metrics::gauge!("rehearsal_breakers", "state" => after).increment(1.0);
    }
    match after {
        "open" | "latched" => {
            let kind = error.map(|error| error.kind().as_str());
            let (cause, status) = (error.map(|e| e.cause.as_str()), error.and_then(|e| e.status));
            tracing::warn!(%connection, before, after, kind, cause, status, "circuit changed state");
            tracing::debug!(%connection, reason, "reason of the circuit's state");
        }
        _ => tracing::info!(%connection, before, after, "circuit changed state"),
    }
}

struct BreakerPermit {
    shared: Arc<SharedCircuit>,
    ticket: Option<Ticket>,
}

impl Permit for BreakerPermit {
    fn finish(mut self: Box<Self>, outcome: Result<&ChatReply, &CallError>) {
        if let Some(ticket) = self.ticket.take() {
            let outcome = outcome.map_or_else(Outcome::Error, |_| Outcome::Success);
            self.shared.record(&ticket, outcome);
        }
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.record(&ticket, Outcome::Cancelled);
        }
    }
}
