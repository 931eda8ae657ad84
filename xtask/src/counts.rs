//! Counts passed, failed and skipped tests in the output of cargo and Playwright.

use serde_json::Value;
use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The closing line of `cargo xtask test`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

impl Counts {
    /// Parses the last line of a Rust test program, such as
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; …`.
    pub(crate) fn from_cargo(line: &str) -> Option<Self> {
        let result = line.trim().strip_prefix("test result: ")?;
        let (_, numbers) = result.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split(';') {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let field = match word {
                "passed" => &mut counts.passed,
                "failed" => &mut counts.failed,
                "ignored" => &mut counts.skipped,
                _ => continue,
            };
            *field = number.parse().ok()?;
        }
        Some(counts)
    }

    /// Parses Playwright's JSON report. A flaky test counts as failed, and so does an
    /// error outside of tests.
    pub(crate) fn from_playwright(report: &str) -> Option<Self> {
        let report: Value = serde_json::from_str(report).ok()?;
        let stats = report.get("stats")?;
        let number = |key: &str| stats.get(key)?.as_u64();
        let other_errors = report["errors"].as_array().map_or(0, Vec::len) as u64;
        Some(Self {
            passed: number("expected")?,
            failed: number("unexpected")? + number("flaky")? + other_errors,
            skipped: number("skipped")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_result_lines_of_cargo_are_parsed() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        assert_eq!(Counts::from_cargo(line), Some(Counts { passed: 12, failed: 3, skipped: 1 }));
        assert_eq!(Counts::from_cargo("test result_is_kept ... ok"), None);
        assert_eq!(Counts::from_cargo("running 4 tests"), None);
    }

    #[test]
    fn flaky_tests_and_errors_outside_of_tests_count_as_failed() {
        let report =
            r#"{"stats":{"expected":5,"unexpected":1,"flaky":2,"skipped":3},"errors":[{}]}"#;
        assert_eq!(
            Counts::from_playwright(report),
            Some(Counts { passed: 5, failed: 4, skipped: 3 })
        );
        assert_eq!(Counts::from_playwright("{}"), None);
        assert_eq!(Counts::from_playwright(""), None);
    }

    #[test]
    fn skipped_tests_are_shown_only_if_there_are_any() {
        let mut all = Counts { passed: 1, failed: 0, skipped: 0 };
        assert_eq!(all.to_string(), "1 passed, 0 failed");
        all += Counts { passed: 2, failed: 1, skipped: 4 };
        assert_eq!(all.to_string(), "3 passed, 1 failed, 4 skipped");
    }
}
