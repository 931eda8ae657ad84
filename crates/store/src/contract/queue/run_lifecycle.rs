//! Claims, commits, recoveries and the end of a run.

use super::{QueueFixture, T0, at, claim, finish, id, lost, passed, space, suite, turns};
use crate::rows::{EventRow, Intent, Role};
use crate::suites::CreateOutcome;
use crate::transition::{LEASE_DURATION, MAX_RECOVERIES_WITHOUT_PROGRESS, RunChange, RunOutcome};
use domain::{
    EndReason, ErrorKind, RunStatus, Speaker, Stage, SuiteId, SuiteStatus, TokenParts, Turn,
};
use serde_json::json;
use std::time::Duration;

pub async fn run_completes_and_its_events_are_stored(f: QueueFixture) {
    assert_eq!(f.suites.create_suite(suite(1, 1, 1)).await.unwrap(), CreateOutcome::New);
    let mut woken = f.suites.watch(SuiteId(id(1)));
    let run = f.queue.claim(claim(5, at(1))).await.unwrap().remove(0);
    assert_eq!((run.status, run.lease_epoch), (RunStatus::Running, 1));
    assert_eq!(run.deadline_at, Some(at(1 + 300 + 600 + 180)));
    assert!(woken.borrow_and_update().seq > 0, "streams are woken");
    let lease = run.lease();
    let intent = Intent { id: id(77), role: Role::Agent, turn: 1 };
    let change = RunChange { intents: vec![intent], ..turns(&["hello"]) };
    f.queue.commit(&lease, change, at(2)).await.unwrap();
    let over = RunChange { end_reason: Some(EndReason::ScriptFinished), ..turns(&["bye"]) };
    let row = f.queue.commit(&lease, over, at(3)).await.unwrap();
    assert_eq!((row.stage, row.turns, row.user_turns), (Some(Stage::Evaluating), 2, 2));
    f.queue.commit(&lease, finish(passed()), at(4)).await.unwrap();

    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(
        (suite.state.status(), suite.state.finished_at()),
        (SuiteStatus::Finished, Some(at(4)))
    );
    assert_eq!((runs[0].status, runs[0].score), (RunStatus::Passed, Some(100.0)));
    let transcript = f.suites.transcript(run.id).await.unwrap();
    let messages: Vec<_> = transcript.iter().map(|t| (t.index, t.message.as_str())).collect();
    assert_eq!(messages, [(0, "hello"), (1, "bye")]);

    let events = f.suites.events_after(suite.id, 0, 100).await.unwrap();
    let seqs: Vec<_> = events.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=suite.seq).collect::<Vec<_>>(), "without gaps");
    let kinds: Vec<_> = events
        .iter()
        .map(|(_, event, turn)| match event {
            EventRow::Run(run) => run.status.as_str().to_owned(),
            EventRow::Turn { .. } => turn.as_ref().unwrap().message.clone(),
            EventRow::Finished(end) => end.status.as_str().to_owned(),
        })
        .collect();
    assert_eq!(kinds, ["running", "hello", "bye", "running", "passed", "finished"]);
    let later = f.suites.events_after(suite.id, 4, 1).await.unwrap();
    assert_eq!((later.len(), later[0].0), (1, 5), "after seq 4, at most one");
}

pub async fn turn_keeps_what_its_model_replied(f: QueueFixture) {
    let run = f.leased_run().await;
    let state = json!({"anthropic": [{"type": "thinking", "signature": "sig=="}]});
    let parts = TokenParts { cached_input_tokens: 1, cache_write_tokens: 2, reasoning_tokens: 3 };
    let reply = Turn {
        adjustments: vec!["temperature left out".to_owned()],
        token_parts: parts,
        first_token_ms: Some(400),
        provider_state: Some(state),
        ..Turn::text(Speaker::Agent, "Hello", at(1))
    };
    let plain = Turn { index: 1, ..Turn::text(Speaker::User, "Hi", at(1)) };
    let change = RunChange { turns: vec![reply.clone(), plain.clone()], ..RunChange::default() };
    f.queue.commit(&run.lease(), change, at(1)).await.unwrap();
    assert_eq!(f.suites.transcript(run.id).await.unwrap(), [reply, plain]);
}

pub async fn final_run_never_changes(f: QueueFixture) {
    let run = f.leased_run().await;
    let lease = run.lease();
    f.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert!(lost(f.queue.commit(&lease, finish(RunOutcome::cancelled()), at(2)).await));
    assert!(lost(f.queue.commit(&lease, turns(&["late"]), at(2)).await));
    assert!(f.suites.cancel_run(space(1), run.id, at(2)).await.unwrap().is_none());
    f.queue.reap(at(100_000)).await.unwrap();
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.turns, row.finished_at), (RunStatus::Passed, 0, Some(at(1))));
    assert!(f.suites.transcript(run.id).await.unwrap().is_empty(), "no late turn is stored");
}

pub async fn stale_lease_holder_changes_nothing(f: QueueFixture) {
    let previous = f.leased_run().await;
    let stale = previous.lease();
    f.queue.reap(T0.plus(LEASE_DURATION * 2)).await.unwrap();
    assert!(lost(f.queue.commit(&stale, turns(&["stale"]), at(61)).await), "no lease holder");
    let current = f.claim_run(at(62)).await;
    assert!(current.lease_epoch > previous.lease_epoch);
    assert!(lost(f.queue.commit(&stale, turns(&["stale"]), at(63)).await), "another lease holder");
    assert!(lost(f.queue.release(&stale, at(63)).await));
    f.queue.commit(&current.lease(), turns(&["real"]), at(64)).await.unwrap();
    let transcript = f.suites.transcript(current.id).await.unwrap();
    assert_eq!(transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["real"]);
}

pub async fn release_is_not_a_recovery(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    for _ in 0..10 {
        let run = f.claim_run(T0).await;
        assert_eq!((run.recoveries, run.recoveries_without_progress), (0, 0));
        f.queue.release(&run.lease(), at(1)).await.unwrap();
    }
    assert_eq!(f.queue.reap(at(2)).await.unwrap().recovered, 0);
}

pub async fn expired_lease_is_recovered_until_run_is_abandoned(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let mut now = T0;
    for n in 0..MAX_RECOVERIES_WITHOUT_PROGRESS {
        let run = f.claim_run(now).await;
        assert_eq!(run.recoveries, n);
        assert_eq!(
            f.queue.reap(now.plus(LEASE_DURATION)).await.unwrap().recovered,
            0,
            "not yet expired"
        );
        now = now.plus(LEASE_DURATION + Duration::from_millis(1));
        assert_eq!(f.queue.reap(now).await.unwrap().recovered, 1);
    }
    let run = f.claim_run(now).await;
    assert_eq!(
        f.queue.recover_at_boot(now).await.unwrap().ended,
        1,
        "the boot counts as a recovery"
    );
    let row = f.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.as_ref().map(|error| error.kind), Some(ErrorKind::Abandoned));

    // A turn resets the count.
    f.suites.create_suite(suite(2, 1, 1)).await.unwrap();
    for _ in 0..6 {
        let run = f.claim_run(now).await;
        f.queue.commit(&run.lease(), turns(&["on"]), now).await.unwrap();
        assert_eq!(f.queue.recover_at_boot(now).await.unwrap().recovered, 1);
    }
}
