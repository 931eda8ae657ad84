//! The queue in memory.

use super::InMemoryQueue;
use super::state::State;
use crate::queue::{
    Claim, GiveUp, Heartbeat, Outage, OutageKey, QueueStore, RecoverySummary, RunInput,
    StoredProfile, StoredVariables,
};
use crate::queue_stats::QueueStats;
use crate::rows::{EvaluationRow, Intent, Role, RunRow, SuiteRow};
use crate::schedule::rejudges::{UnfinishedRejudge, deferred_rejudges};
use crate::transition::{
    Lease, RejudgeTransition, RunChange, RunTransition, SuiteTransition, is_unfinished,
};
use crate::{StoreError, StoreResult};
use async_trait::async_trait;
use domain::{
    ErrorKind, Evaluation, EvaluationId, EvaluationStatus, RunId, Timestamp, Turn, UserId,
};
use std::collections::HashMap;
use uuid::Uuid;

#[async_trait]
impl QueueStore for InMemoryQueue {
    async fn claim(&self, claim: Claim) -> StoreResult<Vec<RunRow>> {
        self.write(|state| {
            let mut claimed = Vec::new();
            while claimed.len() < claim.most as usize {
                let next = state.schedule().next_run(
                    claim.runs_per_user,
                    &claim.admission_limits,
                    &claim.capacity,
                );
                let Some(id) = next.and_then(|next| state.candidate(next)) else { break };
                let transition =
                    RunTransition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
                let row = state.apply(id, transition, claim.now)?;
                state.transition_suite(row.suite_id, SuiteTransition::Start, claim.now);
                claimed.push(row);
            }
            Ok(claimed)
        })
    }

    async fn run_input(&self, run: &RunRow) -> StoreResult<RunInput> {
        let state = self.state.lock();
        let first = |row: &&EvaluationRow| row.run_id == run.id && row.evaluation.is_first;
        Ok(RunInput {
            agent: self.revisions.agent(run.agent.id, run.agent.revision),
            scenario: self.revisions.scenario(run.scenario.id, run.scenario.revision),
            variables: state.suites.get(&run.suite_id).and_then(|(row, _)| self.variables(row)),
            transcript: state.turns.get(&run.id).cloned().unwrap_or_default(),
            evaluation: state.evaluations.values().find(first).map(|row| row.evaluation.clone()),
        })
    }

    async fn commit(
        &self,
        lease: &Lease,
        change: RunChange,
        now: Timestamp,
    ) -> StoreResult<RunRow> {
        self.write(|state| state.commit(lease, change, now))
    }

    async fn reacquire_user_slot(
        &self,
        lease: &Lease,
        runs_per_user: u32,
        now: Timestamp,
    ) -> StoreResult<bool> {
        self.write(|state| {
            let row = state.runs.get(&lease.run_id).ok_or(StoreError::LeaseLost)?;
            if row.parked && state.schedule().active_runs(row.user_id) >= runs_per_user {
                return Ok(false);
            }
            let change =
                RunChange { parked: Some(false), waiting: Some(None), ..RunChange::default() };
            state.commit(lease, change, now).map(|_| true)
        })
    }

    async fn release(&self, lease: &Lease, now: Timestamp) -> StoreResult<()> {
        let transition = RunTransition::Release { lease_epoch: lease.lease_epoch };
        self.write(|state| state.apply(lease.run_id, transition, now).map(|_| ()))
    }

    async fn claim_rejudges(&self, claim: Claim) -> StoreResult<Vec<EvaluationRow>> {
        self.write(|state| {
            let mut claimed = Vec::new();
            for id in state.next_rejudges(&claim) {
                let transition = RejudgeTransition::Claim {
                    owner: claim.owner.clone(),
                    max_wait: claim.max_wait,
                };
                claimed.push(state.apply_to_rejudge(id, transition, claim.now)?);
            }
            Ok(claimed)
        })
    }

    async fn commit_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        evaluation: Evaluation,
        now: Timestamp,
    ) -> StoreResult<EvaluationRow> {
        let transition =
            RejudgeTransition::Commit { lease_epoch, evaluation: Box::new(evaluation) };
        self.write(|state| state.apply_to_rejudge(id, transition, now))
    }

    async fn store_rejudge_wait(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        waits: bool,
        now: Timestamp,
    ) -> StoreResult<()> {
        let transition = RejudgeTransition::WaitForSlot { lease_epoch, waits };
        self.write(|state| state.apply_to_rejudge(id, transition, now).map(|_| ()))
    }

    async fn run_with_input(&self, id: RunId) -> StoreResult<(RunRow, RunInput)> {
        let row = self.state.lock().runs.get(&id).cloned().ok_or(StoreError::LeaseLost)?;
        let input = self.run_input(&row).await?;
        Ok((row, input))
    }

    async fn record_judge_call(
        &self,
        row: &EvaluationRow,
        call: Uuid,
        _: Timestamp,
    ) -> StoreResult<()> {
        self.write(|state| {
            let stored = state.evaluations.get(&row.id());
            if !stored.is_some_and(|stored| stored.is_leased_at(row.lease_epoch)) {
                return Err(StoreError::LeaseLost);
            }
            let intent = Intent { id: call, role: Role::Judge, turn: 0 };
            state.calls.push((row.run_id, intent, None));
            state.rejudge_calls.insert(call);
            Ok(())
        })
    }

    async fn release_rejudge(
        &self,
        id: EvaluationId,
        lease_epoch: u32,
        now: Timestamp,
    ) -> StoreResult<()> {
        let transition = RejudgeTransition::Release { lease_epoch };
        self.write(|state| state.apply_to_rejudge(id, transition, now).map(|_| ()))
    }

    async fn heartbeat(&self, owner: &str, now: Timestamp) -> StoreResult<Heartbeat> {
        self.write(|state| {
            let mut heartbeat = Heartbeat::default();
            let runs = state.runs.values_mut();
            for run in runs.filter(|run| run.lease_owner.as_deref() == Some(owner)) {
                run.renew_lease(now);
                heartbeat.leases.push(run.lease());
                if run.cancel_requested_at.is_some() {
                    heartbeat.cancel_requested.push(run.id);
                }
            }
            let evaluations = state.evaluations.values_mut();
            for row in evaluations.filter(|row| row.lease_owner.as_deref() == Some(owner)) {
                row.renew_lease(now);
                heartbeat.rejudges.push((row.evaluation.id, row.lease_epoch));
            }
            Ok(heartbeat)
        })
    }

    async fn reap(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        self.write(|state| {
            let past_deadline =
                state.runs.keys().map(|id| (*id, RunTransition::ExceedDeadline)).collect();
            Ok(state.recover(|until| until < now, past_deadline, now))
        })
    }

    async fn recover_at_boot(&self, now: Timestamp) -> StoreResult<RecoverySummary> {
        self.write(|state| Ok(state.recover(|_| true, Vec::new(), now)))
    }

    async fn outages(&self) -> StoreResult<Vec<Outage>> {
        Ok(self.state.lock().outages.values().cloned().collect())
    }

    async fn save_outages(&self, began: Vec<Outage>, ended: Vec<OutageKey>) -> StoreResult<()> {
        self.write(|state| {
            let began = began.into_iter();
            state.outages.extend(began.map(|new| (new.key.clone(), new)));
            state.outages.retain(|key, _| !ended.contains(key));
            Ok(())
        })
    }

    async fn give_up_pending(&self, give_up: GiveUp, now: Timestamp) -> StoreResult<u32> {
        self.write(|state| {
            let runs = state.runs.values().filter(|run| give_up.applies_to(run));
            let due: Vec<_> = runs.map(|run| run.id).collect();
            for id in &due {
                let message = give_up.message.clone();
                state.apply(
                    *id,
                    RunTransition::GiveUp { kind: ErrorKind::CircuitOpen, message },
                    now,
                )?;
            }
            Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
        })
    }

    async fn queue_stats(&self) -> StoreResult<QueueStats> {
        let mut stats = QueueStats::default();
        for run in self.state.lock().runs.values() {
            let waiting = run.waiting.map(|waiting| waiting.what);
            stats.add(run.status, run.stage, waiting, run.lease_until, 1);
        }
        Ok(stats)
    }
}

impl State {
    fn commit(&mut self, lease: &Lease, change: RunChange, now: Timestamp) -> StoreResult<RunRow> {
        let first = self.runs.get(&lease.run_id).map_or(0, |run| run.turns);
        let RunChange { turns, intents, calls_done, evaluation, .. } = change.clone();
        let transition =
            RunTransition::Commit { lease_epoch: lease.lease_epoch, change: Box::new(change) };
        let row = self.apply(lease.run_id, transition, now)?;
        let turns = turns.into_iter().zip(first..).map(|(turn, index)| Turn { index, ..turn });
        self.turns.entry(row.id).or_default().extend(turns);
        for done in calls_done {
            self.finish_call(done, now);
        }
        self.calls.extend(intents.into_iter().map(|intent| (row.id, intent, None)));
        if let Some(evaluation) = evaluation {
            let first = EvaluationRow::of_run(&row, *evaluation);
            self.evaluations.insert(first.evaluation.id, first);
        }
        Ok(row)
    }

    fn apply_to_rejudge(
        &mut self,
        id: EvaluationId,
        transition: RejudgeTransition,
        now: Timestamp,
    ) -> StoreResult<EvaluationRow> {
        let row = self.evaluations.get_mut(&id).ok_or(StoreError::LeaseLost)?;
        row.transition(transition, now)?;
        Ok(row.clone())
    }

    /// The pending rejudges that start next. Users take turns: the rank of a
    /// rejudge counts those of its user that run or come before it.
    fn next_rejudges(&self, claim: &Claim) -> Vec<EvaluationId> {
        let running = |row: &EvaluationRow| row.evaluation.status == EvaluationStatus::Running;
        let unfinished: Vec<_> = self
            .evaluations
            .values()
            .filter(|row| is_unfinished(row.evaluation.status) && !row.evaluation.is_first)
            .collect();
        let candidates = unfinished.iter().map(|row| UnfinishedRejudge {
            id: row.evaluation.id,
            user_id: row.user_id,
            judge: Some(row.judge.model_ref.clone()),
            running: running(row),
            created_at: row.evaluation.created_at,
        });
        let deferred = deferred_rejudges(
            candidates.collect(),
            &claim.admission_limits,
            claim.max_wait,
            claim.now,
        );
        let mut ranks: HashMap<UserId, u32> = HashMap::new();
        let (started, mut pending): (Vec<_>, Vec<_>) =
            unfinished.into_iter().partition(|row| running(row));
        for row in started {
            *ranks.entry(row.user_id).or_default() += 1;
        }
        pending.retain(|row| !deferred.contains(&row.evaluation.id));
        pending.sort_by_key(|row| (row.evaluation.created_at, row.evaluation.id));
        let mut next = Vec::new();
        for row in pending {
            let rank = ranks.entry(row.user_id).or_default();
            *rank += 1;
            if *rank <= claim.runs_per_user {
                next.push((*rank, row.evaluation.created_at, row.evaluation.id));
            }
        }
        next.sort_unstable();
        next.into_iter().take(claim.most as usize).map(|(_, _, id)| id).collect()
    }

    /// Recovers every lease that `expired` selects, ends orphaned runs with a
    /// cancel request, and applies the transitions in `other` where they apply.
    fn recover(
        &mut self,
        expired: impl Fn(Timestamp) -> bool,
        other: Vec<(RunId, RunTransition)>,
        now: Timestamp,
    ) -> RecoverySummary {
        let leased = self.runs.values().filter(|run| run.lease_until.is_some_and(&expired));
        let mut due: Vec<_> = leased.map(|run| (run.id, RunTransition::Recover)).collect();
        due.extend(self.cancelled_orphans().into_iter().map(|id| (id, RunTransition::Cancel)));
        due.extend(other);
        let mut summary = RecoverySummary::default();
        for (id, transition) in due {
            match self.apply(id, transition, now) {
                Ok(row) if row.status.is_final() => summary.ended += 1,
                Ok(_) => summary.recovered += 1,
                Err(_) => {}
            }
        }
        for row in self.evaluations.values_mut().filter(|row| !row.evaluation.is_first) {
            if row.is_late(now) || row.lease_until.is_some_and(&expired) {
                // Refused where no worker holds a lease.
                let _ = row.transition(RejudgeTransition::Recover, now);
            }
        }
        summary
    }
}

impl InMemoryQueue {
    fn variables(&self, suite: &SuiteRow) -> Option<StoredVariables> {
        let profile = suite.profile.as_ref().map(|profile| {
            let stored = self.revisions.profile(profile.id, profile.revision);
            let (document, secrets) =
                stored.map_or((None, None), |(document, secrets)| (Some(document), secrets));
            StoredProfile { space_id: suite.space_id, id: profile.id, document, secrets }
        });
        Some(StoredVariables { at: suite.variables_at?, profile })
    }
}
