//! The schedule and the runs that the writer keeps in memory equal those in the database.

use crate::SqliteStore;
use crate::queue::read_schedule;
use crate::rows::{RawRun, select_runs};
use crate::testing::{open, other_connection};
use domain::{Timestamp, WaitReason, Waiting};
use futures::FutureExt;
use proptest::prelude::*;
use std::time::Duration;
use store::accounts::AccountStore;
use store::contract::person;
use store::contract::queue::{T0, claim, finish, passed, suite, turns, user};
use store::queue::{Claim, GiveUp, OutageKey, QueueStore};
use store::rows::RunRow;
use store::schedule::Schedule;
use store::suites::{NewSuite, SuiteStore};
use store::transition::{RunChange, RunOutcome};

/// A change of the queue. An index selects one of the runs, modulo their number.
#[derive(Clone, Debug)]
enum Step {
    Create {
        user: u128,
        runs: u128,
        incompatible: bool,
    },
    Claim(u32),
    Turn(usize),
    Park(usize, WaitReason),
    Reacquire(usize),
    Pass(usize),
    Release(usize),
    CancelRun(usize),
    CancelSuite(usize),
    GiveUp(u128),
    Reap,
    RecoverAtBoot,
    /// Another process deletes a lease.
    Orphan(usize),
    /// Another process damages the row.
    Corrupt(usize),
    /// Time passes, in seconds.
    PassTime(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let run = any::<usize>;
    let reason = || {
        prop_oneof![Just(WaitReason::Slot), Just(WaitReason::RateLimit), Just(WaitReason::Circuit)]
    };
    prop_oneof![
        3 => (1..3_u128, 1..5_u128, any::<bool>())
            .prop_map(|(user, runs, incompatible)| Step::Create { user, runs, incompatible }),
        6 => (1..6_u32).prop_map(Step::Claim),
        3 => run().prop_map(Step::Turn),
        4 => (run(), reason()).prop_map(|(run, reason)| Step::Park(run, reason)),
        3 => run().prop_map(Step::Reacquire),
        4 => run().prop_map(Step::Pass),
        2 => run().prop_map(Step::Release),
        1 => run().prop_map(Step::CancelRun),
        1 => run().prop_map(Step::CancelSuite),
        1 => (1..3_u128).prop_map(Step::GiveUp),
        1 => Just(Step::Reap),
        1 => Just(Step::RecoverAtBoot),
        1 => run().prop_map(Step::Orphan),
        1 => run().prop_map(Step::Corrupt),
        2 => prop_oneof![Just(5), Just(40), Just(3_600)].prop_map(Step::PassTime),
    ]
}

/// A store, and what the steps need to know of it.
struct World {
    _folder: tempfile::TempDir,
    store: SqliteStore,
    suites: u128,
    runs: Vec<RunRow>,
    now: Timestamp,
}

impl World {
    async fn new() -> Self {
        let (folder, store) = open().await;
        for (n, email) in [(1, "anna@example.org"), (2, "ben@example.org")] {
            store.create_user(&person(n, email), false).await.unwrap();
        }
        Self { _folder: folder, store, suites: 0, runs: Vec::new(), now: T0 }
    }

    async fn execute(&self, sql: &'static str, run: &RunRow) {
        let mut other = other_connection(&self.store).await;
        sqlx::query(sql).bind(run.id.0).execute(&mut other).await.unwrap();
    }

    /// A refused step changes nothing, so the results do not matter.
    async fn run(&mut self, step: Step) {
        let (store, now) = (&self.store, self.now);
        let run = |n: usize| self.runs.get(n % self.runs.len().max(1)).cloned();
        let commit = async |run: Option<RunRow>, change: RunChange| {
            if let Some(run) = run {
                let _ = store.commit(&run.lease(), change, now).await;
            }
        };
        match step {
            Step::Create { user, runs, incompatible } => {
                self.suites += 1;
                let mut new = suite(self.suites, user, runs);
                new.at = now;
                if incompatible {
                    let error = RunOutcome::corrupt().error;
                    new.runs.iter_mut().skip(1).for_each(|run| run.error.clone_from(&error));
                }
                store.create_suite(NewSuite { allow_parallel: true, ..new }).await.unwrap();
            }
            Step::Claim(most) => {
                let claimed = store.claim(Claim { runs_per_user: 4, ..claim(most, now) });
                let claimed = claimed.await.unwrap();
                self.runs.extend(claimed);
            }
            Step::Turn(n) => commit(run(n), turns(&["Hello"])).await,
            Step::Park(n, what) => {
                let waiting = Some(Some(Waiting { what, until: None }));
                let parked = Some(true);
                commit(run(n), RunChange { waiting, parked, ..RunChange::default() }).await;
            }
            Step::Reacquire(n) => {
                if let Some(run) = run(n) {
                    let _ = store.reacquire_user_slot(&run.lease(), 2, now).await;
                }
            }
            Step::Pass(n) => commit(run(n), finish(passed())).await,
            Step::Release(n) => {
                if let Some(run) = run(n) {
                    let _ = store.release(&run.lease(), now).await;
                }
            }
            Step::CancelRun(n) => {
                if let Some(run) = run(n) {
                    store.cancel_run(run.space_id, run.id, now).await.unwrap();
                }
            }
            Step::CancelSuite(n) => {
                if let Some(run) = run(n) {
                    store.cancel_suite(run.space_id, run.suite_id, now).await.unwrap();
                }
            }
            Step::GiveUp(n) => {
                let new = suite(1, n, 1);
                let give_up = GiveUp {
                    key: OutageKey {
                        user_id: user(n),
                        connection_id: new.model_snapshot.agent.connection_id,
                        model: None,
                    },
                    created_until: now,
                    message: "It does not reply.".into(),
                };
                store.give_up_pending(give_up, now).await.unwrap();
            }
            Step::Reap => drop(store.reap(now).await.unwrap()),
            Step::RecoverAtBoot => drop(store.recover_at_boot(now).await.unwrap()),
            Step::Orphan(n) => {
                if let Some(run) = run(n) {
                    self.execute("UPDATE runs SET lease_owner = NULL WHERE id = ?", &run).await;
                }
            }
            Step::Corrupt(n) => {
                if let Some(run) = run(n) {
                    self.execute("UPDATE runs SET usage = '{' WHERE id = ?", &run).await;
                }
            }
            Step::PassTime(seconds) => self.now = now.plus(Duration::from_secs(seconds)),
        }
    }

    /// The schedule of the writer, and one that is read from the database. The first
    /// is absent where it will be read before its next use. The cached runs are compared.
    async fn schedules(&self) -> (Option<Schedule>, Schedule) {
        let change = self.store.writer.saving_transaction(|tx| {
            async move {
                for cached in tx.cached_runs().cloned().collect::<Vec<_>>() {
                    let stored = select_runs!("WHERE r.id = ?", cached.id.0);
                    let stored = stored.fetch_one(&mut **tx).await.map(RawRun::read);
                    assert_eq!(cached, stored.unwrap().unwrap());
                }
                let kept = tx.schedule().cloned();
                tx.forget_schedule();
                let read = read_schedule(tx, T0).await?.clone();
                match &kept {
                    Some(kept) => tx.set_schedule(kept.clone()),
                    None => tx.forget_schedule(),
                }
                Ok((kept, read))
            }
            .boxed()
        });
        change.await.unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn schedule_and_cached_runs_follow_every_change(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for (n, step) in steps.iter().enumerate() {
                world.run(step.clone()).await;
                let (kept, read) = world.schedules().await;
                let is_damaged = steps[..=n].iter().any(|step| matches!(step, Step::Corrupt(_)));
                let is_claim = matches!(step, Step::Claim(_));
                assert!(kept.is_some() || is_damaged || !is_claim, "a claim reads the schedule");
                assert!(kept.is_none_or(|kept| kept == read), "differs after step {n}");
            }
        });
    }
}
