//! The progress line of a terminal. Where standard error is no terminal, only the loss of
//! the connection is reported.

use domain::Counts;
use std::io::{IsTerminal, Write};

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The line on the terminal.
    shown: String,
    is_lost: bool,
}

impl Progress {
    pub(super) fn show(&mut self, counts: &Counts, eta_seconds: Option<u32>) {
        let line = line(counts, eta_seconds);
        if line != self.shown {
            self.replace(line);
        }
    }

    /// Reports once that the connection is lost.
    pub(super) fn lost(&mut self) {
        if !std::mem::replace(&mut self.is_lost, true) {
            self.clear();
            eprintln!("Connection lost, reconnecting. The suite continues on the server.");
        }
    }

    pub(super) fn restored(&mut self) {
        if std::mem::replace(&mut self.is_lost, false) {
            eprintln!("Reconnected.");
        }
    }

    pub(super) fn clear(&mut self) {
        self.replace(String::new());
    }

    fn replace(&mut self, line: String) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() && (!line.is_empty() || !self.shown.is_empty()) {
            // A terminal that cannot be written to is no reason to stop.
            let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
        }
        self.shown = line;
    }
}

/// `3 of 12 runs · 2 passed · 1 failed · about 40 s left`
fn line(counts: &Counts, eta_seconds: Option<u32>) -> String {
    let mut text = format!("{} of {} runs", counts.done(), counts.total());
    let named = [
        (counts.passed, "passed"),
        (counts.failed, "failed"),
        (counts.inconclusive, "inconclusive"),
        (counts.error, "errors"),
        (counts.cancelled, "canceled"),
    ];
    for (count, name) in named.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(" · {count} {name}"));
    }
    match eta_seconds {
        None => {}
        Some(seconds @ ..90) => text.push_str(&format!(" · about {seconds} s left")),
        Some(seconds) => text.push_str(&format!(" · about {} min left", seconds.div_ceil(60))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::line;
    use domain::Counts;

    #[test]
    fn line_names_only_what_happened() {
        let counts = Counts { passed: 2, error: 1, pending: 9, ..Counts::default() };
        assert_eq!(line(&counts, Some(40)), "3 of 12 runs · 2 passed · 1 errors · about 40 s left");
        let counts = Counts { pending: 1, ..Counts::default() };
        assert_eq!(line(&counts, Some(100)), "0 of 1 runs · about 2 min left");
        assert_eq!(line(&counts, None), "0 of 1 runs");
    }
}
