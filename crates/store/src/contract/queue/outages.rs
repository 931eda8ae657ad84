//! Outages, and the pending runs that give up.

use super::{QueueFixture, T0, at, claim, id, space, suite, user};
use crate::queue::{GiveUp, Outage, OutageKey};
use domain::{ConnectionId, ErrorKind, RunStatus, SuiteId, SuiteStatus};

/// An empty model stands for all models.
fn key(owner: u128, connection: u128, model: &str) -> OutageKey {
    let model = (!model.is_empty()).then(|| model.to_owned());
    OutageKey { user_id: user(owner), connection_id: ConnectionId(id(connection)), model }
}

pub async fn outages_are_stored_until_they_end(f: QueueFixture) {
    let outage = |owner, connection, model: &str, began_at| Outage {
        key: key(owner, connection, model),
        began_at: at(began_at),
    };
    let first = [outage(1, 7, "", 1), outage(2, 7, "", 2), outage(1, 8, "", 3)];
    f.queue.save_outages(first.to_vec(), Vec::new()).await.unwrap();
    let models = [outage(1, 7, "m", 4), outage(1, 7, "n", 5)];
    f.queue.save_outages(models.to_vec(), Vec::new()).await.unwrap();
    // One began again, two ended.
    let ended = vec![key(2, 7, ""), key(1, 7, "m")];
    f.queue.save_outages(vec![outage(1, 8, "", 9)], ended).await.unwrap();
    let mut stored = f.queue.outages().await.unwrap();
    stored.sort_by_key(|outage| outage.began_at);
    assert_eq!(stored, [outage(1, 7, "", 1), outage(1, 7, "n", 5), outage(1, 8, "", 9)]);
}

pub async fn pending_runs_give_up_together(f: QueueFixture) {
    let mut later = suite(3, 1, 1);
    later.at = at(100);
    let mut elsewhere = suite(4, 1, 1);
    elsewhere.model_snapshot.agent.connection_id = ConnectionId(id(8));
    for new in [suite(1, 1, 4), suite(2, 2, 1), later, elsewhere] {
        f.suites.create_suite(new).await.unwrap();
    }
    let started = f.queue.claim(claim(1, T0)).await.unwrap();
    let give_up =
        GiveUp { key: key(1, 7, ""), created_until: at(50), message: "Not begun.".into() };
    let other_model = GiveUp { key: key(1, 7, "other"), ..give_up.clone() };
    assert_eq!(f.queue.give_up_pending(other_model, at(200)).await.unwrap(), 0);
    let ended = f.queue.give_up_pending(give_up.clone(), at(200)).await.unwrap();
    let (_, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    let is_started = |run: &&crate::rows::RunRow| started.iter().any(|other| other.id == run.id);
    let (began, gave_up): (Vec<_>, Vec<_>) = runs.iter().partition(is_started);
    assert_eq!(began.len() + gave_up.len(), 4);
    assert_eq!(ended as usize, gave_up.len());
    assert!(began.iter().all(|run| run.status == RunStatus::Running));
    for run in gave_up {
        let error = run.error.as_ref().unwrap();
        assert_eq!((error.kind, error.retryable), (ErrorKind::CircuitOpen, true));
        assert_eq!((error.message.as_str(), run.finished_at), ("Not begun.", Some(at(200))));
    }
    for (owner, other) in [(2, 2), (1, 3), (1, 4)] {
        let (row, runs) = f.suites.suite(space(owner), SuiteId(id(other))).await.unwrap().unwrap();
        assert!(!runs[0].status.is_final(), "suite {other}: {:?}", row.state.status());
    }
    assert_eq!(f.queue.give_up_pending(give_up, at(300)).await.unwrap(), 0);
    let late = GiveUp { key: key(2, 7, "m"), created_until: at(50), message: "Not begun.".into() };
    if f.queue.give_up_pending(late, at(400)).await.unwrap() == 1 {
        let (row, _) = f.suites.suite(space(2), SuiteId(id(2))).await.unwrap().unwrap();
        assert_eq!(row.state.status(), SuiteStatus::Finished, "its only run ended");
    }
}
