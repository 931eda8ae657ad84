//! Markdown for a comment on a pull request.
//!
//! GitHub accepts comments of at most 65,536 characters, and GitLab of 1,000,000. What does
//! not fit is counted.

use crate::latency::AgentLatencies;
use crate::run_details::{reason, status_icon};
use crate::text::{duration, interval, percent, plural, shorten, single_line};
use crate::writer::WriteReport;
use crate::{Report, ScenarioSummary};
use domain::{Run, RunStatus};
use std::fmt::Write as _;
use std::io;

/// The most bytes of a comment, which are at least its characters.
const MAX_BYTES: usize = 60_000;
/// The bytes up to which scenarios are listed, so that there is room for reasons.
const MAX_SCENARIO_BYTES: usize = 30_000;
const MAX_NAME: usize = 120;
const MAX_REASON: usize = 300;
/// The most runs whose reasons are listed.
const MAX_REASONS: usize = 20;

#[derive(Default)]
pub(crate) struct MarkdownReport {
    latencies: AgentLatencies,
    failed: Lines,
    /// Runs without a verdict.
    others: Lines,
}

/// The lines of the first runs of a kind.
#[derive(Default)]
struct Lines {
    listed: Vec<String>,
    unlisted: usize,
}

impl Lines {
    fn add(&mut self, line: impl FnOnce() -> String) {
        if self.listed.len() < MAX_REASONS {
            self.listed.push(line());
        } else {
            self.unlisted += 1;
        }
    }
}

/// Text that Markdown shows as it is. Names of users and numbers of issues neither notify
/// anybody nor create links.
fn escape(text: &str, max: usize) -> String {
    let line = single_line(text);
    let mut escaped = String::new();
    for c in shorten(&line, max).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' | '#' => {
                escaped.push(c);
                escaped.push_str("&#8203;");
            }
            // Links that GitHub makes of bare addresses.
            ':' => escaped.push_str("&#58;"),
            c if c.is_ascii_punctuation() && !",;\"'/%=?".contains(c) => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

fn link(text: &str, url: Option<String>) -> String {
    url.map_or_else(|| text.to_owned(), |url| format!("[{text}](<{url}>)"))
}

fn headline(report: &Report) -> String {
    let counts = &report.suite.counts;
    let icon = if !report.summary.is_final {
        "◐"
    } else if counts.failed > 0 {
        "❌"
    } else if counts.passed == counts.total() {
        "✅"
    } else {
        "⚠️"
    };
    let agent = link(&escape(&report.suite.agent.name, MAX_NAME), report.suite_url());
    format!("### {icon} {agent}: {} of {} passed\n\n", counts.passed, counts.total())
}

fn summary_lines(report: &Report) -> String {
    let outcome = &report.summary.outcome;
    let mut text = String::new();
    if let Some(progress) = report.progress() {
        let _ = writeln!(text, "**{progress}**\n");
    }
    if outcome.pass_rate.is_some() {
        let _ = write!(
            text,
            "Pass rate {} (95 % interval {})",
            percent(outcome.pass_rate),
            interval(outcome.interval)
        );
    } else {
        text.push_str("No pass rate");
    }
    if let Some(exclusions) = outcome.exclusions() {
        let _ = write!(text, " · {exclusions}");
    }
    if report.summary.flaky_scenarios > 0 {
        let flaky = plural(report.summary.flaky_scenarios, "flaky scenario");
        let _ = write!(text, " · {flaky}");
    }
    text.push_str("\n\n");
    text
}

/// One row. The scenario's name is that of one of its runs.
fn scenario_row(report: &Report, scenario: &ScenarioSummary) -> String {
    let outcome = &scenario.outcome;
    let run = report.runs.iter().find(|run| run.scenario.id == scenario.scenario.id);
    let name = run.map_or_else(String::new, |run| report.scenario_name(run));
    let icon = if outcome.judged < outcome.runs {
        "⚠️"
    } else if outcome.passed == outcome.judged {
        "✅"
    } else {
        "❌"
    };
    let mut notes: Vec<String> = outcome.exclusions().into_iter().collect();
    if scenario.is_flaky {
        notes.insert(0, "flaky".to_owned());
    }
    format!(
        "| {icon} | {} | {} of {} | {} | {} |\n",
        escape(&name, MAX_NAME),
        outcome.passed,
        outcome.judged,
        interval(outcome.interval),
        notes.join(" · ")
    )
}

impl WriteReport for MarkdownReport {
    fn begin(&mut self, _: &Report, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn run(&mut self, report: &Report, run: &Run, _: &mut Vec<u8>) -> io::Result<()> {
        self.latencies.add(run);
        let is_relevant = !matches!(run.status, RunStatus::Pending | RunStatus::Running);
        let Some(reason) = reason(run).filter(|_| is_relevant) else { return Ok(()) };
        let line = || {
            let name = link(&escape(&report.run_name(run), MAX_NAME), report.run_url(run.id));
            let (icon, status) = (status_icon(run.status), run.status.label());
            format!("- {icon} {status}: {name}: {}\n", escape(&reason, MAX_REASON))
        };
        let is_failure = run.status == RunStatus::Failed;
        if is_failure {
            self.failed.add(line)
        } else {
            self.others.add(line)
        }
        Ok(())
    }

    fn end(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        let mut text = headline(report) + &summary_lines(report);
        let mut scenarios: Vec<_> = report.summary.scenarios.iter().collect();
        // The worst first; scenarios without a verdict count as bad.
        scenarios.sort_by(|a, b| {
            let rate = |one: &ScenarioSummary| one.outcome.pass_rate.unwrap_or(0.0);
            rate(a).total_cmp(&rate(b))
        });
        text.push_str("| | Scenario | Passed | 95 % interval | |\n|---|---|---|---|---|\n");
        let mut listed = 0;
        for scenario in &scenarios {
            let row = scenario_row(report, scenario);
            if text.len() + row.len() > MAX_SCENARIO_BYTES {
                break;
            }
            text.push_str(&row);
            listed += 1;
        }
        if listed < scenarios.len() {
            let _ = writeln!(text, "\nand {} more scenarios", scenarios.len() - listed);
        }
        // Failures first: they say something about the agent.
        let lines = self.failed.listed.drain(..).chain(self.others.listed.drain(..));
        let mut unlisted = self.failed.unlisted + self.others.unlisted;
        for (index, line) in lines.enumerate() {
            if index == 0 {
                text.push_str("\n**Runs that did not pass**\n\n");
            }
            if index >= MAX_REASONS || text.len() + line.len() > MAX_BYTES - 200 {
                unlisted += 1;
            } else {
                text.push_str(&line);
            }
        }
        if unlisted > 0 {
            let _ = writeln!(text, "- and {}", plural(unlisted, "more run"));
        }
        if let Some(latency) = self.latencies.percentiles() {
            let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(duration);
            let _ = writeln!(text, "\nAgent latency: p50 {p50}, p95 {p95}, p99 {p99}");
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::escape;
    use rstest::rstest;

    #[rstest]
    #[case("Lena, 3 pm", "Lena, 3 pm")]
    #[case("a|b `c` *d* [e](f)", r"a\|b \`c\` \*d\* \[e\]\(f\)")]
    #[case("<img src=x>", "&lt;img src=x&gt;")]
    #[case("ask @octocat about #12", "ask @&#8203;octocat about #&#8203;12")]
    #[case("https://evil.example", r"https&#58;//evil\.example")]
    #[case("two\nlines\u{202e}", "two lines")]
    #[case("&amp;", "&amp;amp;")]
    fn text_stays_text(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(escape(text, 100), expected);
    }
}
