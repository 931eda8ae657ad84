//! One HTML file without scripts, images and links to other files.
//!
//! Texts have `dir="auto"`, so that text in a right-to-left script is readable and cannot
//! change the order of what is around it.

use crate::latency::AgentLatencies;
use crate::run_details::{check_result, deciding_evaluation, item_result, reason, status_icon};
use crate::style::STYLE;
use crate::text::{duration, interval, percent, plural, printable};
use crate::writer::WriteReport;
use crate::{Outcome, Report, ScenarioSummary};
use domain::{Basis, Evaluation, Item, ItemKind, Run, RunStatus, Turn};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::io;

#[derive(Default)]
pub(crate) struct HtmlReport {
    latencies: AgentLatencies,
    index: usize,
}

/// Nothing is loaded from anywhere, whatever the texts contain.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
    form-action 'none'";

impl WriteReport for HtmlReport {
    fn begin(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        let head = head(report).into_string();
        out.extend_from_slice(head.as_bytes());
        let body = html! {
            (header(report))
            (scenarios(report))
            (run_index(report))
        };
        out.extend_from_slice(b"<body>");
        out.extend_from_slice(body.into_string().as_bytes());
        out.extend_from_slice(b"<h2>Transcripts</h2>\n");
        Ok(())
    }

    fn run(&mut self, report: &Report, run: &Run, out: &mut Vec<u8>) -> io::Result<()> {
        self.latencies.add(run);
        self.index += 1;
        let section = run_section(report, run, self.index).into_string();
        out.extend_from_slice(section.as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn end(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        let end = html! {
            @if let Some(latency) = self.latencies.percentiles() {
                h2 id="latency" { "Agent latency" }
                p { "p50 " (duration(latency.p50)) " · p95 " (duration(latency.p95))
                    " · p99 " (duration(latency.p99)) " · "
                    (plural(latency.turns, "turn")) }
            }
            p.hint { "Created " (report.created_at.format_utc()) "." }
        };
        out.extend_from_slice(end.into_string().as_bytes());
        out.extend_from_slice(b"</body></html>\n");
        Ok(())
    }
}

fn head(report: &Report) -> Markup {
    let title = format!("{} · report", report.suite.agent.name);
    html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\">"))
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            meta name="referrer" content="no-referrer";
            title { (printable(&title)) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn header(report: &Report) -> Markup {
    let suite = &report.suite;
    let outcome = &report.summary.outcome;
    html! {
        h1 dir="auto" { (printable(&suite.agent.name)) }
        p.hint {
            "revision " (suite.agent.revision) " · " (plural(report.runs.len(), "run")) " · created "
            (suite.created_at.format_utc()) " · " (suite.status.label())
            @if let Some(url) = report.suite_url() { " · " a href=(url) { "open in Rehearsal" } }
        }
        @if !suite.note.is_empty() { p dir="auto" { (printable(&suite.note)) } }
        @if let Some(progress) = report.progress() { p.notice { (progress) } }
        p {
            "Pass rate " strong { (percent(outcome.pass_rate)) }
            @if outcome.interval.is_some() { " (95 % interval " (interval(outcome.interval)) ")" }
            @if let Some(exclusions) = outcome.exclusions() { " · " (exclusions) }
            @if report.summary.flaky_scenarios > 0 {
                " · " (plural(report.summary.flaky_scenarios, "flaky scenario"))
            }
        }
    }
}

fn scenarios(report: &Report) -> Markup {
    html! {
        h2 { "Scenarios" }
        div.scroll { table {
            thead { tr {
                th scope="col" { "Scenario" }
                th.num scope="col" { "Passed" }
                th scope="col" { "Pass rate" }
                th.num scope="col" { "95 % interval" }
                th.num scope="col" title="The estimated probability that all of k runs pass" {
                    "pass^k"
                }
                th scope="col" { "" }
            } }
            tbody { @for scenario in &report.summary.scenarios { (scenario_row(scenario)) } }
        } }
    }
}

fn scenario_row(scenario: &ScenarioSummary) -> Markup {
    let outcome = &scenario.outcome;
    let last = scenario.pass_hat_k.len();
    html! {
        tr {
            th scope="row" dir="auto" { (printable(&scenario.scenario.name)) }
            td.num { (outcome.passed) " of " (outcome.judged) }
            td.rate { (bar(outcome)) " " (percent(outcome.pass_rate)) }
            td.num { (interval(outcome.interval)) }
            td.num {
                @if let Some(all) = scenario.pass_hat_k.last() {
                    (percent(Some(*all))) " (k = " (last) ")"
                } @else { "–" }
            }
            td {
                @if scenario.is_flaky { span.tag { "flaky" } " " }
                @if let Some(exclusions) = outcome.exclusions() { span.hint { (exclusions) } }
            }
        }
    }
}

/// The pass rate as a bar, with its interval as a line.
fn bar(outcome: &Outcome) -> Markup {
    let (Some(rate), Some((low, high))) = (outcome.pass_rate, outcome.interval) else {
        return html! {};
    };
    let [rate, low, high] = [rate, low, high].map(|share| format!("{:.1}", share * 120.0));
    html! {
        svg.bar viewBox="0 0 120 10" aria-hidden="true" {
            rect.track width="120" height="10" rx="2" {}
            rect.rate width=(rate) height="10" rx="2" {}
            line.range x1=(low) x2=(high) y1="5" y2="5" {}
        }
    }
}

fn status_chip(status: RunStatus) -> Markup {
    let tone = match status {
        RunStatus::Pending | RunStatus::Cancelled => "neutral",
        status => status.as_str(),
    };
    html! { span class={ "chip " (tone) } { (status_icon(status)) " " (status.label()) } }
}

fn run_index(report: &Report) -> Markup {
    html! {
        h2 { "Runs" }
        div.scroll { table {
            thead { tr {
                th scope="col" { "Status" } th scope="col" { "Scenario" }
                th.num scope="col" { "Score" } th.num scope="col" { "Duration" }
            } }
            tbody { @for (index, run) in report.runs.iter().enumerate() { tr {
                td { (status_chip(run.status)) }
                td dir="auto" {
                    a href={ "#r" (index + 1) } { (printable(&report.run_name(run))) }
                }
                td.num { (score(run)) }
                td.num { @if let Some(millis) = run.duration_ms { (duration(millis)) } }
            } } }
        } }
    }
}

fn score(run: &Run) -> String {
    run.score.map_or_else(|| "–".to_owned(), |score| format!("{score:.0}"))
}

fn run_section(report: &Report, run: &Run, index: usize) -> Markup {
    let turns = run.transcript.as_deref().unwrap_or_default();
    let is_open = run.status != RunStatus::Passed;
    html! {
        details.run id={ "r" (index) } open[is_open] {
            summary {
                (status_chip(run.status)) " "
                strong dir="auto" { (printable(&report.run_name(run))) }
                @if run.score.is_some() { span.hint { " · score " (score(run)) } }
            }
            div {
                @if let Some(reason) = reason(run) { p dir="auto" { strong { (printable(&reason)) } } }
                @if let Some(url) = report.run_url(run.id) {
                    p { a href=(url) { "open in Rehearsal" } }
                }
                @if let Some(evaluation) = deciding_evaluation(run) {
                    (evaluation_section(evaluation, turns, index))
                }
                @if !turns.is_empty() { h3 { "Transcript" } }
                @for turn in turns { (turn_section(turn, index)) }
            }
        }
    }
}

fn evaluation_section(evaluation: &Evaluation, turns: &[Turn], index: usize) -> Markup {
    html! {
        @if !evaluation.items.is_empty() { h3 { "Judge results" } }
        ul.items { @for item in &evaluation.items { (item_entry(item, turns, index)) } }
        @if !evaluation.checks.is_empty() { h3 { "Rule checks" } }
        ul.items { @for check in &evaluation.checks {
            @let (tone, icon, word) = check_result(check);
            li {
                span class={ "chip " (tone) } { (icon) " " (word) } " "
                span dir="auto" { (printable(&check.rule)) }
                p.hint dir="auto" { (printable(&check.detail)) }
            }
        } }
    }
}

fn item_entry(item: &Item, turns: &[Turn], index: usize) -> Markup {
    let (tone, icon, word) = item_result(item);
    html! {
        li {
            span class={ "chip " (tone) } { (icon) " " (word) } " "
            span.hint { (item.kind.label()) ": " }
            span dir="auto" { (printable(&item.text)) }
            @if item.required && item.kind != ItemKind::FailureCondition {
                " " span.tag { "required" }
            }
            @if item.basis == Some(Basis::Absence) && item.met.is_some() {
                " " span.tag { (Basis::Absence.label()) }
            }
            p dir="auto" { (printable(&item.reason)) }
            @for evidence in &item.evidence {
                @let is_shown = turns.iter().any(|turn| turn.index == evidence.turn);
                blockquote {
                    p dir="auto" { "“" (printable(&evidence.quote)) "”" }
                    @if is_shown {
                        a href={ "#r" (index) "t" (evidence.turn) } { "turn " (evidence.turn) }
                    } @else { "turn " (evidence.turn) }
                    @if evidence.verified { " " span.tag { "✓ verified" } }
                    @else { " " span.tag { "⚠ not found in what the agent said" } }
                }
            }
        }
    }
}

fn turn_section(turn: &Turn, index: usize) -> Markup {
    html! {
        div class={ "turn " (turn.speaker.as_str()) } id={ "r" (index) "t" (turn.index) } {
            p.hint {
                (turn.index) " · " (turn.speaker.label())
                @if let Some(tool) = &turn.tool {
                    " · " bdi { (printable(&tool.name)) }
                    @if tool.is_error { " · error" }
                }
                @if let Some(millis) = turn.latency_ms { " · " (duration(u64::from(millis))) }
            }
            @if !turn.message.is_empty() {
                div.text dir="auto" { (printable(&turn.message)) }
            }
            @for call in &turn.tool_calls {
                div.tool dir="auto" {
                    "calls " (printable(&call.name)) " " (printable(&call.arguments.to_string()))
                }
            }
        }
    }
}
