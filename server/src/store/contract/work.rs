//! Stories about suites and the queue.

use crate::observe::reading::Numbers;
use crate::store::StoreError;
use crate::store::census::Census;
use crate::store::cleaning::{CleanStore, Old};
use crate::store::memory::work::{Documents, MemoryWork};
use crate::store::pick::Hold;
use crate::store::queue::{Claim, QueueStore};
use crate::store::rows::{EvaluationRow, EventRow, Frozen, Intent, ModelRef, Role, RunRow};
use crate::store::sqlite::SqliteStore;
use crate::store::suites::{Created, NewEvaluation, NewKey, NewRun, NewSuite, SuiteStore};
use crate::store::transition::{Change, Final, LEASE, Lease, MOST_RECOVERIES};
use app::backend::HistoryFilter;
use app::domain::{
    AgentId, AgentRef, ConnectionId, EndReason, ErrorKind, Evaluation, EvaluationId,
    EvaluationStatus, RunError, RunId, RunStatus, ScenarioId, ScenarioRef, SpaceId, Speaker, Stage,
    SuiteId, SuiteStatus, Timestamp, Turn, UserId, Waiting, WaitingOn,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A store to tell stories to, with two users in it.
struct Bench {
    suites: Arc<dyn SuiteStore>,
    queue: Arc<dyn QueueStore>,
    dust: Arc<dyn CleanStore>,
    _folder: Option<tempfile::TempDir>,
}

struct NoDocuments;

impl Documents for NoDocuments {
    fn agent(&self, _: AgentId, _: u32) -> Option<Value> {
        Some(json!({"name": "agent"}))
    }
    fn scenario(&self, _: ScenarioId, _: u32) -> Option<Value> {
        Some(json!({"name": "scenario"}))
    }
}

fn memory() -> Bench {
    let store = Arc::new(MemoryWork::new(Arc::new(NoDocuments)));
    Bench { suites: store.clone(), queue: store.clone(), dust: store, _folder: None }
}

async fn sqlite() -> Bench {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    store
        .writer
        .write(|c| {
            Box::pin(async move {
                for n in [1_u128, 2] {
                    let (user, space) = (user(n).0, space(n).0);
                    sqlx::query("INSERT INTO users VALUES (?, ?, 'hash', 0)")
                        .bind(user)
                        .bind(format!("{n}@example.org"))
                        .execute(&mut *c)
                        .await?;
                    sqlx::query("INSERT INTO spaces VALUES (?, ?, 0)")
                        .bind(space)
                        .bind(user)
                        .execute(&mut *c)
                        .await?;
                }
                Ok(())
            })
        })
        .await
        .expect("seeds");
    let store = Arc::new(store);
    Bench { suites: store.clone(), queue: store.clone(), dust: store, _folder: Some(folder) }
}

fn user(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}
fn space(n: u128) -> SpaceId {
    SpaceId(Uuid::from_u128(100 + n))
}
fn id(n: u128) -> Uuid {
    Uuid::from_u128(1000 + n)
}
pub(super) const T0: Timestamp = Timestamp(1_700_000_000_000);
fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

/// A suite `n` of user `owner` with `runs` runs.
pub(super) fn suite(n: u128, owner: u128, runs: u128) -> NewSuite {
    let model = ModelRef { connection_id: ConnectionId(id(7)), model: "m".into() };
    NewSuite {
        id: SuiteId(id(n)),
        space_id: space(owner),
        user_id: user(owner),
        agent: AgentRef { id: AgentId(id(900 + n)), revision: 1, name: "Agent".into() },
        frozen: Frozen::all(&model),
        concurrency: 3,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        runs: (0..runs).map(|i| new_run(n * 100 + i)).collect(),
        allow_parallel: false,
        queue_per_user: 500,
        key: None,
        at: T0,
    }
}

fn new_run(n: u128) -> NewRun {
    NewRun {
        id: id(n).into(),
        scenario: ScenarioRef { id: ScenarioId(id(5000 + n)), revision: 1, name: format!("S{n}") },
        repetition: 1,
        timeout_ms: 300_000,
        user_turns_planned: 3,
        source_run_id: None,
        error: None,
    }
}

pub(super) fn claim(most: u32, now: Timestamp) -> Claim {
    let max_wait = Duration::from_secs(600);
    Claim { owner: "worker".into(), runs_per_user: 8, max_wait, most, holds: Vec::new(), now }
}

fn turns(messages: &[&str]) -> Change {
    let turns = messages.iter().map(|message| Turn::said(Speaker::User, *message, T0)).collect();
    Change { turns, ..Change::default() }
}

fn finish(finish: Final) -> Change {
    Change { finish: Some(finish), ..Change::default() }
}

fn passed() -> Final {
    Final { status: RunStatus::Passed, score: Some(100.0), error: None }
}

fn lost<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}

/// Tells each story to both stores.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        mod in_memory { $( #[tokio::test] async fn $story() { super::$story(super::memory()).await } )* }
        mod in_sqlite { $( #[tokio::test] async fn $story() { super::$story(super::sqlite().await).await } )* }
    };
}

stories! {
    a_run_goes_its_way_and_events_tell_of_it,
    final_is_final_for_ever,
    a_stale_holder_changes_nothing,
    concurrency_holds_per_suite_and_per_user,
    users_take_turns,
    begun_runs_go_before_new_ones,
    lapsed_leases_are_freed_and_a_run_that_kills_is_given_up,
    past_the_deadline_it_ends_whoever_holds_it,
    nobody_begins_it_for_a_day,
    cancel_ends_what_nobody_holds_and_tells_of_the_rest,
    one_key_one_suite,
    one_suite_over_a_scenario_at_a_time,
    a_full_queue_refuses,
    runs_of_incompatible_pairs_are_final_from_the_start,
    a_finished_conversation_is_copied,
    parked_runs_keep_the_suite_place_and_free_the_users,
    a_place_that_is_wanted_back_is_kept,
    nothing_begins_where_its_first_call_would_wait,
    time_behind_circuits_adds_up,
    judging_again_has_a_lease_of_its_own,
    users_take_turns_at_judging_again,
    a_judging_that_takes_its_server_down_is_given_up,
    lists_go_from_new_to_old_without_gap_or_double,
    suites_are_found_by_what_their_runs_are,
    what_is_somebody_elses_is_not_there,
    handing_back_is_no_recovery,
    what_was_to_stop_ends_when_it_is_handed_back,
    old_events_go_and_the_suite_stays,
    old_suites_go_with_everything_in_them,
    a_suite_that_is_judged_again_stays_until_that_is_done,
    what_is_gone_is_no_source_and_is_not_judged,
    old_keys_go_and_new_ones_stay,
    unfinished_runs_are_counted_by_what_they_do,
    each_end_is_counted_once_whoever_brought_it,
}

/// Runs a suite to its end.
async fn ended(b: &Bench, n: u128, runs: u128, end: Timestamp) -> SuiteId {
    b.suites.create_suite(suite(n, 1, runs)).await.unwrap();
    for run in b.queue.claim(claim(99, T0)).await.unwrap() {
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        let intent =
            Intent { id: Uuid::from_u128(run.id.0.as_u128() << 32), role: Role::Agent, turn: 1 };
        let said = Change { intents: vec![intent], ..turns(&["hello", "bye"]) };
        b.queue.commit(&lease, said, T0).await.unwrap();
        b.queue.commit(&lease, finish(passed()), end).await.unwrap();
    }
    SuiteId(id(n))
}

/// Cleans until nothing is left; the rows of each step.
async fn cleaned(b: &Bench, what: Old, before: Timestamp, most: u32) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        let step = b.dust.clean(what, before, most).await.unwrap();
        steps.push(step.total());
        if !step.more {
            return steps;
        }
    }
}

async fn old_events_go_and_the_suite_stays(b: Bench) {
    let old = ended(&b, 1, 3, at(10)).await;
    let young = ended(&b, 2, 3, at(20)).await;
    b.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    b.queue.claim(claim(1, T0)).await.unwrap();
    let told = async |suite| b.suites.events_after(suite, 0, 1000).await.unwrap().len();
    let before = [told(old).await, told(young).await, told(SuiteId(id(3))).await];
    assert!(before[0] > 10);
    // After the first step already, none of them is told: half of them would
    // be a gap.
    let first = b.dust.clean(Old::Events, at(15), 4).await.unwrap();
    assert!(first.more && first.total() <= 4, "{first:?}");
    assert_eq!(told(old).await, 0);
    let steps = cleaned(&b, Old::Events, at(15), 4).await;
    assert!(steps.iter().all(|rows| *rows <= 4), "{steps:?}");
    assert_eq!(first.total() + steps.iter().sum::<u64>(), before[0] as u64);
    assert_eq!(cleaned(&b, Old::Events, at(15), 4).await, [0], "once");
    assert_eq!([told(young).await, told(SuiteId(id(3))).await], before[1..]);
    let (row, runs) = b.suites.suite(space(1), old).await.unwrap().unwrap();
    assert_eq!((row.status, runs.len()), (SuiteStatus::Finished, 3), "the report is there");
    assert_eq!(b.suites.transcript(runs[0].id).await.unwrap().len(), 2);
}

async fn old_suites_go_with_everything_in_them(b: Bench) {
    let old = ended(&b, 1, 3, at(10)).await;
    let run = b.suites.suite(space(1), old).await.unwrap().unwrap().1.remove(0);
    let judged = NewEvaluation { row: again(&run, 1), key: None };
    b.suites.create_evaluation(judged).await.unwrap();
    judged_again(&b).await;
    let young = ended(&b, 2, 3, at(20)).await;
    b.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    let rows: u64 = cleaned(&b, Old::Suites, at(15), 500).await.iter().sum();
    assert!(rows > 0);
    assert!(!b.suites.owns(space(1), old).await.unwrap());
    assert!(b.suites.suite(space(1), old).await.unwrap().is_none());
    assert!(b.suites.run(space(1), run.id).await.unwrap().is_none());
    assert!(b.suites.transcript(run.id).await.unwrap().is_empty());
    assert!(b.suites.evaluations(run.id).await.unwrap().is_empty());
    assert!(b.suites.events_after(old, 0, 10).await.unwrap().is_empty());
    let all = HistoryFilter::default();
    assert_eq!(b.suites.suites(space(1), &all, None, 9).await.unwrap().len(), 2);
    assert_eq!(b.suites.runs(space(1), &all, None, 9).await.unwrap().len(), 4);
    assert!(b.suites.suite(space(1), young).await.unwrap().is_some());
    assert_eq!(cleaned(&b, Old::Suites, at(15), 500).await, [0], "once");
    assert_eq!(b.queue.claim(claim(9, at(21))).await.unwrap().len(), 1, "the unfinished one works");
}

/// Brings the judging that waits to its end.
async fn judged_again(b: &Bench) {
    let row = b.queue.claim_evaluations(claim(9, at(12))).await.unwrap().remove(0);
    let view = Evaluation { status: EvaluationStatus::Done, ..row.view.clone() };
    b.queue.commit_evaluation(row.view.id, row.attempt, view, at(13)).await.unwrap();
}

async fn a_suite_that_is_judged_again_stays_until_that_is_done(b: Bench) {
    let judged = ended(&b, 1, 2, at(10)).await;
    let other = ended(&b, 2, 1, at(11)).await;
    let run = b.suites.suite(space(1), judged).await.unwrap().unwrap().1.remove(1);
    let new = NewEvaluation { row: again(&run, 1), key: None };
    assert_eq!(b.suites.create_evaluation(new).await.unwrap(), Created::New);
    cleaned(&b, Old::Suites, at(15), 500).await;
    assert!(b.suites.owns(space(1), judged).await.unwrap(), "while it waits");
    assert!(!b.suites.owns(space(1), other).await.unwrap(), "it holds up no other");
    let held = b.queue.claim_evaluations(claim(9, at(12))).await.unwrap().remove(0);
    cleaned(&b, Old::Suites, at(15), 500).await;
    let (_, work) = b.queue.work_of(run.id).await.unwrap();
    assert_eq!(work.transcript.len(), 2, "while it is under way");
    b.queue.hand_back_evaluation(held.view.id, held.attempt).await.unwrap();
    judged_again(&b).await;
    cleaned(&b, Old::Suites, at(15), 500).await;
    assert!(!b.suites.owns(space(1), judged).await.unwrap());
}

async fn what_is_gone_is_no_source_and_is_not_judged(b: Bench) {
    let old = ended(&b, 1, 1, at(10)).await;
    let run = b.suites.suite(space(1), old).await.unwrap().unwrap().1.remove(0);
    cleaned(&b, Old::Suites, at(15), 500).await;
    let mut copy = suite(2, 1, 1);
    copy.runs[0].source_run_id = Some(run.id);
    assert_eq!(b.suites.create_suite(copy).await.unwrap(), Created::New);
    let begun = b.queue.claim(claim(1, at(16))).await.unwrap().remove(0);
    assert_eq!((begun.source_run_id, begun.turns, begun.end_reason), (None, 0, None));
    assert_eq!(begun.stage, Some(Stage::Conversing), "it talks for itself");
    let new = NewEvaluation { row: again(&run, 1), key: None };
    assert_eq!(b.suites.create_evaluation(new).await.unwrap(), Created::Gone);
    assert!(b.suites.evaluations(run.id).await.unwrap().is_empty());
}

async fn old_keys_go_and_new_ones_stay(b: Bench) {
    let key = |n: u32| NewKey {
        path: "/suites".into(),
        key: format!("key {n}"),
        request: "{}".into(),
        response: "{}".into(),
    };
    for n in 0..10_u32 {
        let with_key = suite(u128::from(n) + 1, 1, 1);
        let with_key = NewSuite { key: Some(key(n)), at: at(n.into()), ..with_key };
        assert_eq!(b.suites.create_suite(with_key).await.unwrap(), Created::New);
    }
    let steps = cleaned(&b, Old::Keys, at(6), 3).await;
    assert_eq!(steps, [3, 3, 1]);
    for n in 0..10 {
        let known = b.suites.answered(user(1), &key(n), at(10)).await.unwrap();
        assert_eq!(known.is_some(), n > 6, "key {n}");
    }
}

async fn a_run_goes_its_way_and_events_tell_of_it(b: Bench) {
    assert_eq!(b.suites.create_suite(suite(1, 1, 1)).await.unwrap(), Created::New);
    let mut woken = b.suites.watch(SuiteId(id(1)));
    let run = b.queue.claim(claim(5, at(1))).await.unwrap().remove(0);
    assert_eq!((run.status, run.attempt), (RunStatus::Running, 1));
    assert_eq!(run.deadline_at, Some(at(1 + 300 + 600 + 180)));
    assert!(woken.borrow_and_update().seq > 0, "streams are woken");
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let intent = Intent { id: id(77), role: Role::Agent, turn: 1 };
    let change = Change { intents: vec![intent], ..turns(&["hello"]) };
    b.queue.commit(&lease, change, at(2)).await.unwrap();
    let over = Change { end_reason: Some(EndReason::ScriptFinished), ..turns(&["bye"]) };
    let row = b.queue.commit(&lease, over, at(3)).await.unwrap();
    assert_eq!((row.stage, row.turns, row.user_turns), (Some(Stage::Evaluating), 2, 2));
    b.queue.commit(&lease, finish(passed()), at(4)).await.unwrap();

    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((suite.status, suite.finished_at), (SuiteStatus::Finished, Some(at(4))));
    assert_eq!((runs[0].status, runs[0].score), (RunStatus::Passed, Some(100.0)));
    let transcript = b.suites.transcript(run.id).await.unwrap();
    let heard: Vec<_> = transcript.iter().map(|t| (t.index, t.message.as_str())).collect();
    assert_eq!(heard, [(0, "hello"), (1, "bye")]);

    let events = b.suites.events_after(suite.id, 0, 100).await.unwrap();
    let seqs: Vec<_> = events.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=suite.seq).collect::<Vec<_>>(), "gapless");
    let kinds: Vec<_> = events
        .iter()
        .map(|(_, event, turn)| match event {
            EventRow::Run(run) => run.status.as_str().to_owned(),
            EventRow::Turn { .. } => turn.as_ref().unwrap().message.clone(),
            EventRow::Finished(end) => end.status.as_str().to_owned(),
        })
        .collect();
    assert_eq!(kinds, ["running", "hello", "bye", "running", "passed", "finished"]);
    let later = b.suites.events_after(suite.id, 4, 1).await.unwrap();
    assert_eq!((later.len(), later[0].0), (1, 5), "only what was missed, at most so many");
}

async fn final_is_final_for_ever(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    b.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert!(lost(b.queue.commit(&lease, finish(Final::cancelled()), at(2)).await));
    assert!(lost(b.queue.commit(&lease, turns(&["late"]), at(2)).await));
    assert!(b.suites.cancel_run(space(1), run.id, at(2)).await.unwrap().is_none());
    b.queue.reap(at(100_000)).await.unwrap();
    let row = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!((row.status, row.turns, row.finished_at), (RunStatus::Passed, 0, Some(at(1))));
    assert!(b.suites.transcript(run.id).await.unwrap().is_empty(), "no late turn got in");
}

async fn a_stale_holder_changes_nothing(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let old = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let stale = Lease { run_id: old.id, attempt: old.attempt };
    b.queue.reap(T0.plus(LEASE * 2)).await.unwrap();
    assert!(lost(b.queue.commit(&stale, turns(&["ghost"]), at(61)).await), "nobody holds it");
    let new = b.queue.claim(claim(1, at(62))).await.unwrap().remove(0);
    assert!(new.attempt > old.attempt);
    assert!(lost(b.queue.commit(&stale, turns(&["ghost"]), at(63)).await), "another holds it");
    assert!(lost(b.queue.hand_back(&stale, at(63)).await));
    let fresh = Lease { run_id: new.id, attempt: new.attempt };
    b.queue.commit(&fresh, turns(&["real"]), at(64)).await.unwrap();
    let transcript = b.suites.transcript(new.id).await.unwrap();
    assert_eq!(transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["real"]);
}

async fn concurrency_holds_per_suite_and_per_user(b: Bench) {
    for n in 1..=4 {
        b.suites.create_suite(suite(n, 1, 5)).await.unwrap();
    }
    let claimed = b.queue.claim(claim(100, T0)).await.unwrap();
    assert_eq!(claimed.len(), 8, "8 a user");
    for n in 1..=4 {
        let of = claimed.iter().filter(|run| run.suite_id == SuiteId(id(n))).count();
        assert!(of <= 3, "3 a suite, not {of}");
    }
    assert!(b.queue.claim(claim(100, T0)).await.unwrap().is_empty());
    let first = &claimed[0];
    let lease = Lease { run_id: first.id, attempt: first.attempt };
    b.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    assert_eq!(b.queue.claim(claim(100, at(1))).await.unwrap().len(), 1, "one out, one in");
}

async fn users_take_turns(b: Bench) {
    b.suites.create_suite(NewSuite { concurrency: 64, ..suite(1, 1, 50) }).await.unwrap();
    let late = NewSuite { at: at(5), ..suite(2, 2, 1) };
    b.suites.create_suite(late).await.unwrap();
    let claimed = b.queue.claim(claim(2, at(6))).await.unwrap();
    let owners: Vec<_> = claimed.iter().map(|run| run.user_id).collect();
    assert!(owners.contains(&user(2)), "a single run of another is next, not 51st");
}

async fn begun_runs_go_before_new_ones(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let first = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: first.id, attempt: first.attempt };
    b.queue.hand_back(&lease, at(1)).await.unwrap();
    let again = b.queue.claim(claim(1, at(2))).await.unwrap().remove(0);
    assert_eq!(again.id, first.id);
    assert_eq!(again.deadline_at, first.deadline_at, "never moved");
}

async fn lapsed_leases_are_freed_and_a_run_that_kills_is_given_up(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let mut now = T0;
    for n in 0..MOST_RECOVERIES {
        let run = b.queue.claim(claim(1, now)).await.unwrap().remove(0);
        assert_eq!(run.recoveries, n);
        assert_eq!(b.queue.reap(now.plus(LEASE)).await.unwrap().recovered, 0, "not yet lapsed");
        now = now.plus(LEASE + Duration::from_millis(1));
        assert_eq!(b.queue.reap(now).await.unwrap().recovered, 1);
    }
    let run = b.queue.claim(claim(1, now)).await.unwrap().remove(0);
    assert_eq!(b.queue.take_over(now).await.unwrap().ended, 1, "a boot counts like a lapse");
    let row = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| error.kind), Some(ErrorKind::Abandoned));

    // A turn in between starts the count anew.
    b.suites.create_suite(suite(2, 1, 1)).await.unwrap();
    for _ in 0..6 {
        let run = b.queue.claim(claim(1, now)).await.unwrap().remove(0);
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        b.queue.commit(&lease, turns(&["on"]), now).await.unwrap();
        assert_eq!(b.queue.take_over(now).await.unwrap().recovered, 1);
    }
}

async fn past_the_deadline_it_ends_whoever_holds_it(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let deadline = run.deadline_at.unwrap();
    let before = deadline.minus(Duration::from_secs(1));
    b.queue.heartbeat("worker", before).await.unwrap();
    b.queue.reap(before).await.unwrap();
    assert!(!b.suites.run(space(1), run.id).await.unwrap().unwrap().status.is_final());
    b.queue.reap(deadline).await.unwrap();
    let row = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(row.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    assert!(lost(b.queue.commit(&lease, finish(passed()), deadline).await));
}

async fn nobody_begins_it_for_a_day(b: Bench) {
    b.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    b.queue.reap(at(24 * 3600 - 1)).await.unwrap();
    let open = b.suites.unfinished(space(1)).await.unwrap();
    assert_eq!(open[0].1.pending, 2);
    b.queue.reap(at(24 * 3600)).await.unwrap();
    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Finished);
    assert!(runs.iter().all(|run| run.error.as_ref().unwrap().kind == ErrorKind::Abandoned));
}

async fn cancel_ends_what_nobody_holds_and_tells_of_the_rest(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let held = b.queue.claim(claim(2, T0)).await.unwrap();
    let done = b.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let mut told = done.held.clone();
    told.sort();
    let mut expected: Vec<_> = held.iter().map(|run| run.id).collect();
    expected.sort();
    assert_eq!(told, expected);
    assert!(b.queue.claim(claim(9, at(1))).await.unwrap().is_empty(), "nothing new begins");
    let beat = b.queue.heartbeat("worker", at(2)).await.unwrap();
    assert_eq!(beat.cancelled.len(), 2, "another node hears of it by its heartbeat");
    let again = b.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap().unwrap();
    assert_eq!(again.held.len(), 2, "asking twice is fine");
    for run in &held {
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        b.queue.commit(&lease, finish(Final::cancelled()), at(4)).await.unwrap();
    }
    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Cancelled);
    assert_eq!(suite.cancel_requested_at, Some(at(1)));
    assert!(runs.iter().all(|run| run.status == RunStatus::Cancelled && run.score.is_none()));
    assert!(b.suites.cancel_suite(space(1), suite.id, at(5)).await.unwrap().is_none());
    let events = b.suites.events_after(suite.id, 0, 100).await.unwrap();
    let ends = events.iter().filter(|(_, event, _)| matches!(event, EventRow::Finished(_)));
    assert_eq!(ends.count(), 1, "one end");
}

async fn one_key_one_suite(b: Bench) {
    let key = |request: &str, n: u128| NewKey {
        path: "/suites".into(),
        key: "k".into(),
        request: request.into(),
        response: format!("answer {n}"),
    };
    let keyed = |request: &str, n| NewSuite { key: Some(key(request, n)), ..suite(n, 1, 1) };
    assert_eq!(b.suites.create_suite(keyed("a", 1)).await.unwrap(), Created::New);
    let replay = Created::Replayed { suite_id: SuiteId(id(1)), response: "answer 1".into() };
    assert_eq!(b.suites.create_suite(keyed("a", 2)).await.unwrap(), replay);
    assert_eq!(b.suites.answered(user(1), &key("a", 9), T0).await.unwrap(), Some(replay));
    let reused = Created::KeyReused { suite_id: SuiteId(id(1)) };
    assert_eq!(b.suites.create_suite(keyed("b", 3)).await.unwrap(), reused);
    assert_eq!(b.suites.answered(user(2), &key("a", 9), T0).await.unwrap(), None, "scope = user");
    let mut later = keyed("a", 4);
    later.at = at(24 * 3600 + 1);
    later.allow_parallel = true;
    assert_eq!(b.suites.create_suite(later).await.unwrap(), Created::New, "kept for 24 h");
    let all = b.suites.suites(space(1), &HistoryFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 2);
}

async fn one_suite_over_a_scenario_at_a_time(b: Bench) {
    let first = suite(1, 1, 2);
    b.suites.create_suite(first.clone()).await.unwrap();
    let mut second = suite(2, 1, 2);
    second.agent = first.agent.clone();
    assert_eq!(
        b.suites.create_suite(second.clone()).await.unwrap(),
        Created::New,
        "other scenarios"
    );
    let mut third = suite(3, 1, 2);
    third.agent = first.agent.clone();
    third.runs[1].scenario = first.runs[0].scenario.clone();
    let busy = Created::AlreadyRunning { suite_id: SuiteId(id(1)) };
    assert_eq!(b.suites.create_suite(third.clone()).await.unwrap(), busy);
    third.allow_parallel = true;
    assert_eq!(b.suites.create_suite(third).await.unwrap(), Created::New);
    let scenarios = [first.runs[0].scenario.id];
    let over = b.suites.unfinished_over(space(1), first.agent.id, &scenarios).await.unwrap();
    assert!(over.is_some());
    assert_eq!(b.suites.unfinished_over(space(2), first.agent.id, &scenarios).await.unwrap(), None);
}

async fn a_full_queue_refuses(b: Bench) {
    let limited = |n, runs| NewSuite { queue_per_user: 10, ..suite(n, 1, runs) };
    assert_eq!(b.suites.create_suite(limited(1, 8)).await.unwrap(), Created::New);
    let full = Created::QueueFull { unfinished: 8 };
    assert_eq!(b.suites.create_suite(limited(2, 3)).await.unwrap(), full);
    assert_eq!(b.suites.create_suite(limited(3, 2)).await.unwrap(), Created::New);
}

async fn runs_of_incompatible_pairs_are_final_from_the_start(b: Bench) {
    let mut mixed = suite(1, 1, 2);
    mixed.runs[0].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
    b.suites.create_suite(mixed).await.unwrap();
    let claimed = b.queue.claim(claim(9, T0)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let mut nothing = suite(2, 1, 1);
    nothing.runs[0].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
    b.suites.create_suite(nothing).await.unwrap();
    let (suite, runs) = b.suites.suite(space(1), SuiteId(id(2))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Finished, "nothing is left to wait for");
    assert_eq!(runs[0].error.as_ref().unwrap().message, "needs a tool");
}

async fn a_finished_conversation_is_copied(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let over = Change { end_reason: Some(EndReason::AgentEnded), ..turns(&["a", "b"]) };
    b.queue.commit(&lease, over, at(1)).await.unwrap();
    let lost = Final::error(ErrorKind::EvaluationUnavailable, "no judge");
    b.queue.commit(&lease, finish(lost), at(2)).await.unwrap();
    let mut again = suite(2, 1, 1);
    again.runs[0].source_run_id = Some(run.id);
    b.suites.create_suite(again).await.unwrap();
    let copy = b.queue.claim(claim(1, at(3))).await.unwrap().remove(0);
    assert_eq!((copy.stage, copy.turns, copy.user_turns), (Some(Stage::Evaluating), 2, 2));
    assert_eq!(copy.end_reason, Some(EndReason::AgentEnded));
    let work = b.queue.work(&copy).await.unwrap();
    assert_eq!(work.transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

async fn parked_runs_keep_the_suite_place_and_free_the_users(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |most, now| Claim { runs_per_user: 2, ..claim(most, now) };
    let held = b.queue.claim(few(9, T0)).await.unwrap();
    assert_eq!(held.len(), 2);
    let lease = Lease { run_id: held[0].id, attempt: held[0].attempt };
    let waiting = Waiting { what: WaitingOn::RateLimit, until: Some(at(60)) };
    let park = Change { parked: Some(true), waiting: Some(Some(waiting)), ..Change::default() };
    let row = b.queue.commit(&lease, park, at(1)).await.unwrap();
    assert_eq!(row.view().waiting_on, Some(waiting));
    assert_eq!(b.queue.claim(few(9, at(2))).await.unwrap().len(), 1, "the user's slot is free");
    assert!(
        b.queue.claim(few(9, at(2))).await.unwrap().is_empty(),
        "the suite's third place is taken"
    );
    assert!(!b.queue.unpark(&lease, 2, at(3)).await.unwrap(), "no slot yet");
    let other = Lease { run_id: held[1].id, attempt: held[1].attempt };
    b.queue.commit(&other, finish(passed()), at(4)).await.unwrap();
    assert!(b.queue.unpark(&lease, 2, at(5)).await.unwrap());
    let row = b.suites.run(space(1), held[0].id).await.unwrap().unwrap();
    assert_eq!((row.parked, row.waiting), (false, None));
}

async fn a_place_that_is_wanted_back_is_kept(b: Bench) {
    b.suites.create_suite(suite(1, 1, 5)).await.unwrap();
    let few = |now| Claim { runs_per_user: 1, ..claim(9, now) };
    let lease = |run: &crate::store::rows::RunRow| Lease { run_id: run.id, attempt: run.attempt };
    let first = lease(&b.queue.claim(few(T0)).await.unwrap()[0]);
    let parked = |what| Change {
        parked: Some(true),
        waiting: Some(Some(Waiting { what, until: None })),
        ..Change::default()
    };
    b.queue.commit(&first, parked(WaitingOn::RateLimit), at(1)).await.unwrap();
    let second = lease(&b.queue.claim(few(at(2))).await.unwrap()[0]);
    assert!(!b.queue.unpark(&first, 1, at(3)).await.unwrap(), "no slot yet");
    b.queue.commit(&first, parked(WaitingOn::Slot), at(3)).await.unwrap();
    b.queue.commit(&second, finish(passed()), at(4)).await.unwrap();
    assert!(b.queue.claim(few(at(5))).await.unwrap().is_empty(), "begun runs go before new ones");
    assert!(b.queue.unpark(&first, 1, at(5)).await.unwrap());
    b.queue.commit(&first, finish(passed()), at(6)).await.unwrap();
    assert_eq!(b.queue.claim(few(at(7))).await.unwrap().len(), 1);
}

async fn nothing_begins_where_its_first_call_would_wait(b: Bench) {
    let model = |connection, name: &str| ModelRef {
        connection_id: ConnectionId(id(connection)),
        model: name.into(),
    };
    let on = |n, owner, agent: ModelRef| {
        let frozen = Frozen { agent, ..suite(n, owner, 1).frozen };
        NewSuite { frozen, ..suite(n, owner, 5) }
    };
    b.suites.create_suite(on(1, 1, model(7, "m"))).await.unwrap();
    b.suites.create_suite(on(2, 2, model(7, "m"))).await.unwrap();
    b.suites.create_suite(on(3, 1, model(8, "m"))).await.unwrap();
    let hold = |user_id, model: Option<&str>, begun| Hold {
        user_id,
        connection_id: ConnectionId(id(7)),
        model: model.map(str::to_owned),
        begun,
    };
    let held = |holds, now| Claim { holds, ..claim(99, now) };
    // A circuit of user 1, and a limit of another model.
    let holds = vec![hold(Some(user(1)), None, 0), hold(None, Some("another"), 0)];
    let claimed = b.queue.claim(held(holds.clone(), T0)).await.unwrap();
    let mut suites: Vec<_> = claimed.iter().map(|run| run.suite_id).collect();
    suites.sort();
    suites.dedup();
    assert_eq!((claimed.len(), suites), (6, vec![SuiteId(id(2)), SuiteId(id(3))]));
    assert!(b.queue.claim(held(holds, at(1))).await.unwrap().is_empty());
    // Its time is over: one begins, and only one.
    let probe = vec![hold(Some(user(1)), None, 1)];
    let one = b.queue.claim(held(probe.clone(), at(2))).await.unwrap();
    assert_eq!((one.len(), one[0].suite_id), (1, SuiteId(id(1))));
    assert!(b.queue.claim(held(probe, at(3))).await.unwrap().is_empty());
    // What has begun is taken up all the same.
    let lease = Lease { run_id: one[0].id, attempt: one[0].attempt };
    b.queue.hand_back(&lease, at(4)).await.unwrap();
    let again = b.queue.claim(held(vec![hold(None, None, 0)], at(5))).await.unwrap();
    assert_eq!(again.iter().map(|run| run.id).collect::<Vec<_>>(), [one[0].id]);
    assert_eq!(b.queue.claim(claim(99, at(6))).await.unwrap().len(), 2, "closed: three at once");
}

async fn time_behind_circuits_adds_up(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let waited = Change {
        parked_time: Duration::from_secs(30),
        circuit_time: Duration::from_secs(20),
        ..Change::default()
    };
    b.queue.commit(&lease, waited.clone(), at(1)).await.unwrap();
    b.queue.commit(&lease, waited, at(2)).await.unwrap();
    b.queue.hand_back(&lease, at(3)).await.unwrap();
    let again = b.queue.claim(claim(1, at(4))).await.unwrap().remove(0);
    assert_eq!((again.parked_ms, again.circuit_ms), (60_000, 40_000));
}

async fn judging_again_has_a_lease_of_its_own(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    b.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    let row = again(&run, 1);
    let new = |n| NewEvaluation { row: again(&run, n), key: None };
    assert_eq!(b.suites.create_evaluation(new(1)).await.unwrap(), Created::New);
    let busy = Created::AlreadyRunning { suite_id: run.suite_id };
    assert_eq!(b.suites.create_evaluation(new(2)).await.unwrap(), busy);
    let first = b.queue.claim_evaluations(claim(9, at(2))).await.unwrap().remove(0);
    assert!(b.queue.claim_evaluations(claim(9, at(2))).await.unwrap().is_empty());
    b.queue.reap(at(2).plus(LEASE * 2)).await.unwrap();
    let mut view = first.view.clone();
    view.status = EvaluationStatus::Done;
    assert!(lost(
        b.queue.commit_evaluation(row.view.id, first.attempt, view.clone(), at(70)).await
    ));
    assert!(lost(b.queue.intend_evaluation(&first, id(1), at(70)).await), "nobody holds it");
    let second = b.queue.claim_evaluations(claim(9, at(71))).await.unwrap().remove(0);
    assert_eq!(second.recoveries, 1);
    assert!(lost(b.queue.intend_evaluation(&first, id(1), at(71)).await), "another holds it");
    b.queue.intend_evaluation(&second, id(1), at(71)).await.unwrap();
    b.queue.commit_evaluation(row.view.id, second.attempt, view, at(72)).await.unwrap();
    let listed = b.suites.evaluations(run.id).await.unwrap();
    assert_eq!(listed[0].view.status, EvaluationStatus::Done);
    let untouched = b.suites.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!(untouched.status, RunStatus::Passed, "judging again never changes the run");
}

/// A suite whose runs are over.
pub(super) async fn over(
    suites: &dyn SuiteStore,
    queue: &dyn QueueStore,
    new: NewSuite,
) -> Vec<RunRow> {
    let (count, mut over) = (new.runs.len(), Vec::new());
    suites.create_suite(new).await.unwrap();
    while over.len() < count {
        for run in queue.claim(claim(9, T0)).await.unwrap() {
            let lease = Lease { run_id: run.id, attempt: run.attempt };
            over.push(queue.commit(&lease, finish(passed()), at(1)).await.unwrap());
        }
    }
    over
}

async fn users_take_turns_at_judging_again(b: Bench) {
    // User 1 asks for many, then user 2 for one, then again.
    let ask = async |n: u128, owner: u128, runs: u128| {
        let over = over(b.suites.as_ref(), b.queue.as_ref(), suite(n, owner, runs)).await;
        for (i, run) in (n * 100..).zip(&over) {
            let mut row = again(run, i);
            row.view.created_at = at(i as u64);
            let new = NewEvaluation { row, key: None };
            assert_eq!(b.suites.create_evaluation(new).await.unwrap(), Created::New);
        }
    };
    let taken = async |most: u32| -> Vec<_> {
        let taken = b.queue.claim_evaluations(claim(most, at(900))).await.unwrap();
        taken.into_iter().map(|row| (row.user_id, row.view.created_at)).collect()
    };
    let (one, two) = (user(1), user(2));
    ask(1, 1, 20).await;
    ask(2, 2, 1).await;
    assert_eq!(taken(3).await, [(one, at(100)), (two, at(200)), (one, at(101))]);
    let next: Vec<_> = (102..108).map(|second| (one, at(second))).collect();
    assert_eq!(taken(99).await, next, "eight of one user at most");
    ask(3, 2, 1).await;
    assert_eq!(taken(3).await, [(two, at(300))], "whose places are taken hides nobody");
    assert_eq!(taken(99).await, []);
}

async fn a_judging_that_takes_its_server_down_is_given_up(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    b.queue.commit(&lease, finish(passed()), at(1)).await.unwrap();
    let new = NewEvaluation { row: again(&run, 1), key: None };
    b.suites.create_evaluation(new).await.unwrap();
    for n in 0..=MOST_RECOVERIES {
        let claimed = b.queue.claim_evaluations(claim(9, at(2))).await.unwrap();
        assert_eq!(claimed[0].recoveries, n);
        b.queue.take_over(at(3)).await.unwrap();
    }
    assert!(b.queue.claim_evaluations(claim(9, at(4))).await.unwrap().is_empty());
    let ended = b.suites.evaluations(run.id).await.unwrap().remove(0).view;
    assert_eq!(ended.status, EvaluationStatus::Error);
    assert_eq!(ended.error.map(|error| error.kind), Some(ErrorKind::Abandoned));
    assert_eq!(ended.finished_at, Some(at(3)));
}

pub(super) fn again(run: &RunRow, n: u128) -> EvaluationRow {
    let view = Evaluation::asked(EvaluationId(id(8000 + n)), "m", 1, at(2));
    EvaluationRow::asked_for(run, run.frozen.judge.clone(), view)
}

async fn lists_go_from_new_to_old_without_gap_or_double(b: Bench) {
    for n in 1..=7 {
        // Pairs of the same millisecond: the id decides.
        b.suites.create_suite(NewSuite { at: at(n as u64 / 2), ..suite(n, 1, 1) }).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = b.suites.suites(space(1), &HistoryFilter::default(), before, 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        before = Some(crate::store::suites::Before { at: last.created_at, id: last.id.0 });
        seen.extend(page.iter().map(|(row, counts)| {
            assert_eq!(counts.pending, 1);
            (row.created_at, row.id)
        }));
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "from new to old");
    let filter = HistoryFilter { status: Some("running".into()), ..HistoryFilter::default() };
    assert!(b.suites.suites(space(1), &filter, None, 9).await.unwrap().is_empty());
    let filter = HistoryFilter { status: Some("pending".into()), ..HistoryFilter::default() };
    assert_eq!(b.suites.runs(space(1), &filter, None, 9).await.unwrap().len(), 7);
}

async fn suites_are_found_by_what_their_runs_are(b: Bench) {
    let wrong = |n: u128, bad: usize| {
        let mut new = NewSuite { at: at(n as u64), ..suite(n, 1, 2) };
        new.runs[bad].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
        new
    };
    b.suites.create_suite(wrong(1, 0)).await.unwrap();
    // The scenario of the first one's first run, and of no error.
    let mut second = wrong(2, 1);
    second.runs[0].scenario = wrong(1, 0).runs[0].scenario.clone();
    b.suites.create_suite(second).await.unwrap();
    b.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    let found = async |filter: HistoryFilter| -> Vec<u128> {
        let page = b.suites.suites(space(1), &filter, None, 9).await.unwrap();
        page.iter().map(|(row, _)| row.id.0.as_u128() - id(0).as_u128()).collect()
    };
    let all = HistoryFilter::default();
    let scenario = HistoryFilter { scenario: Some(ScenarioId(id(5100))), ..all.clone() };
    let kind = HistoryFilter { error_kind: Some("incompatible".into()), ..all.clone() };
    assert_eq!(found(scenario.clone()).await, [2, 1]);
    assert_eq!(found(kind.clone()).await, [2, 1]);
    let both = HistoryFilter { error_kind: kind.error_kind.clone(), ..scenario.clone() };
    assert_eq!(found(both).await, [1], "in one and the same run");
    let late = HistoryFilter { since: Some(at(2).rfc3339()), ..kind.clone() };
    assert_eq!(found(late).await, [2]);
    let other = HistoryFilter { error_kind: Some("timeout".into()), ..all };
    assert!(found(other).await.is_empty());
    assert!(b.suites.suites(space(2), &kind, None, 9).await.unwrap().is_empty());
}

async fn what_is_somebody_elses_is_not_there(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let (mine, theirs) = (space(1), space(2));
    assert!(b.suites.suite(theirs, run.suite_id).await.unwrap().is_none());
    assert!(b.suites.run(theirs, run.id).await.unwrap().is_none());
    assert!(b.suites.cancel_suite(theirs, run.suite_id, T0).await.unwrap().is_none());
    assert!(b.suites.cancel_run(theirs, run.id, T0).await.unwrap().is_none());
    assert!(b.suites.unfinished(theirs).await.unwrap().is_empty());
    assert!(b.suites.runs(theirs, &HistoryFilter::default(), None, 9).await.unwrap().is_empty());
    assert!(b.suites.run(mine, run.id).await.unwrap().unwrap().cancel_requested_at.is_none());
}

async fn handing_back_is_no_recovery(b: Bench) {
    b.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    for _ in 0..10 {
        let run = b.queue.claim(claim(1, T0)).await.unwrap().remove(0);
        assert_eq!((run.recoveries, run.stalled), (0, 0));
        let lease = Lease { run_id: run.id, attempt: run.attempt };
        b.queue.hand_back(&lease, at(1)).await.unwrap();
    }
    assert_eq!(b.queue.reap(at(2)).await.unwrap().recovered, 0);
}

async fn what_was_to_stop_ends_when_it_is_handed_back(b: Bench) {
    b.suites.create_suite(suite(1, 1, 2)).await.unwrap();
    b.suites.create_suite(suite(2, 1, 2)).await.unwrap();
    let mut runs = Vec::new();
    for run in b.queue.claim(claim(9, T0)).await.unwrap() {
        runs.push(Lease { run_id: run.id, attempt: run.attempt });
    }
    b.suites.cancel_suite(space(1), SuiteId(id(1)), at(1)).await.unwrap().unwrap();
    let alone = RunId(id(200));
    b.suites.cancel_run(space(1), alone, at(1)).await.unwrap().unwrap();
    for lease in &runs {
        b.queue.hand_back(lease, at(2)).await.unwrap();
    }
    let (row, ended) = b.suites.suite(space(1), SuiteId(id(1))).await.unwrap().unwrap();
    assert_eq!((row.status, row.finished_at), (SuiteStatus::Cancelled, Some(at(2))));
    assert!(ended.iter().all(|run| run.status == RunStatus::Cancelled));
    let run = b.suites.run(space(1), alone).await.unwrap().unwrap();
    assert_eq!((run.status, run.recoveries), (RunStatus::Cancelled, 0));
    let again = b.queue.claim(claim(9, at(3))).await.unwrap();
    assert_eq!(again.iter().map(|run| run.id).collect::<Vec<_>>(), [RunId(id(201))]);
}

async fn unfinished_runs_are_counted_by_what_they_do(b: Bench) {
    assert_eq!(b.queue.census().await.unwrap(), Census::default());
    b.suites.create_suite(NewSuite { concurrency: 6, ..suite(1, 1, 9) }).await.unwrap();
    let runs = b.queue.claim(claim(6, T0)).await.unwrap();
    let lease = |n: usize| Lease { run_id: runs[n].id, attempt: runs[n].attempt };
    for (n, what) in [WaitingOn::Slot, WaitingOn::RateLimit, WaitingOn::Circuit].iter().enumerate()
    {
        let waiting = Some(Some(Waiting { what: *what, until: Some(at(60)) }));
        let change = Change { waiting, ..Change::default() };
        b.queue.commit(&lease(n), change, at(1)).await.unwrap();
    }
    let over = Change { end_reason: Some(EndReason::ScriptFinished), ..Change::default() };
    b.queue.commit(&lease(3), over, at(1)).await.unwrap();
    b.queue.commit(&lease(4), finish(passed()), at(1)).await.unwrap();
    let expected = Census {
        pending: 3,
        conversing: 1,
        evaluating: 1,
        waiting_slot: 1,
        waiting_rate_limit: 1,
        waiting_circuit: 1,
        first_lapse: Some(T0.plus(LEASE)),
    };
    assert_eq!(b.queue.census().await.unwrap(), expected);
    b.queue.heartbeat("worker", at(20)).await.unwrap();
    let renewed = Census { first_lapse: Some(at(20).plus(LEASE)), ..expected };
    assert_eq!(b.queue.census().await.unwrap(), renewed);
}

async fn each_end_is_counted_once_whoever_brought_it(b: Bench) {
    let recorder = crate::observe::scrape::recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    crate::observe::scrape::begin();
    let count = |status: &str, kind: &str| {
        let numbers = Numbers::read(&recorder.handle().render());
        let labels = [("status", status), ("error_kind", kind)];
        numbers.value("rehearsal_runs_finished_total", &labels)
    };
    // Ended before it began: it does not go together with the agent.
    let mut new = suite(1, 1, 4);
    new.runs[3].error = Some(RunError::new(ErrorKind::Incompatible, "It lacks a tool."));
    b.suites.create_suite(new).await.unwrap();
    assert_eq!(count("error", "incompatible"), 1.0);
    // By its holder, and late words of whoever is not.
    let runs = b.queue.claim(claim(2, T0)).await.unwrap();
    let lease = |n: usize| Lease { run_id: runs[n].id, attempt: runs[n].attempt };
    b.queue.commit(&lease(0), finish(passed()), at(1)).await.unwrap();
    assert!(lost(b.queue.commit(&lease(0), finish(passed()), at(2)).await));
    assert!(lost(b.queue.commit(&lease(0), finish(Final::cancelled()), at(2)).await));
    assert_eq!((count("passed", "none"), count("cancelled", "none")), (1.0, 0.0));
    // By the reaper.
    b.queue.reap(runs[1].deadline_at.unwrap()).await.unwrap();
    assert_eq!(count("error", "abandoned"), 1.0);
    // By a cancel, of one that nobody holds.
    b.suites.cancel_suite(space(1), SuiteId(id(1)), at(3)).await.unwrap();
    assert_eq!(count("cancelled", "none"), 1.0);
    let all = Numbers::read(&recorder.handle().render());
    assert_eq!(all.of("rehearsal_runs_finished_total").map(|(_, n)| n).sum::<f64>(), 4.0);
}
