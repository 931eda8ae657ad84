//! Copies of conversations that take several steps.

use super::{copies, start};
use crate::SqliteStore;
use crate::testing::open;
use domain::{ErrorKind, RunId};
use futures::FutureExt;
use store::accounts::AccountStore;
use store::contract::person;
use store::contract::queue::{T0, at, claim, finish, id, new_run, space, suite, turns};
use store::queue::QueueStore;
use store::retention::{Expired, RetentionStore};
use store::rows::RunRow;
use store::suites::{CreateOutcome, NewSuite, SuiteStore};
use store::transition::RunOutcome;
use tempfile::TempDir;

/// The turns of the long conversation, of 8 KB each: about 40 steps.
const TURNS: usize = 1200;

/// A store with a run that stopped after a long conversation.
async fn long_conversation() -> (TempDir, SqliteStore, RunRow) {
    let (folder, store) = open().await;
    store.create_user(&person(1, "anna@example.org"), false).await.unwrap();
    store.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = store.claim(claim(1, T0)).await.unwrap().remove(0);
    let text = "word ".repeat(1600);
    let texts = vec![text.as_str(); TURNS];
    store.commit(&run.lease(), turns(&texts), at(1)).await.unwrap();
    let outage = RunOutcome::error(ErrorKind::CircuitOpen, "no call succeeds");
    let run = store.commit(&run.lease(), finish(outage), at(2)).await.unwrap();
    (folder, store, run)
}

fn rerun(run: &RunRow) -> NewSuite {
    let mut rerun = suite(2, 1, 1);
    rerun.runs[0].source_run_id = Some(run.id);
    rerun
}

fn copy() -> RunId {
    new_run(200).id
}

/// Creates the suite like a process that ends before it copied anything.
async fn create_without_copy(store: &SqliteStore, new: NewSuite) {
    let created = store.writer.transaction(move |tx| start::create(tx, new).boxed()).await;
    assert_eq!(created.unwrap(), CreateOutcome::New);
}

async fn copied(store: &SqliteStore) -> usize {
    store.transcript(copy()).await.unwrap().len()
}

/// Asserts that the copied conversation has each turn of its source once, in order.
async fn assert_complete(store: &SqliteStore, source: &RunRow) {
    let (from, to) = (store.transcript(source.id), store.transcript(copy()));
    let (from, to) = (from.await.unwrap(), to.await.unwrap());
    assert_eq!(to.len(), TURNS);
    assert!(from == to, "the conversations differ");
}

#[tokio::test]
async fn other_changes_are_stored_while_a_long_conversation_is_copied() {
    let (_folder, store, run) = long_conversation().await;
    let new = rerun(&run);
    let creating = tokio::spawn({
        let store = store.clone();
        async move { store.create_suite(new).await }
    });
    let mut seen = Vec::new();
    while !creating.is_finished() {
        store.save_outages(Vec::new(), Vec::new()).await.unwrap();
        seen.push(copied(&store).await);
    }
    assert_eq!(creating.await.unwrap().unwrap(), CreateOutcome::New);
    let between = seen.iter().filter(|turns| (1..TURNS).contains(*turns)).count();
    assert!(between > 5, "changes between the steps: {seen:?}");
    assert_complete(&store, &run).await;
}

#[tokio::test]
async fn interrupted_copy_is_finished_at_boot_by_the_reaper_and_by_the_worker() {
    for finished_by in ["boot", "reaper", "worker"] {
        let (_folder, store, run) = long_conversation().await;
        create_without_copy(&store, rerun(&run)).await;
        for _ in 0..3 {
            assert!(store.writer.write(|c| copies::copy_step(c, copy()).boxed()).await.unwrap());
        }
        assert!((1..TURNS).contains(&copied(&store).await));
        match finished_by {
            "boot" => drop(store.recover_at_boot(at(3)).await.unwrap()),
            "reaper" => drop(store.reap(at(3)).await.unwrap()),
            _ => {
                let claimed = store.claim(claim(1, at(3))).await.unwrap().remove(0);
                let input = store.run_input(&claimed).await.unwrap();
                assert_eq!(input.transcript.len(), TURNS, "a worker never sees a part");
            }
        }
        assert_complete(&store, &run).await;
        let bytes = store.stored_bytes(space(1)).await.unwrap();
        assert_eq!(bytes, 2 * 8000 * TURNS as u64, "{finished_by}");
    }
}

#[tokio::test]
async fn source_of_an_incomplete_copy_is_not_deleted() {
    let (_folder, store, run) = long_conversation().await;
    create_without_copy(&store, rerun(&run)).await;
    store.cancel_suite(space(1), id(2).into(), at(3)).await.unwrap();
    let delete = async || {
        while store.delete_expired(Expired::Suites, at(2), 500).await.unwrap().more {}
        store.owns(space(1), run.suite_id).await.unwrap()
    };
    assert!(delete().await, "the copy is incomplete");
    store.recover_at_boot(at(4)).await.unwrap();
    assert_complete(&store, &run).await;
    assert!(!delete().await);
}
