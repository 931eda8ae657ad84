//! Claims what may work now and starts it.

use super::{Shared, evaluation, life};
use llm::outbound::Held;
use store::pick::Hold;
use store::queue::Claim;
use store::rows::RunRow;
use domain::WaitingOn;
use std::sync::Arc;
use std::time::Duration;

/// Looked for at least so often, whoever forgot to wake us.
const POLL: Duration = Duration::from_secs(1);
/// Most claims in one transaction.
const BATCH: u32 = 64;

/// Claims until the engine is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    while !shared.closing.is_cancelled() {
        let found = claim(&shared).await + claim_evaluations(&shared).await;
        if found > 0 {
            continue;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = shared.closing.cancelled() => {}
        }
    }
}

fn order(shared: &Shared, which: fn(&Held) -> bool) -> Claim {
    Claim {
        owner: shared.settings.owner.clone(),
        runs_per_user: shared.settings.runs_per_user,
        max_wait: shared.settings.max_wait,
        most: BATCH,
        holds: shared.outbound.held().into_iter().filter(which).map(hold).collect(),
        now: shared.clock.now(),
    }
}

/// Where calls only wait, nobody begins, or one of each user.
fn hold(held: Held) -> Hold {
    let Held { user_id, connection_id, model, nobody, .. } = held;
    Hold { user_id, connection_id, model, begun: if nobody { 0 } else { 1 } }
}

async fn claim(shared: &Arc<Shared>) -> usize {
    match shared.queue.claim(order(shared, |_| true)).await {
        Ok(rows) => {
            let count = rows.len();
            for row in rows {
                waited(&row);
                shared.spawn(&shared.tasks, life::live(shared.clone(), row));
            }
            count
        }
        Err(error) => {
            tracing::error!(%error, "no claim");
            0
        }
    }
}

/// A re-evaluation waits for a limit on its way, parked, and one that is too far
/// off is told at once. An outage lasts longer than its call waits behind a
/// circuit: before that it does not begin.
async fn claim_evaluations(shared: &Arc<Shared>) -> usize {
    let order = order(shared, |held| held.waiting.what == WaitingOn::Circuit);
    match shared.queue.claim_evaluations(order).await {
        Ok(rows) => {
            let count = rows.len();
            for row in rows {
                shared.spawn(&shared.tasks, evaluation::live(shared.clone(), row));
            }
            count
        }
        Err(error) => {
            tracing::error!(%error, "no claim of evaluations");
            0
        }
    }
}

/// How long a run waited that begins now; one that is taken up again began
/// before.
fn waited(row: &RunRow) {
    if row.attempt != 1 {
        return;
    }
    let began = row.started_at.unwrap_or(row.created_at);
    metrics::histogram!("rehearsal_queue_wait_seconds").record(began.since(row.created_at));
}
