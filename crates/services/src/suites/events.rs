//! Reads events and progress for streams.

use super::Suites;
use super::event_cache::{CachedProgress, CachedSuite};
use crate::errors::StoreResultExt;
use crate::event_source::EventSource;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, ResultService};
use domain::{ProgressEvent, RunEvent, SuiteEvent, SuiteId, SuiteSnapshot, Turn, TurnEvent};
use std::sync::Arc;
use store::event_notifier::LatestEvent;
use store::rows::EventRow;
use tokio::sync::watch;

#[async_trait]
impl EventSource for Suites {
    async fn snapshot(&self, caller: &Caller, suite: SuiteId) -> AppResult<SuiteSnapshot> {
        self.suite(caller, suite).await
    }

    async fn events_after(
        &self,
        caller: &Caller,
        suite: SuiteId,
        seq: i64,
        limit: u32,
    ) -> AppResult<Vec<(i64, SuiteEvent)>> {
        let shared = self.cached(caller, suite).await?;
        let known = shared.window.lock().after(seq, limit);
        if let Some(events) = known {
            return Ok(events);
        }
        let _reading = shared.reading.lock().await;
        let known = shared.window.lock().after(seq, limit);
        if let Some(events) = known {
            return Ok(events);
        }
        let rows = self.store.events_after(suite, seq, limit).await.or_app_error()?;
        let events: Vec<_> = rows.into_iter().filter_map(stream_event).collect();
        shared.window.lock().add(&events);
        Ok(events)
    }

    async fn progress(
        &self,
        caller: &Caller,
        suite: SuiteId,
        seq: i64,
    ) -> AppResult<ProgressEvent> {
        let shared = self.cached(caller, suite).await?;
        // A reader may already know an event that is not published yet.
        let newest = self.store.watch(suite).borrow().seq.max(seq);
        let mut known = shared.progress.lock().await;
        if let Some(progress) = known.as_ref().and_then(|known| known.at(newest)) {
            return Ok(progress.clone());
        }
        let (seq, progress) = Self::progress(self, caller, suite).await?;
        *known = Some(CachedProgress::now(seq, progress.clone()));
        Ok(progress)
    }

    fn watch(&self, suite: SuiteId) -> watch::Receiver<LatestEvent> {
        self.store.watch(suite)
    }
}

impl Suites {
    async fn cached(&self, caller: &Caller, suite: SuiteId) -> AppResult<Arc<CachedSuite>> {
        let shared =
            self.event_cache.of(&self.store, caller.space_id, suite).await.or_app_error()?;
        shared.ok_or_else(|| AppError::not_found("suite"))
    }
}

/// A stored event as streams send it.
fn stream_event((seq, event, turn): (i64, EventRow, Option<Turn>)) -> Option<(i64, SuiteEvent)> {
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
}
