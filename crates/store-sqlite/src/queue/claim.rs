//! Claims of runs.

use super::apply;
use super::corrupt::read_or_end_as_error;
use super::schedule::schedule;
use crate::rows::{RawRun, select_runs};
use crate::sqlite_error::DbResult;
use crate::suites::transition_suite;
use crate::writer::WriteTransaction;
use domain::{SuiteId, Timestamp};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::queue::Claim;
use store::rows::RunRow;
use store::schedule::NextRun;
use store::transition::{RunTransition, SuiteTransition};

async fn candidate(c: &mut SqliteConnection, next: NextRun) -> StoreResult<Option<RawRun>> {
    match next {
        NextRun::Orphaned(suite) => {
            let orphaned = select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'running' AND r.lease_owner IS NULL \
                 ORDER BY r.position LIMIT 1",
                suite.0,
            );
            orphaned.fetch_optional(c).await.db()
        }
        NextRun::Pending(suite) => {
            let pending = select_runs!(
                "WHERE r.suite_id = ? AND r.status = 'pending' ORDER BY r.position LIMIT 1",
                suite.0,
            );
            pending.fetch_optional(c).await.db()
        }
    }
}

/// Leases the runs that start next.
pub(super) async fn claim(tx: &mut WriteTransaction, claim: Claim) -> StoreResult<Vec<RunRow>> {
    let mut claimed = Vec::new();
    while claimed.len() < claim.most as usize {
        let schedule = schedule(tx, claim.now).await?;
        let next = schedule.next_run(claim.runs_per_user, &claim.admission_limits, &claim.capacity);
        let Some(next) = next else { break };
        let Some(candidate) = candidate(tx, next).await? else {
            tx.forget_schedule();
            break;
        };
        let (mut readable, ended) = read_or_end_as_error(tx, vec![candidate], claim.now).await?;
        let Some(mut row) = readable.pop() else {
            if ended == 0 {
                break;
            }
            continue;
        };
        let transition =
            RunTransition::Claim { owner: claim.owner.clone(), max_wait: claim.max_wait };
        apply(tx, &mut row, transition, claim.now).await?;
        start_suite(tx, row.suite_id, claim.now).await?;
        claimed.push(row);
    }
    Ok(claimed)
}

/// Starts a suite with its first run.
async fn start_suite(tx: &mut WriteTransaction, suite: SuiteId, now: Timestamp) -> StoreResult<()> {
    let load = tx.schedule().and_then(|schedule| schedule.get(suite));
    if load.is_none_or(|load| !load.is_started) {
        // Refused if it has started.
        let _ = transition_suite(tx, suite, SuiteTransition::Start, now).await?;
        tx.change_schedule(|schedule| schedule.set_started(suite));
    }
    Ok(())
}
