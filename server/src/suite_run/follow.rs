//! Follows the event stream of a suite until the suite is final.

use super::api::{Api, Failure};
use super::outage::Outage;
use super::progress::Progress;
use super::sse::{SseEvent, SseReader};
use domain::{Counts, ProgressEvent, SuiteId, SuiteSnapshot};
use reqwest::{Method, StatusCode};

/// A suite that is followed. A stream that broke continues after its last event.
pub(super) struct Follower<'a> {
    api: &'a Api,
    suite: SuiteId,
    last_event: Option<String>,
    progress: Progress,
}

impl<'a> Follower<'a> {
    pub(super) fn new(api: &'a Api, suite: SuiteId) -> Self {
        Self { api, suite, last_event: None, progress: Progress::default() }
    }

    /// Returns when the suite is final.
    pub(super) async fn follow(&mut self, outage: &mut Outage) -> Result<(), Failure> {
        loop {
            match self.read_stream(outage).await {
                Ok(true) => break,
                Ok(false) => {
                    let ended = "the server ended the stream".to_owned();
                    self.pause(outage, Failure::temporary(ended)).await?;
                }
                Err(failure) => self.pause(outage, failure).await?,
            }
        }
        self.progress.clear();
        Ok(())
    }

    async fn pause(&mut self, outage: &mut Outage, failure: Failure) -> Result<(), Failure> {
        if failure.is_temporary {
            self.progress.lost();
        }
        outage.wait(failure).await?;
        Ok(())
    }

    /// Reads one connection to its end. Returns whether the suite is final.
    async fn read_stream(&mut self, outage: &mut Outage) -> Result<bool, Failure> {
        let mut request = self.api.request(Method::GET, &format!("/suites/{}/events", self.suite));
        if let Some(last) = &self.last_event {
            request = request.header("last-event-id", last);
        }
        let mut response = self.api.send(request).await?;
        // All events were received before.
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(true);
        }
        let mut reader = SseReader::default();
        loop {
            let part = response.chunk().await.map_err(|error| self.api.unreachable(&error))?;
            let Some(part) = part else { return Ok(false) };
            outage.end();
            self.progress.restored();
            for event in reader.push(&part) {
                if self.take(event) {
                    return Ok(true);
                }
            }
        }
    }

    /// Takes an event. Returns whether the suite is final. An event that this version does
    /// not read changes only the progress line.
    fn take(&mut self, event: SseEvent) -> bool {
        if event.id.is_some() {
            self.last_event = event.id;
        }
        match event.name.as_str() {
            "snapshot" => {
                if let Ok(snapshot) = serde_json::from_str::<SuiteSnapshot>(&event.data) {
                    self.show(&snapshot.suite.counts, snapshot.suite.progress.eta_seconds);
                }
            }
            "progress" => {
                if let Ok(progress) = serde_json::from_str::<ProgressEvent>(&event.data) {
                    self.show(&progress.by_status, progress.eta_seconds);
                }
            }
            "finished" => return true,
            _ => {}
        }
        false
    }

    fn show(&mut self, counts: &Counts, eta_seconds: Option<u32>) {
        self.progress.show(counts, eta_seconds);
    }
}
