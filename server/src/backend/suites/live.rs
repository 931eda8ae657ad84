//! What the streams read.

use super::Suites;
use crate::http::live::Live;
use crate::store::hub::Newest;
use crate::store::rows::EventRow;
use app::backend::{Answer, Caller};
use app::domain::{Progress, RunEvent, SuiteEvent, SuiteId, SuiteSnapshot, TurnEvent};
use async_trait::async_trait;
use tokio::sync::watch;

#[async_trait]
impl Live for Suites {
    async fn snapshot(&self, caller: &Caller, suite: SuiteId) -> Answer<SuiteSnapshot> {
        self.suite(caller, suite).await
    }

    async fn events_after(
        &self,
        caller: &Caller,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> Answer<Vec<(i64, SuiteEvent)>> {
        if !self.suites.owns(caller.space_id, suite).await? {
            return Err(app::error::AppError::not_found("suite"));
        }
        let rows = self.suites.events_after(suite, seq, limit).await?;
        Ok(rows
            .into_iter()
            .filter_map(|(seq, event, turn)| {
                let event = match (event, turn) {
                    (EventRow::Run(run), _) => {
                        SuiteEvent::Run(Box::new(RunEvent { run_id: run.id, run: *run }))
                    }
                    (EventRow::Turn { run_id, .. }, Some(turn)) => {
                        SuiteEvent::Turn(Box::new(TurnEvent { run_id, turn }))
                    }
                    (EventRow::Finished(finished), _) => SuiteEvent::Finished(finished),
                    (EventRow::Turn { run_id, index }, None) => {
                        tracing::error!(run = %run_id, index, "an event's turn is gone");
                        return None;
                    }
                };
                Some((seq, event))
            })
            .collect())
    }

    async fn progress(&self, caller: &Caller, suite: SuiteId) -> Answer<Progress> {
        Self::progress(self, caller, suite).await
    }

    fn watch(&self, suite: SuiteId) -> watch::Receiver<Newest> {
        self.suites.watch(suite)
    }
}
