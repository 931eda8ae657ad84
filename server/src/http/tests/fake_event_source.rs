//! A fake suite whose events tests append.

use super::fake_services::id;
use crate::http::EventSource;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller};
use domain::{
    AgentId, AgentRef, BudgetAction, Counts, FinishedEvent, ProgressEvent, RunId, Speaker, Suite,
    SuiteEvent, SuiteId, SuiteProgress, SuiteSnapshot, SuiteStatus, Timestamp, Turn, TurnEvent,
    Waiting,
};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use store::event_notifier::LatestEvent;
use tokio::sync::watch;

pub(super) const SUITE: SuiteId =
    SuiteId(uuid::Uuid::from_u64_pair(0x0190_a000_0000_7000, 0x8000_0000_0000_0005));

/// The events of one suite, and statistics of reads.
pub(super) struct FakeEventSource {
    events: Mutex<Vec<SuiteEvent>>,
    latest: Mutex<Option<watch::Sender<LatestEvent>>>,
    pub(super) progress_reads: AtomicU32,
    /// Maximum number of events returned by one read.
    pub(super) largest_read: AtomicU32,
    pruned: AtomicBool,
    /// What queued runs wait for.
    pub(super) held: Mutex<Option<Waiting>>,
}

impl Default for FakeEventSource {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            latest: Mutex::new(Some(watch::Sender::new(LatestEvent::default()))),
            progress_reads: AtomicU32::new(0),
            largest_read: AtomicU32::new(0),
            pruned: AtomicBool::new(false),
            held: Mutex::default(),
        }
    }
}

impl FakeEventSource {
    /// Appends a turn event.
    pub(super) fn push_turn(&self, message: &str) {
        let index = u32::try_from(self.events.lock().len()).expect("few");
        let turn = Turn {
            index,
            speaker: Speaker::User,
            message: message.to_owned(),
            tool_calls: Vec::new(),
            tool: None,
            finish: None,
            latency_ms: None,
            first_token_ms: None,
            input_tokens: None,
            output_tokens: None,
            adjustments: Vec::new(),
            token_parts: domain::TokenParts::default(),
            provider_state: None,
            at: Timestamp(0),
        };
        self.commit(SuiteEvent::Turn(Box::new(TurnEvent { run_id: RunId(id(6)), turn })));
    }

    /// Appends the last event.
    pub(super) fn finish(&self) {
        let counts = Counts { passed: 1, ..Counts::default() };
        self.commit(SuiteEvent::Finished(FinishedEvent { status: SuiteStatus::Finished, counts }));
    }

    fn commit(&self, event: SuiteEvent) {
        let mut events = self.events.lock();
        events.push(event);
        let seq = i64::try_from(events.len()).expect("few");
        if let Some(sender) = &*self.latest.lock() {
            sender.send_replace(LatestEvent::now(seq));
        }
    }

    /// Deletes the events, like retention.
    pub(super) fn prune(&self) {
        self.pruned.store(true, Ordering::SeqCst);
    }

    /// Stops notifications.
    pub(super) fn stop_notifications(&self) {
        *self.latest.lock() = None;
    }
}

#[async_trait]
impl EventSource for FakeEventSource {
    async fn snapshot(&self, _: &Caller, suite: SuiteId) -> AppResult<SuiteSnapshot> {
        if suite != SUITE {
            return Err(AppError::not_found("suite"));
        }
        let events = self.events.lock();
        let finished = matches!(events.last(), Some(SuiteEvent::Finished(_)));
        let seq = i64::try_from(events.len()).expect("few");
        let status = if finished { SuiteStatus::Finished } else { SuiteStatus::Running };
        let agent = AgentRef { id: AgentId(id(10)), revision: 1, name: "A".to_owned() };
        let suite = Suite {
            id: SUITE,
            agent,
            status,
            total: 1,
            counts: Counts::default(),
            pass_rate: None,
            judged: 0,
            judged_pass_rate: None,
            progress: SuiteProgress::default(),
            concurrency: 3,
            repeats: 1,
            parent_id: None,
            part_of: None,
            profile: None,
            variables_at: None,
            note: String::new(),
            created_at: Timestamp(0),
            started_at: None,
            finished_at: None,
            cancel_requested_at: None,
            cost_usd: None,
            unpriced_calls: 0,
            budget_usd: None,
            budget_action: BudgetAction::default(),
            usage: None,
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
        if self.pruned.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let events = self.events.lock();
        let all = (1i64..).zip(events.iter().cloned());
        let batch: Vec<_> = all.filter(|(n, _)| *n > seq).take(limit as usize).collect();
        let count = u32::try_from(batch.len()).expect("few");
        self.largest_read.fetch_max(count, Ordering::SeqCst);
        Ok(batch)
    }

    async fn progress(&self, _: &Caller, _: SuiteId, _: i64) -> AppResult<ProgressEvent> {
        self.progress_reads.fetch_add(1, Ordering::SeqCst);
        let events = self.events.lock();
        let done = u32::try_from(events.len()).expect("few");
        let finished = matches!(events.last(), Some(SuiteEvent::Finished(_)));
        Ok(ProgressEvent {
            done,
            total: if finished { done } else { done + 1 },
            by_status: Counts::default(),
            eta_seconds: None,
            current: Vec::new(),
            waiting: Vec::new(),
            pending_waiting_on: *self.held.lock(),
        })
    }

    fn watch(&self, _: SuiteId) -> watch::Receiver<LatestEvent> {
        match &*self.latest.lock() {
            Some(sender) => sender.subscribe(),
            // Closed, because the sender is dropped.
            None => watch::Sender::new(LatestEvent::default()).subscribe(),
        }
    }
}
