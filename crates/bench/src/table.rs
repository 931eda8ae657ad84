//! Percentiles and the table of results.

use std::process::ExitCode;
use std::time::Duration;

/// The percentile of sorted values; 0 without values.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Prints the results row by row and counts missed requirements.
#[derive(Default)]
pub(crate) struct Table {
    missed: u32,
}

impl Table {
    pub(crate) fn title(&mut self, text: &str) {
        println!("\n{text}");
        println!("{:<44} {:<44} {:<18} passed", "check", "measured", "required");
    }

    pub(crate) fn record(&mut self, check: &str, measured: &str) {
        println!("{check:<44} {measured:<44} {:<18}", "-");
    }

    pub(crate) fn require(&mut self, check: &str, measured: &str, required: &str, passed: bool) {
        println!("{check:<44} {measured:<44} {required:<18} {}", if passed { "yes" } else { "NO" });
        self.missed += u32::from(!passed);
    }

    /// Adds times in milliseconds. `max` is the required maximum of the p95.
    pub(crate) fn times(&mut self, check: &str, times: Vec<f64>, max: Option<f64>) {
        let times = sorted(times);
        let (p50, p95) = (percentile(&times, 0.5), percentile(&times, 0.95));
        let worst = percentile(&times, 1.0);
        let measured = format!("p50 {p50:.2} ms, p95 {p95:.2} ms, max {worst:.2} ms");
        match max {
            Some(max) => self.require(check, &measured, &format!("p95 ≤ {max} ms"), p95 <= max),
            None => self.record(check, &measured),
        }
    }

    /// Fails when a requirement is missed.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
