//! The report of a soak: a table for people and an exit code for programs.

use crate::history::Violation;
use std::fmt;
use std::process::ExitCode;

#[derive(Clone, Copy, Debug)]
pub struct SoakOptions {
    /// Seeds all randomness.
    pub seed: u64,
    /// The approximate duration in seconds.
    pub seconds: u64,
    /// Runs the full soak.
    pub long: bool,
    /// Relaxes time limits: 1 on an idle machine, more in tests that share it.
    pub time_factor: f64,
}

impl SoakOptions {
    /// Chooses between the values for the short and for the long soak.
    pub fn choose<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }
}

#[derive(Clone, Debug)]
pub struct Report {
    name: &'static str,
    seed: u64,
    rows: Vec<Row>,
    skipped: Option<String>,
}

#[derive(Clone, Debug)]
struct Row {
    check: String,
    measured: String,
    required: String,
    /// `None` without a requirement.
    passed: Option<bool>,
}

/// The exit code when a soak is not possible on this machine.
const SKIPPED: u8 = 77;

impl Report {
    pub fn new(name: &'static str, options: &SoakOptions) -> Self {
        Self { name, seed: options.seed, rows: Vec::new(), skipped: None }
    }

    /// Adds a figure without a requirement.
    pub fn record(&mut self, check: impl Into<String>, measured: impl fmt::Display) {
        let (measured, required) = (measured.to_string(), String::new());
        self.rows.push(Row { check: check.into(), measured, required, passed: None });
    }

    pub fn require(
        &mut self,
        check: impl Into<String>,
        measured: impl fmt::Display,
        required: impl fmt::Display,
        passed: bool,
    ) {
        let (measured, required) = (measured.to_string(), required.to_string());
        self.rows.push(Row { check: check.into(), measured, required, passed: Some(passed) });
    }

    pub fn require_zero<T>(&mut self, check: impl Into<String>, count: T)
    where
        T: fmt::Display + Default + PartialEq,
    {
        self.require(check, &count, 0, count == T::default());
    }

    /// Adds the number of violations and the first twenty of them.
    pub fn violations(&mut self, found: &[Violation]) {
        self.require_zero("violated guarantees in the history", found.len());
        for violation in found.iter().take(20) {
            self.require(violation.guarantee, &violation.details, "", false);
        }
    }

    /// Records that a part of the soak is not possible on this machine.
    pub fn skip(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.record("skipped", &reason);
        self.skipped = Some(reason);
    }

    /// Why a part was skipped.
    pub fn skipped(&self) -> Option<&str> {
        self.skipped.as_deref()
    }

    /// Whether every requirement is met.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.passed != Some(false))
    }

    pub fn exit_code(&self) -> ExitCode {
        match (self.passed(), &self.skipped) {
            (false, _) => ExitCode::FAILURE,
            (true, Some(_)) => ExitCode::from(SKIPPED),
            (true, None) => ExitCode::SUCCESS,
        }
    }
}

/// Formats the report as Markdown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {} (seed {})\n", self.name, self.seed)?;
        writeln!(f, "| check | measured | required | passed |")?;
        writeln!(f, "|---|---|---|---|")?;
        for Row { check, measured, required, passed } in &self.rows {
            let passed = match passed {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            // Quoted text may contain characters that end a cell.
            let [check, measured] =
                [check, measured].map(|text| text.replace('|', "/").replace('\n', " "));
            writeln!(f, "| {check} | {measured} | {required} | {passed} |")?;
        }
        Ok(())
    }
}

/// Samples of one quantity.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn add(&mut self, sample: f64) {
        self.0.push(sample);
    }

    pub fn join(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nearest-rank quantile; 0 without samples.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(f, "p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms of {}", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: SoakOptions = SoakOptions { seed: 7, seconds: 1, long: false, time_factor: 1.0 };

    #[test]
    fn failed_requirement_is_shown_and_fails() {
        let mut report = Report::new("x", &OPTIONS);
        report.record("kills", 3);
        report.require("p99", "12 ms", "≤ 100 ms", true);
        assert!(report.passed());
        report.require_zero("lost turns", 1);
        assert!(!report.passed());
        let text = report.to_string();
        assert!(text.contains("| lost turns | 1 | 0 | **no** |"), "{text}");
        assert!(text.contains("| kills | 3 |  |  |"), "{text}");
        assert!(text.contains("seed 7"), "{text}");
    }

    #[test]
    fn skipping_is_not_success_and_does_not_hide_failures() {
        let mut report = Report::new("x", &OPTIONS);
        report.skip("no /dev/fuse");
        assert!(report.passed() && report.skipped().is_some());
        assert_eq!(format!("{:?}", report.exit_code()), format!("{:?}", ExitCode::from(SKIPPED)));
        report.require_zero("lost turns", 1);
        assert_eq!(format!("{:?}", report.exit_code()), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn quantiles_are_measured_samples() {
        let mut samples = Samples::default();
        (1..=100).rev().for_each(|n| samples.add(f64::from(n)));
        assert_eq!([0.5, 0.99, 1.0].map(|share| samples.quantile(share)), [50.0, 99.0, 100.0]);
        let mut one = Samples::default();
        assert_eq!(one.quantile(0.99), 0.0);
        one.add(4.0);
        assert_eq!(one.quantile(0.99), 4.0);
    }
}
