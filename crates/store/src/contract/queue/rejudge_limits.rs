//! Rejudges while the judge's circuit is open.

use super::{QueueFixture, at, claim, finished_runs, rejudge, suite};
use crate::queue::Claim;
use crate::schedule::AdmissionLimit;
use crate::suites::NewRejudge;
use domain::{ConnectionId, EvaluationId, UserId};
use uuid::Uuid;

pub async fn open_circuit_defers_rejudges_and_half_open_admits_one(f: QueueFixture) {
    // Three of user 1, then two of user 2, one second apart.
    let mut judge = None;
    for (n, owner, runs) in [(1, 1, 3), (2, 2, 2)] {
        for (i, run) in
            (n * 10..).zip(finished_runs(&*f.suites, &*f.queue, suite(n, owner, runs)).await)
        {
            let mut row = rejudge(&run, i);
            row.evaluation.created_at = at(i as u64);
            judge = Some(row.judge.model_ref.clone());
            f.suites.create_rejudge(NewRejudge { row, key: None }).await.unwrap();
        }
    }
    let judge = judge.unwrap();
    let circuit = |connection_id: ConnectionId, max_running| AdmissionLimit {
        user_id: Some(UserId(Uuid::from_u128(1))),
        connection_id,
        model: None,
        max_running,
    };
    let taken = async |admission_limits: Vec<AdmissionLimit>,
                       now: u64|
           -> Vec<(u64, EvaluationId, u32)> {
        let taken =
            f.queue.claim_rejudges(Claim { admission_limits, ..claim(99, at(now)) }).await.unwrap();
        let second = |time: domain::Timestamp| time.since(at(0)).as_secs();
        taken
            .iter()
            .map(|row| (second(row.evaluation.created_at), row.id(), row.lease_epoch))
            .collect()
    };
    let seconds = |taken: &[(u64, EvaluationId, u32)]| -> Vec<u64> {
        taken.iter().map(|(second, ..)| *second).collect()
    };
    let open = || vec![circuit(judge.connection_id, 0)];
    let half_open = || vec![circuit(judge.connection_id, 1)];
    assert_eq!(seconds(&taken(open(), 30).await), [20, 21], "not the circuit of user 2");
    assert_eq!(seconds(&taken(open(), 31).await), [0; 0]);
    let probe = taken(half_open(), 32).await;
    assert_eq!(seconds(&probe), [10], "the oldest one probes");
    assert_eq!(seconds(&taken(half_open(), 33).await), [0; 0], "only one");
    // After a release it is the oldest again.
    f.queue.release_rejudge(probe[0].1, probe[0].2, at(9)).await.unwrap();
    assert_eq!(seconds(&taken(half_open(), 34).await), [10]);
    // The longest wait is ten minutes after the creation.
    assert_eq!(seconds(&taken(open(), 610).await), [0; 0]);
    assert_eq!(seconds(&taken(open(), 611).await), [11], "the wait is over");
    let other_connection = vec![circuit(ConnectionId(Uuid::from_u128(5)), 0)];
    assert_eq!(
        seconds(&taken(other_connection, 612).await),
        [12],
        "the circuit is of another connection"
    );
}
