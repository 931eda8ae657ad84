//! A suite that tests tell what happens.

use super::fake_services::id;
use crate::http::Live;
use store::hub::Newest;
use domain::services::{AppResult, Caller};
use domain::{
    AgentId, AgentRef, Counts, Finished, Progress, RunId, Speaker, Suite, SuiteEvent, SuiteId,
    SuiteProgress, SuiteSnapshot, SuiteStatus, Timestamp, Turn, TurnEvent, Waiting,
};
use domain::error::AppError;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::watch;

/// The suite that there is.
pub(super) const SUITE: SuiteId =
    SuiteId(uuid::Uuid::from_u64_pair(0x0190_a000_0000_7000, 0x8000_0000_0000_0005));

/// One suite, its events, and how often it was read.
pub(super) struct FakeLive {
    events: Mutex<Vec<SuiteEvent>>,
    newest: Mutex<Option<watch::Sender<Newest>>>,
    /// Progress grows by one with each event.
    pub(super) progress_reads: AtomicU32,
    /// The most events that were asked for and given at once.
    pub(super) largest_read: AtomicU32,
    forgotten: AtomicBool,
    /// What runs that are not begun wait for.
    pub(super) held: Mutex<Option<Waiting>>,
}

impl Default for FakeLive {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            newest: Mutex::new(Some(watch::Sender::new(Newest::default()))),
            progress_reads: AtomicU32::new(0),
            largest_read: AtomicU32::new(0),
            forgotten: AtomicBool::new(false),
            held: Mutex::default(),
        }
    }
}

impl FakeLive {
    /// A turn is said: the next event.
    pub(super) fn say(&self, message: &str) {
        let index = u32::try_from(self.events.lock().len()).expect("few");
        let turn = Turn {
            index,
            speaker: Speaker::User,
            message: message.to_owned(),
            tool_calls: Vec::new(),
            tool: None,
            finish: None,
            latency_ms: None,
            input_tokens: None,
            output_tokens: None,
            at: Timestamp(0),
        };
        self.commit(SuiteEvent::Turn(Box::new(TurnEvent { run_id: RunId(id(6)), turn })));
    }

    /// The suite is over: the last event.
    pub(super) fn finish(&self) {
        let counts = Counts { passed: 1, ..Counts::default() };
        self.commit(SuiteEvent::Finished(Finished { status: SuiteStatus::Finished, counts }));
    }

    fn commit(&self, event: SuiteEvent) {
        let mut events = self.events.lock();
        events.push(event);
        let seq = i64::try_from(events.len()).expect("few");
        if let Some(newest) = &*self.newest.lock() {
            newest.send_replace(Newest::now(seq));
        }
    }

    /// Its events are deleted, as long after its end.
    pub(super) fn forget(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    /// Stops waking anybody.
    pub(super) fn fall_silent(&self) {
        *self.newest.lock() = None;
    }
}

#[async_trait]
impl Live for FakeLive {
    async fn snapshot(&self, _: &Caller, suite: SuiteId) -> AppResult<SuiteSnapshot> {
        if suite != SUITE {
            return Err(AppError::not_found("suite"));
        }
        let events = self.events.lock();
        let over = matches!(events.last(), Some(SuiteEvent::Finished(_)));
        let seq = i64::try_from(events.len()).expect("few");
        let status = if over { SuiteStatus::Finished } else { SuiteStatus::Running };
        let agent = AgentRef { id: AgentId(id(10)), revision: 1, name: "A".to_owned() };
        let suite = Suite {
            id: SUITE,
            agent,
            status,
            total: 1,
            counts: Counts::default(),
            pass_rate: None,
            progress: SuiteProgress::default(),
            concurrency: 3,
            repeats: 1,
            parent_id: None,
            note: String::new(),
            created_at: Timestamp(0),
            started_at: None,
            finished_at: None,
            cancel_requested_at: None,
            runs: Some(Vec::new()),
        };
        Ok(SuiteSnapshot { seq, suite })
    }

    async fn events_after(
        &self,
        _: &Caller,
        _: SuiteId,
        seq: i64,
        limit: u32,
    ) -> AppResult<Vec<(i64, SuiteEvent)>> {
        if self.forgotten.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let events = self.events.lock();
        let all = (1i64..).zip(events.iter().cloned());
        let some: Vec<_> = all.filter(|(n, _)| *n > seq).take(limit as usize).collect();
        let count = u32::try_from(some.len()).expect("few");
        self.largest_read.fetch_max(count, Ordering::SeqCst);
        Ok(some)
    }

    async fn progress(&self, _: &Caller, _: SuiteId, _: i64) -> AppResult<Progress> {
        self.progress_reads.fetch_add(1, Ordering::SeqCst);
        let events = self.events.lock();
        let done = u32::try_from(events.len()).expect("few");
        let over = matches!(events.last(), Some(SuiteEvent::Finished(_)));
        Ok(Progress {
            done,
            total: if over { done } else { done + 1 },
            by_status: Counts::default(),
            eta_seconds: None,
            current: Vec::new(),
            waiting: Vec::new(),
            held: *self.held.lock(),
        })
    }

    fn watch(&self, _: SuiteId) -> watch::Receiver<Newest> {
        match &*self.newest.lock() {
            Some(newest) => newest.subscribe(),
            // Its sender is dropped at once: closed.
            None => watch::Sender::new(Newest::default()).subscribe(),
        }
    }
}
