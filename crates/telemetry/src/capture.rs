//! Captures the log lines of the current thread, for tests.

use parking_lot::Mutex;
use serde_json::Value;
use std::io;
use std::sync::{Arc, LazyLock};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

/// The captured log, as JSON lines in the format of the real log.
#[derive(Clone, Default)]
pub struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    /// Captures lines of at least `level` until the guard is dropped.
    pub fn new(level: Level) -> (Self, DefaultGuard) {
        // tracing caches per call site whether it is enabled. With a single subscriber, a
        // call site that is first reached by another thread would be cached as disabled.
        // A second dispatcher prevents that.
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| {
            let lines = tracing_subscriber::fmt().with_max_level(Level::ERROR);
            Dispatch::new(lines.with_writer(io::sink).finish())
        });
        LazyLock::force(&SECOND);
        let capture = Self::default();
        let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(capture.clone());
        let guard = tracing::subscriber::set_default(lines.json().finish());
        (capture, guard)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }

    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Capture {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
