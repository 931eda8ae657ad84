//! The table of results at the end.

use reports::{Summary, interval_text, percent_text, single_line};
use std::fmt::Write as _;

/// The widest name of a scenario.
const MAX_NAME: usize = 60;

/// One line per scenario, and one for all.
pub(super) fn table(summary: &Summary) -> String {
    let names: Vec<_> = summary.scenarios.iter().map(|one| name(&one.scenario.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (scenario, name) in summary.scenarios.iter().zip(&names) {
        let outcome = &scenario.outcome;
        let icon = if outcome.passed < outcome.judged {
            "✕"
        } else if outcome.judged < outcome.runs {
            "⚠"
        } else {
            "✓"
        };
        let mut notes: Vec<String> = outcome.exclusions().into_iter().collect();
        if scenario.is_flaky {
            notes.insert(0, "flaky".to_owned());
        }
        let passed = format!("{} of {}", outcome.passed, outcome.judged);
        let line = format!("{icon} {name:width$}  {passed:>10}  {}", notes.join(" · "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let outcome = &summary.outcome;
    let _ = write!(text, "\n{} of {} judged runs passed", outcome.passed, outcome.judged);
    if outcome.pass_rate.is_some() {
        let (rate, interval) = (percent_text(outcome.pass_rate), interval_text(outcome.interval));
        let _ = write!(text, " ({rate}, 95 % interval {interval})");
    }
    if let Some(exclusions) = outcome.exclusions() {
        let _ = write!(text, " · {exclusions}");
    }
    text.push('\n');
    text
}

/// A name that cannot control the terminal.
fn name(name: &str) -> String {
    let line = single_line(name);
    match line.char_indices().nth(MAX_NAME) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::table;
    use domain::RunStatus::{Error, Failed, Passed};
    use reports::fixtures::report;

    #[test]
    fn table_has_a_line_per_scenario() {
        let report = report(&[Passed, Passed, Passed, Failed, Passed, Error], "S\u{1b}[2J\n1");
        let lines: Vec<_> = table(report.summary()).lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "✓ S [2J 1      2 of 2",
                "✕ S [2J 1      1 of 2  flaky",
                "⚠ S [2J 1      1 of 1  1 of 2 judged; 1 excluded: rate limited",
                "",
                "4 of 5 judged runs passed (80 %, 95 % interval 38–96 %) · \
                 5 of 6 judged; 1 excluded: rate limited",
            ]
        );
    }
}
