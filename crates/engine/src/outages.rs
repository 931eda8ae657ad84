//! Ends an outage: when the calls of a user to a connection fail for too long, the runs
//! that are pending end together, instead of trying one after the other for hours.
//!
//! The start of each outage is stored, so that a restart does not prolong it.

use super::Shared;
use super::judge_driver::sentence;
use domain::Timestamp;
use llm::outbound::FailingConnection;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::queue::{GiveUp, Outage, OutageKey};

/// The interval between rounds.
const INTERVAL: Duration = Duration::from_secs(5);
/// A stored outage of a connection that was not called since is forgotten.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The outages that are known.
#[derive(Debug, Default)]
pub(super) struct Outages {
    known: Mutex<HashMap<OutageKey, Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    began_at: Timestamp,
    /// This process saw the connection fail. Otherwise the outage began before a restart,
    /// after which every circuit is closed at first.
    seen: bool,
}

/// What changed since the last round.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    began: Vec<Outage>,
    ended: Vec<OutageKey>,
}

fn key_of(failing: &FailingConnection) -> OutageKey {
    let FailingConnection { user_id, connection_id, model, .. } = failing.clone();
    OutageKey { user_id, connection_id, model }
}

impl Outages {
    pub(super) fn stored(outages: Vec<Outage>) -> Self {
        let known = outages.into_iter().map(|outage| {
            let known = Known { began_at: outage.began_at, seen: false };
            (outage.key, known)
        });
        Self { known: Mutex::new(known.collect()) }
    }

    /// How long a run that was requested at `requested_at` may still wait for the end of
    /// an outage; `None` without an outage.
    pub(super) fn time_left(
        &self,
        key: &OutageKey,
        requested_at: Timestamp,
        limit: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        let began_at = self.known.lock().get(key)?.began_at;
        Some(began_at.max(requested_at).plus(limit).since(now))
    }

    /// The changes that the current failures make. They are applied once they are stored.
    fn changes(&self, failing: &[FailingConnection], now: Timestamp) -> Changes {
        let known = self.known.lock();
        let mut changes = Changes::default();
        for connection in failing {
            let began_at = known.get(&key_of(connection)).map(|outage| outage.began_at);
            // A success in between ended the former outage.
            if began_at.is_none_or(|began_at| connection.last_success > Some(began_at)) {
                changes.began.push(Outage { key: key_of(connection), began_at: now });
            }
        }
        for (key, outage) in known.iter() {
            let fails = failing.iter().any(|failing| key_of(failing) == *key);
            if !fails && (outage.seen || now.since(outage.began_at) >= MAX_AGE) {
                changes.ended.push(key.clone());
            }
        }
        changes
    }

    fn apply(&self, failing: &[FailingConnection], changes: &Changes) {
        let mut known = self.known.lock();
        for outage in &changes.began {
            let new = Known { began_at: outage.began_at, seen: true };
            known.insert(outage.key.clone(), new);
        }
        for key in &changes.ended {
            known.remove(key);
        }
        for connection in failing {
            if let Some(outage) = known.get_mut(&key_of(connection)) {
                outage.seen = true;
            }
        }
    }
}

/// Checks the outages until the engine shuts down.
pub(super) async fn run(shared: Arc<Shared>) {
    while shared.pause(INTERVAL).await {
        check(&shared).await;
    }
}

async fn check(shared: &Shared) {
    let now = shared.clock.now();
    let failing = shared.outbound.failing_connections();
    let changes = shared.outages.changes(&failing, now);
    if changes != Changes::default() {
        let Changes { began, ended } = &changes;
        if let Err(error) = shared.queue.save_outages(began.clone(), ended.clone()).await {
            tracing::warn!(%error, "the start of an outage was not stored; retrying");
            return;
        }
    }
    shared.outages.apply(&failing, &changes);
    for connection in failing {
        give_up(shared, connection, now).await;
    }
}

/// Ends the pending runs that waited for the whole limit: since the outage began, or
/// since they were requested.
async fn give_up(shared: &Shared, connection: FailingConnection, now: Timestamp) {
    let limit = shared.settings.outage_wait;
    let key = key_of(&connection);
    let left = shared.outages.time_left(&key, Timestamp(0), limit, now);
    if left.is_none_or(|left| !left.is_zero()) {
        return;
    }
    let FailingConnection { connection_id, reason, .. } = connection;
    let calls = if key.model.is_some() { "call of this model" } else { "call" };
    let message = format!(
        "Not begun: no {calls} on this connection succeeded for {}. {} Re-run the errors when it works again.",
        in_words(limit),
        sentence(&reason),
    );
    let give_up = GiveUp { key, created_until: now.minus(limit), message };
    match shared.queue.give_up_pending(give_up, now).await {
        Ok(0) => {}
        Ok(runs) => tracing::warn!(%connection_id, runs, "runs ended in an outage"),
        Err(error) => tracing::warn!(%error, "pending runs could not be ended; retrying"),
    }
}

fn in_words(limit: Duration) -> String {
    match limit.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
