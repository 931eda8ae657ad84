//! What a soak did, counted and found: a table for people, an exit code for
//! programs. Figures are measured; nothing here is computed from a promise.

use crate::history::Violation;
use std::fmt;
use std::process::ExitCode;

/// How much of a soak.
#[derive(Clone, Copy, Debug)]
pub struct Dose {
    /// What all chance comes from.
    pub seed: u64,
    /// About how long, in seconds.
    pub seconds: u64,
    /// The long form: as much as the product promises.
    pub long: bool,
    /// How much slower than on a machine of its own anything may be. 1 in the
    /// command; more in tests, which share their machine with other tests.
    pub patience: f64,
}

impl Dose {
    /// One of two numbers: for the short form, or for the long one.
    #[must_use]
    pub fn pick<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }
}

/// The summary of a soak.
#[derive(Clone, Debug)]
pub struct Report {
    name: &'static str,
    seed: u64,
    lines: Vec<Line>,
    skipped: Option<String>,
}

#[derive(Clone, Debug)]
struct Line {
    what: String,
    measured: String,
    promised: String,
    kept: Option<bool>,
}

/// Of a soak that could not be run here.
const SKIPPED: u8 = 77;

impl Report {
    /// An empty one.
    #[must_use]
    pub fn new(name: &'static str, dose: &Dose) -> Self {
        Self { name, seed: dose.seed, lines: Vec::new(), skipped: None }
    }

    /// Something that was done or counted, and of which nothing is promised.
    pub fn count(&mut self, what: impl Into<String>, measured: impl fmt::Display) {
        let (measured, promised) = (measured.to_string(), String::new());
        self.lines.push(Line { what: what.into(), measured, promised, kept: None });
    }

    /// Something that is promised, and whether it was kept.
    pub fn promise(
        &mut self,
        what: impl Into<String>,
        measured: impl fmt::Display,
        promised: impl fmt::Display,
        kept: bool,
    ) {
        let (measured, promised) = (measured.to_string(), promised.to_string());
        self.lines.push(Line { what: what.into(), measured, promised, kept: Some(kept) });
    }

    /// Something of which there must be none.
    pub fn none(&mut self, what: impl Into<String>, count: usize) {
        self.promise(what, count, 0, count == 0);
    }

    /// What the checker of histories found.
    pub fn violations(&mut self, found: &[Violation]) {
        self.none("promises that the history breaks", found.len());
        for violation in found.iter().take(20) {
            self.promise(violation.promise, &violation.what, "", false);
        }
    }

    /// This part, or all of it, could not be run here.
    pub fn skip(&mut self, why: impl Into<String>) {
        let why = why.into();
        self.count("left out", &why);
        self.skipped = Some(why);
    }

    /// Why something was left out.
    #[must_use]
    pub fn skipped(&self) -> Option<&str> {
        self.skipped.as_deref()
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.lines.iter().all(|line| line.kept != Some(false))
    }

    /// 0 = all kept, 1 = a promise was broken, 77 = it could not be run here.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match (self.kept(), &self.skipped) {
            (false, _) => ExitCode::FAILURE,
            (true, Some(_)) => ExitCode::from(SKIPPED),
            (true, None) => ExitCode::SUCCESS,
        }
    }
}

/// Markdown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {} (seed {})\n", self.name, self.seed)?;
        writeln!(f, "| what | measured | promised | kept |")?;
        writeln!(f, "|---|---|---|---|")?;
        for Line { what, measured, promised, kept } in &self.lines {
            let kept = match kept {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            // Words of others may hold what ends a cell.
            let [what, measured] =
                [what, measured].map(|text| text.replace('|', "/").replace('\n', " "));
            writeln!(f, "| {what} | {measured} | {promised} | {kept} |")?;
        }
        Ok(())
    }
}

/// Figures of one kind, in any order.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Adds those of another.
    pub fn join(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The least figure that this share of all does not exceed; 0 of nothing.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        // a place in a list
        let place = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(f, "p50 {p50:.0} ms, p99 {p99:.0} ms, most {most:.0} ms of {}", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOSE: Dose = Dose { seed: 7, seconds: 1, long: false, patience: 1.0 };

    #[test]
    fn a_broken_promise_is_told_and_fails() {
        let mut report = Report::new("x", &DOSE);
        report.count("kills", 3);
        report.promise("p99", "12 ms", "≤ 100 ms", true);
        assert!(report.kept());
        report.none("turns lost", 1);
        assert!(!report.kept());
        let text = report.to_string();
        assert!(text.contains("| turns lost | 1 | 0 | **no** |"), "{text}");
        assert!(text.contains("| kills | 3 |  |  |"), "{text}");
        assert!(text.contains("seed 7"), "{text}");
    }

    #[test]
    fn what_could_not_be_run_is_no_success_and_hides_no_failure() {
        let mut report = Report::new("x", &DOSE);
        report.skip("no /dev/fuse");
        assert!(report.kept() && report.skipped().is_some());
        assert_eq!(format!("{:?}", report.exit_code()), format!("{:?}", ExitCode::from(SKIPPED)));
        report.none("turns lost", 1);
        assert_eq!(format!("{:?}", report.exit_code()), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn quantiles_are_figures_that_were_measured() {
        let mut figures = Figures::default();
        (1..=100).rev().for_each(|n| figures.add(f64::from(n)));
        assert_eq!([0.5, 0.99, 1.0].map(|share| figures.quantile(share)), [50.0, 99.0, 100.0]);
        let mut one = Figures::default();
        assert_eq!(one.quantile(0.99), 0.0);
        one.add(4.0);
        assert_eq!(one.quantile(0.99), 4.0);
    }
}
