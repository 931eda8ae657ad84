//! Judging again while the judge's circuit is open.

use super::{QueueFixture, again, at, claim, over, suite};
use crate::pick::Hold;
use crate::queue::Claim;
use crate::suites::NewEvaluation;
use domain::{ConnectionId, EvaluationId, UserId};
use uuid::Uuid;

pub async fn it_waits_and_one_tries(f: QueueFixture) {
    // Three of user 1, then two of user 2, each asked for after the other.
    let mut judge = None;
    for (n, owner, runs) in [(1, 1, 3), (2, 2, 2)] {
        for (i, run) in (n * 10..).zip(over(f.suites.as_ref(), f.queue.as_ref(), suite(n, owner, runs)).await) {
            let mut row = again(&run, i);
            row.view.created_at = at(i as u64);
            judge = Some(row.judge.clone());
            f.suites.create_evaluation(NewEvaluation { row, key: None }).await.unwrap();
        }
    }
    let judge = judge.unwrap();
    let circuit = |connection_id: ConnectionId, begun| Hold {
        user_id: Some(UserId(Uuid::from_u128(1))),
        connection_id,
        model: None,
        begun,
    };
    let taken = async |holds: Vec<Hold>, now: u64| -> Vec<(u64, EvaluationId, u32)> {
        let taken = f.queue.claim_evaluations(Claim { holds, ..claim(99, at(now)) }).await.unwrap();
        let asked = |time: domain::Timestamp| time.since(at(0)).as_secs();
        taken.iter().map(|row| (asked(row.view.created_at), row.id(), row.attempt)).collect()
    };
    let who = |taken: &[(u64, EvaluationId, u32)]| -> Vec<u64> {
        taken.iter().map(|(asked, ..)| *asked).collect()
    };
    let open = || vec![circuit(judge.connection_id, 0)];
    let half_open = || vec![circuit(judge.connection_id, 1)];
    assert_eq!(who(&taken(open(), 30).await), [20, 21], "another user's is not held");
    assert_eq!(who(&taken(open(), 31).await), [0; 0]);
    let tries = taken(half_open(), 32).await;
    assert_eq!(who(&tries), [10], "its time is over: the first one tries");
    assert_eq!(who(&taken(half_open(), 33).await), [0; 0], "and only one");
    // Given back it is the first again.
    f.queue.hand_back_evaluation(tries[0].1, tries[0].2).await.unwrap();
    assert_eq!(who(&taken(half_open(), 34).await), [10]);
    // The longest wait is ten minutes from when each was asked for.
    assert_eq!(who(&taken(open(), 610).await), [0; 0]);
    assert_eq!(who(&taken(open(), 611).await), [11], "it waited long enough");
    let elsewhere = vec![circuit(ConnectionId(Uuid::from_u128(5)), 0)];
    assert_eq!(who(&taken(elsewhere, 612).await), [12], "a circuit of another connection");
}
