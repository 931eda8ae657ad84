//! Connection status of the live event stream, as the page shows it. Pure:
//! callers pass the time.

/// A disconnect is shown after this many milliseconds.
const RECONNECTING_AFTER: i64 = 2000;
/// "Reconnected" is shown for this many milliseconds.
const RECONNECTED_FOR: i64 = 4000;
/// Interval of polling after the server rejected the stream, in milliseconds.
const POLL_INTERVAL: i64 = 3000;

/// What the page says about its event stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamStatus {
    /// The stream is open or not needed. Nothing is shown.
    #[default]
    Connected,
    /// The stream broke more than [`RECONNECTING_AFTER`] ago.
    Reconnecting,
    /// The stream came back less than [`RECONNECTED_FOR`] ago.
    Reconnected,
    /// The server or a proxy rejected the stream. The page polls instead.
    Polling,
}

/// Derives the [`StreamStatus`] from stream events. All times are milliseconds
/// of one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMonitor {
    status: StreamStatus,
    /// When `status` was set or, while polling, when the last poll was due.
    since: i64,
    disconnected_at: Option<i64>,
}

impl StreamMonitor {
    #[must_use]
    pub fn status(&self) -> StreamStatus {
        self.status
    }

    pub fn opened(&mut self, now: i64) {
        self.disconnected_at = None;
        match self.status {
            StreamStatus::Reconnecting | StreamStatus::Polling => {
                self.set(StreamStatus::Reconnected, now);
            }
            StreamStatus::Connected | StreamStatus::Reconnected => {}
        }
    }

    /// The stream broke, or an attempt to reopen it failed. The browser keeps
    /// trying.
    pub fn disconnected(&mut self, now: i64) {
        self.disconnected_at.get_or_insert(now);
    }

    /// The stream was rejected. The browser does not try again.
    pub fn rejected(&mut self, now: i64) {
        self.disconnected_at = None;
        self.set(StreamStatus::Polling, now);
    }

    /// The page closed the stream itself, so this is no connection problem.
    pub fn closed(&mut self) {
        self.disconnected_at = None;
    }

    /// Updates the status over time. `finished` means that no more events are
    /// expected.
    pub fn tick(&mut self, now: i64, finished: bool) {
        let overdue = self.disconnected_at.is_some_and(|at| now - at > RECONNECTING_AFTER);
        let next = match self.status {
            StreamStatus::Reconnected if now - self.since > RECONNECTED_FOR => {
                StreamStatus::Connected
            }
            StreamStatus::Reconnecting | StreamStatus::Polling if finished => {
                StreamStatus::Connected
            }
            status => status,
        };
        let next = if overdue && !finished { StreamStatus::Reconnecting } else { next };
        if next != self.status {
            self.set(next, now);
        }
    }

    /// Whether a poll is due; if so, the next one is scheduled. Polling also
    /// retries the stream, because a proxy may have rejected it only while the
    /// server restarted.
    pub fn take_due_poll(&mut self, now: i64) -> bool {
        let due = self.status == StreamStatus::Polling && now - self.since > POLL_INTERVAL;
        if due {
            self.since = now;
        }
        due
    }

    fn set(&mut self, status: StreamStatus, now: i64) {
        self.status = status;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::{StreamMonitor, StreamStatus};

    /// The status at each second from `from` to `to`.
    fn statuses(monitor: &mut StreamMonitor, from: i64, to: i64) -> Vec<StreamStatus> {
        let mut statuses = Vec::new();
        for second in from..=to {
            monitor.tick(second * 1000, false);
            statuses.push(monitor.status());
        }
        statuses
    }

    #[test]
    fn short_disconnect_is_hidden_and_long_one_is_shown() {
        use StreamStatus::{Connected, Reconnected, Reconnecting};
        let mut monitor = StreamMonitor::default();
        monitor.disconnected(0);
        assert_eq!(statuses(&mut monitor, 1, 2), [Connected; 2]);
        monitor.opened(2100);
        assert_eq!(statuses(&mut monitor, 3, 9), [Connected; 7], "too short to show");
        monitor.disconnected(10_000);
        monitor.disconnected(12_000);
        assert_eq!(statuses(&mut monitor, 11, 13), [Connected, Connected, Reconnecting]);
        monitor.opened(13_500);
        assert_eq!(monitor.status(), Reconnected);
        assert_eq!(statuses(&mut monitor, 14, 17), [Reconnected; 4]);
        assert_eq!(statuses(&mut monitor, 18, 19), [Connected; 2]);
    }

    #[test]
    fn disconnect_after_reconnect_is_shown_until_the_next_reconnect() {
        let mut monitor = StreamMonitor::default();
        monitor.disconnected(0);
        assert_eq!(statuses(&mut monitor, 3, 3), [StreamStatus::Reconnecting]);
        monitor.opened(3000);
        monitor.disconnected(4000);
        // The first "Reconnected" expires meanwhile and must not hide this.
        assert_eq!(statuses(&mut monitor, 7, 12), [StreamStatus::Reconnecting; 6]);
        monitor.opened(12_500);
        assert_eq!(monitor.status(), StreamStatus::Reconnected);
    }

    #[test]
    fn rejected_stream_polls_at_the_interval() {
        let mut monitor = StreamMonitor::default();
        monitor.rejected(1000);
        assert_eq!(monitor.status(), StreamStatus::Polling);
        let polls =
            (1..=10).filter(|second| monitor.take_due_poll(second * 1000)).collect::<Vec<_>>();
        assert_eq!(polls, [5, 9]);
        monitor.opened(10_500);
        assert_eq!(monitor.status(), StreamStatus::Reconnected);
        assert!(!monitor.take_due_poll(60_000), "the stream is open");
    }

    #[test]
    fn stream_closed_by_the_page_is_not_reconnecting() {
        let mut monitor = StreamMonitor::default();
        monitor.disconnected(0);
        monitor.closed();
        assert_eq!(statuses(&mut monitor, 1, 9), [StreamStatus::Connected; 9]);
    }

    #[test]
    fn finished_suite_clears_the_status() {
        for break_stream in
            [StreamMonitor::disconnected as fn(&mut StreamMonitor, i64), StreamMonitor::rejected]
        {
            let mut monitor = StreamMonitor::default();
            break_stream(&mut monitor, 0);
            monitor.tick(3000, false);
            assert_ne!(monitor.status(), StreamStatus::Connected);
            monitor.tick(4000, true);
            assert_eq!(monitor.status(), StreamStatus::Connected);
        }
    }
}
