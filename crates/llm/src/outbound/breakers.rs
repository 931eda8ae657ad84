//! All circuits, each of one user on one connection, as a gate.

use super::breaker::{Circuit, Heard, Outcome, Ticket};
use super::gate::{Admission, CallKey, Gate, Permit};
use super::limits::sleep_towards;
use super::sweep::Sweep;
use clock::SharedClock;
use llm_types::{CallError, ChatReply};
use domain::{Breaker, BreakerState, ConnectionId, Timestamp, UserId, WaitingOn};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The circuits of all users.
pub(super) struct Breakers {
    cells: Mutex<HashMap<(UserId, ConnectionId), Arc<Cell>>>,
    sweep: Mutex<Sweep>,
    clock: SharedClock,
}

struct Cell {
    circuit: Mutex<Circuit>,
    /// Tells those who wait that something changed.
    changed: watch::Sender<()>,
    connection_id: ConnectionId,
    clock: SharedClock,
}

impl Breakers {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { cells: Mutex::default(), sweep: Mutex::default(), clock }
    }

    fn cell(&self, user: UserId, connection_id: ConnectionId) -> Arc<Cell> {
        let mut cells = self.cells.lock();
        if let Some(cell) = cells.get(&(user, connection_id)) {
            return cell.clone();
        }
        // Those that have nothing to tell go.
        if self.sweep.lock().is_due() {
            let idle = |cell: &Arc<Cell>| Arc::strong_count(cell) == 1;
            cells.retain(|_, cell| !idle(cell) || !cell.circuit.lock().is_plain());
        }
        let new = || Cell {
            circuit: Mutex::default(),
            changed: watch::channel(()).0,
            connection_id,
            clock: self.clock.clone(),
        };
        cells.entry((user, connection_id)).or_insert_with(|| Arc::new(new())).clone()
    }

    /// A user's circuit on a connection.
    pub(super) fn view(&self, user: UserId, connection: ConnectionId, now: Timestamp) -> Breaker {
        let cell = self.cells.lock().get(&(user, connection)).cloned();
        cell.map(|cell| cell.circuit.lock().view(now)).unwrap_or_default()
    }

    /// A user's circuit on a connection, as a call to this model finds it.
    pub(super) fn view_of(
        &self,
        key: (UserId, ConnectionId),
        model: &str,
        now: Timestamp,
    ) -> Breaker {
        let cell = self.cells.lock().get(&key).cloned();
        cell.map(|cell| cell.circuit.lock().view_of(model, now)).unwrap_or_default()
    }

    /// All circuits through which nothing, or one call at a time, goes.
    pub(super) fn all_shut(&self, now: Timestamp) -> Vec<(UserId, ConnectionId, Breaker)> {
        let cells = self.cells.lock();
        let seen = cells
            .iter()
            .map(|((user, connection), cell)| (*user, *connection, cell.circuit.lock().view(now)));
        let shut = [BreakerState::Open, BreakerState::HalfOpen];
        seen.filter(|(_, _, breaker)| shut.contains(&breaker.state)).collect()
    }

    /// The connection was edited: its circuits begin anew, for everybody.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.change_all(connection, Circuit::edited);
    }

    /// The connection was saved: its latches end, for everybody.
    pub(super) fn unlatch(&self, connection: ConnectionId) {
        self.change_all(connection, Circuit::saved);
    }

    fn change_all(&self, connection: ConnectionId, change: fn(&mut Circuit)) {
        let cells: Vec<_> = self.cells.lock().values().cloned().collect();
        for cell in cells.iter().filter(|cell| cell.connection_id == connection) {
            cell.change(None, change);
            cell.changed.send_replace(());
        }
    }
}

impl Gate for Breakers {
    fn admit(&self, key: &CallKey, now: Timestamp) -> Admission {
        let cell = self.cell(key.user_id, key.connection_id);
        match cell.ask(&key.model, key.probe, now) {
            Heard::Go(ticket) => Admission::Granted(Box::new(Leave { cell, ticket: Some(ticket) })),
            Heard::No(error) => Admission::Refused(error),
            Heard::Wait(until) => {
                let (changed, model) = (cell.changed.subscribe(), key.model.clone());
                let turn = Box::pin(wait(cell, changed, model));
                Admission::Wait { what: WaitingOn::Circuit, until, turn }
            }
        }
    }

    fn until(&self, key: &CallKey, now: Timestamp) -> Option<Timestamp> {
        self.view(key.user_id, key.connection_id, now).until
    }
}

/// Waits until it is this call's turn: to probe, or because it closed.
async fn wait(
    cell: Arc<Cell>,
    mut changed: watch::Receiver<()>,
    model: String,
) -> Result<Box<dyn Permit>, CallError> {
    loop {
        changed.mark_unchanged();
        let now = cell.clock.now();
        let until = match cell.ask(&model, false, now) {
            Heard::Go(ticket) => return Ok(Box::new(Leave { cell, ticket: Some(ticket) })),
            Heard::No(error) => return Err(error),
            Heard::Wait(until) => until,
        };
        let time = sleep_towards(until, now);
        tokio::select! { () = time => {} _ = changed.changed() => {} }
    }
}

impl Cell {
    fn ask(&self, model: &str, person: bool, now: Timestamp) -> Heard {
        self.change(None, |circuit| circuit.ask(model, person, now))
    }

    /// Changes the circuit after `error`, if after one, and tells of it if its
    /// state is another then.
    fn change<T>(&self, error: Option<&CallError>, change: impl FnOnce(&mut Circuit) -> T) -> T {
        let mut circuit = self.circuit.lock();
        let before = circuit.seen();
        let result = change(&mut circuit);
        let after = circuit.seen();
        if before != after {
            let why = circuit.view(self.clock.now()).reason.unwrap_or_default();
            told(self.connection_id, before, after, error, &why);
        }
        result
    }

    fn ended(&self, ticket: &Ticket, outcome: Outcome<'_>) {
        let now = self.clock.now();
        let error = match outcome {
            Outcome::Error(error) => Some(error),
            Outcome::Success | Outcome::GivenBack => None,
        };
        self.change(error, |circuit| circuit.ended(ticket, outcome, now));
        self.changed.send_replace(());
    }
}

/// Metrics and log of a change of state. `why` holds words of the provider,
/// which are nothing for the log that operators keep.
fn told(
    connection: ConnectionId,
    before: &'static str,
    after: &'static str,
    error: Option<&CallError>,
    why: &str,
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
            tracing::warn!(%connection, before, after, kind, cause, status, "a circuit changed");
            tracing::debug!(%connection, why, "why it changed");
        }
        _ => tracing::info!(%connection, before, after, "a circuit changed"),
    }
}

/// Leave to make one call.
struct Leave {
    cell: Arc<Cell>,
    ticket: Option<Ticket>,
}

impl Permit for Leave {
    fn finish(mut self: Box<Self>, outcome: Result<&ChatReply, &CallError>) {
        if let Some(ticket) = self.ticket.take() {
            let outcome = outcome.map_or_else(Outcome::Error, |_| Outcome::Success);
            self.cell.ended(&ticket, outcome);
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.cell.ended(&ticket, Outcome::GivenBack);
        }
    }
}
