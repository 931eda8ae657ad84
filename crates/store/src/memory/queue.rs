//! The queue over the maps.

use super::MemoryWork;
use crate::census::Census;
use crate::pick::pick;
use crate::pick_judging::{Judging, kept_back};
use crate::queue::{Claim, Heartbeat, QueueStore, Reaped, Work};
use crate::rows::{EvaluationRow, Intent, RunRow};
use crate::transition::{Change, LEASE, Lease, Transition};
use crate::{StoreError, Stored};
use domain::{
    Evaluation, EvaluationId, EvaluationStatus, RunId, SuiteStatus, Timestamp, Turn, UserId,
};
use async_trait::async_trait;
use std::collections::HashMap;
use uuid::Uuid;

#[async_trait]
impl QueueStore for MemoryWork {
    async fn claim(&self, claim: Claim) -> Stored<Vec<RunRow>> {
        let mut claimed = Vec::new();
        {
            let mut state = self.state.lock();
            while claimed.len() < claim.most as usize {
                let Some(take) = pick(&state.loads(), claim.runs_per_user, &claim.holds) else {
                    break;
                };
                let Some(id) = state.candidate(take) else { break };
                let what =
                    Transition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
                let row = state.apply(id, what, claim.now)?;
                if let Some((suite, _)) = state.suites.get_mut(&row.suite_id)
                    && suite.status == SuiteStatus::Pending
                {
                    suite.status = SuiteStatus::Running;
                    suite.started_at = Some(claim.now);
                }
                claimed.push(row);
            }
        }
        for row in &claimed {
            self.published(row.suite_id);
        }
        Ok(claimed)
    }

    async fn work(&self, run: &RunRow) -> Stored<Work> {
        let state = self.state.lock();
        let own = |row: &&EvaluationRow| row.run_id == run.id && row.view.is_first;
        Ok(Work {
            agent: self.documents.agent(run.agent.id, run.agent.revision),
            scenario: self.documents.scenario(run.scenario.id, run.scenario.revision),
            transcript: state.turns.get(&run.id).cloned().unwrap_or_default(),
            evaluation: state.evaluations.values().find(own).map(|row| row.view.clone()),
        })
    }

    async fn commit(&self, lease: &Lease, change: Change, now: Timestamp) -> Stored<RunRow> {
        let row = {
            let mut state = self.state.lock();
            let first = state.runs.get(&lease.run_id).map_or(0, |run| run.turns);
            let Change { turns, intents, calls_done, evaluation, .. } = change.clone();
            let what = Transition::Commit { attempt: lease.attempt, change: Box::new(change) };
            let row = state.apply(lease.run_id, what, now)?;
            let transcript = state.turns.entry(row.id).or_default();
            transcript
                .extend(turns.into_iter().zip(first..).map(|(turn, index)| Turn { index, ..turn }));
            for done in calls_done {
                if let Some(call) = state.calls.iter_mut().find(|call| call.1.id == done.id) {
                    call.2 = Some(done);
                }
            }
            state.calls.extend(intents.into_iter().map(|intent| (row.id, intent, None)));
            if let Some(view) = evaluation {
                let own = EvaluationRow::of_run(&row, *view);
                state.evaluations.insert(own.view.id, own);
            }
            row
        };
        self.published(row.suite_id);
        Ok(row)
    }

    async fn unpark(&self, lease: &Lease, runs_per_user: u32, now: Timestamp) -> Stored<bool> {
        {
            let state = self.state.lock();
            let row = state.runs.get(&lease.run_id).ok_or(StoreError::LeaseLost)?;
            let mine = state.loads().into_iter().filter(|load| load.user_id == row.user_id);
            if row.parked && mine.map(|load| load.active).sum::<u32>() >= runs_per_user {
                return Ok(false);
            }
        }
        let change = Change { parked: Some(false), waiting: Some(None), ..Change::default() };
        self.commit(lease, change, now).await.map(|_| true)
    }

    async fn hand_back(&self, lease: &Lease, now: Timestamp) -> Stored<()> {
        let what = Transition::HandBack { attempt: lease.attempt };
        let row = self.state.lock().apply(lease.run_id, what, now)?;
        self.published(row.suite_id);
        Ok(())
    }

    async fn claim_evaluations(&self, claim: Claim) -> Stored<Vec<EvaluationRow>> {
        let mut state = self.state.lock();
        let running = |row: &&EvaluationRow| {
            row.view.status == EvaluationStatus::Running && !row.view.is_first
        };
        let mut at_work: HashMap<UserId, u32> = HashMap::new();
        for row in state.evaluations.values().filter(running) {
            *at_work.entry(row.user_id).or_default() += 1;
        }
        let pending = |row: &&EvaluationRow| {
            row.view.status == EvaluationStatus::Pending && !row.view.is_first
        };
        let unfinished = state.evaluations.values().filter(|row| running(row) || pending(row));
        let unfinished = unfinished.map(|row| Judging {
            id: row.view.id,
            user_id: row.user_id,
            judge: Some(row.judge.clone()),
            running: running(&row),
            created_at: row.view.created_at,
        });
        let kept = kept_back(unfinished.collect(), &claim.holds, claim.max_wait, claim.now);
        let waiting = |row: &&EvaluationRow| pending(row) && !kept.contains(&row.view.id);
        let mut asked: Vec<_> = state.evaluations.values().filter(waiting).collect();
        asked.sort_by_key(|row| (row.view.created_at, row.view.id));
        // Users take turns: a place counts what is at work for its user.
        let mut places = Vec::new();
        for row in asked {
            let place = at_work.entry(row.user_id).or_default();
            *place += 1;
            if *place <= claim.runs_per_user {
                places.push((*place, row.view.created_at, row.view.id));
            }
        }
        places.sort_unstable();
        let mut claimed = Vec::new();
        for (_, _, id) in places.into_iter().take(claim.most as usize) {
            if let Some(row) = state.evaluations.get_mut(&id) {
                row.claim(claim.owner.clone(), claim.max_wait, claim.now);
                claimed.push(row.clone());
            }
        }
        Ok(claimed)
    }

    async fn commit_evaluation(
        &self,
        id: EvaluationId,
        attempt: u32,
        view: Evaluation,
        now: Timestamp,
    ) -> Stored<()> {
        self.change_evaluation(id, attempt, |row| row.commit(view, now))
    }

    async fn work_of(&self, id: RunId) -> Stored<(RunRow, Work)> {
        let row = self.state.lock().runs.get(&id).cloned().ok_or(StoreError::LeaseLost)?;
        let work = self.work(&row).await?;
        Ok((row, work))
    }

    async fn intend_evaluation(&self, row: &EvaluationRow, call: Uuid, _: Timestamp) -> Stored<()> {
        let intent = Intent { id: call, role: crate::rows::Role::Judge, turn: 0 };
        let mut state = self.state.lock();
        if !state.evaluations.get(&row.id()).is_some_and(|known| known.is_held(row.attempt)) {
            return Err(StoreError::LeaseLost);
        }
        state.calls.push((row.run_id, intent, None));
        Ok(())
    }

    async fn hand_back_evaluation(&self, id: EvaluationId, attempt: u32) -> Stored<()> {
        self.change_evaluation(id, attempt, EvaluationRow::hand_back)
    }

    async fn heartbeat(&self, owner: &str, now: Timestamp) -> Stored<Heartbeat> {
        let mut state = self.state.lock();
        let mut beat = Heartbeat::default();
        for run in state.runs.values_mut().filter(|run| run.lease_owner.as_deref() == Some(owner)) {
            run.lease_until = Some(now.plus(LEASE));
            beat.held.push(Lease { run_id: run.id, attempt: run.attempt });
            if run.cancel_requested_at.is_some() {
                beat.cancelled.push(run.id);
            }
        }
        for row in state.evaluations.values_mut() {
            if row.lease_owner.as_deref() == Some(owner) {
                row.lease_until = Some(now.plus(LEASE));
                beat.evaluations.push((row.view.id, row.attempt));
            }
        }
        Ok(beat)
    }

    async fn reap(&self, now: Timestamp) -> Stored<Reaped> {
        Ok(self.recover(|until| until.is_some_and(|until| until < now), true, now))
    }

    async fn take_over(&self, now: Timestamp) -> Stored<Reaped> {
        Ok(self.recover(|_| true, false, now))
    }

    async fn census(&self) -> Stored<Census> {
        let mut census = Census::default();
        for run in self.state.lock().runs.values() {
            let what = run.waiting.map(|waiting| waiting.what);
            census.add(run.status, run.stage, what, run.lease_until, 1);
        }
        Ok(census)
    }
}
