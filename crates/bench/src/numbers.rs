//! Percentiles and the table they stand in.

use std::process::ExitCode;
use std::time::Duration;

/// The value below which this part of all lies, in milliseconds or whatever
/// they count; 0 of nothing.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// Sorted, for percentiles.
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A table that is printed line by line, and whether all promises are kept.
#[derive(Default)]
pub(crate) struct Table {
    missed: u32,
}

impl Table {
    /// A heading.
    pub(crate) fn title(&mut self, text: &str) {
        println!("\n{text}");
        println!("{:<44} {:<44} {:<18} kept", "what", "measured", "promised");
    }

    /// A line without a promise.
    pub(crate) fn told(&mut self, what: &str, measured: &str) {
        println!("{what:<44} {measured:<44} {:<18}", "-");
    }

    /// A line with one.
    pub(crate) fn promised(&mut self, what: &str, measured: &str, promised: &str, kept: bool) {
        println!("{what:<44} {measured:<44} {promised:<18} {}", if kept { "yes" } else { "NO" });
        self.missed += u32::from(!kept);
    }

    /// A line of times in milliseconds, promised to stay below `most` at p95.
    pub(crate) fn times(&mut self, what: &str, times: Vec<f64>, most: Option<f64>) {
        let times = sorted(times);
        let (p50, p95) = (percentile(&times, 0.5), percentile(&times, 0.95));
        let worst = percentile(&times, 1.0);
        let measured = format!("p50 {p50:.2} ms, p95 {p95:.2} ms, worst {worst:.2} ms");
        match most {
            Some(most) => self.promised(what, &measured, &format!("p95 ≤ {most} ms"), p95 <= most),
            None => self.told(what, &measured),
        }
    }

    /// What the process answers: missed promises are shown, not hidden.
    pub(crate) fn close(&self) -> ExitCode {
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
