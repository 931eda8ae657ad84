//! Deletion of expired data. Accounts and the catalog are not part of this store.

use super::InMemoryQueue;
use super::state::State;
use crate::StoreResult;
use crate::retention::{DeletedRows, Expired, RetentionStore};
use crate::transition::is_unfinished;
use async_trait::async_trait;
use domain::{RunId, SuiteId, Timestamp};
use std::collections::HashSet;

#[async_trait]
impl RetentionStore for InMemoryQueue {
    async fn delete_expired(
        &self,
        what: Expired,
        before: Timestamp,
        most: u32,
    ) -> StoreResult<DeletedRows> {
        let most = most as usize;
        let mut state = self.state.lock();
        Ok(match what {
            Expired::Keys => {
                let deleted = state.delete_keys(before, most);
                deleted_rows("idempotency_keys", deleted, deleted >= most)
            }
            Expired::SavedForms | Expired::Sessions | Expired::Tokens | Expired::DeletedObjects => {
                DeletedRows::default()
            }
            Expired::Events => {
                let (deleted, more) = state.delete_events(before, most);
                deleted_rows("events", deleted, more)
            }
            Expired::Suites => deleted_rows("suites", state.delete_suites(before), false),
        })
    }

    async fn optimize(&self) -> StoreResult<()> {
        Ok(())
    }
}

fn deleted_rows(table: &'static str, rows: usize, more: bool) -> DeletedRows {
    let rows = if rows == 0 { Vec::new() } else { vec![(table, rows as u64)] };
    DeletedRows { rows, more }
}

impl State {
    fn delete_keys(&mut self, before: Timestamp, most: usize) -> usize {
        let expired = self.keys.iter().filter(|(_, (_, _, at))| *at <= before);
        let expired: Vec<_> = expired.map(|(key, _)| key.clone()).take(most).collect();
        for key in &expired {
            self.keys.remove(key);
        }
        expired.len()
    }

    /// Returns the number of deleted events, and whether more may be left.
    fn delete_events(&mut self, before: Timestamp, most: usize) -> (usize, bool) {
        let mut left = most;
        for suite in self.finished_by(before) {
            self.pruned.insert(suite);
            let Some(events) = self.events.get_mut(&suite) else { continue };
            let deleted = events.len().min(left);
            events.drain(..deleted);
            left -= deleted;
            if left == 0 {
                return (most, true);
            }
        }
        (most - left, false)
    }

    /// Deletes whole suites, except those with an unfinished rejudge.
    fn delete_suites(&mut self, before: Timestamp) -> usize {
        let evaluations = self.evaluations.values().filter(|row| !row.evaluation.is_first);
        let in_use: HashSet<SuiteId> = evaluations
            .filter(|row| is_unfinished(row.evaluation.status))
            .map(|row| row.suite_id)
            .collect();
        let mut expired = self.finished_by(before);
        expired.retain(|suite| !in_use.contains(suite));
        for suite in &expired {
            let runs: HashSet<RunId> = self.runs_of(*suite).map(|run| run.id).collect();
            self.runs.retain(|id, _| !runs.contains(id));
            self.turns.retain(|id, _| !runs.contains(id));
            self.calls.retain(|call| !runs.contains(&call.0));
            self.evaluations.retain(|_, row| !runs.contains(&row.run_id));
            self.events.remove(suite);
            self.suites.remove(suite);
        }
        expired.len()
    }
}
