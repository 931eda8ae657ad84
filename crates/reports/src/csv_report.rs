//! CSV as in RFC 4180: one line per run.

use crate::Report;
use crate::latency::AgentLatencies;
use crate::run_details::reason;
use crate::text::{printable, shorten};
use crate::writer::WriteReport;
use csv::{Terminator, Writer, WriterBuilder};
use domain::{RoleUsage, Run};
use std::io;

pub(crate) struct CsvReport;

/// Spreadsheets hold at most 32,767 characters in a cell.
const MAX_CELL: usize = 2000;

const COLUMNS: &[&str] = &[
    "suite_id",
    "suite_status",
    "agent",
    "agent_revision",
    "scenario",
    "scenario_id",
    "scenario_revision",
    "repetition",
    "run_id",
    "status",
    "score",
    "reason",
    "error_kind",
    "end_reason",
    "started_at",
    "finished_at",
    "duration_ms",
    "user_turns",
    "agent_latency_p50_ms",
    "agent_latency_p95_ms",
    "agent_input_tokens",
    "agent_output_tokens",
    "simulated_user_input_tokens",
    "simulated_user_output_tokens",
    "judge_input_tokens",
    "judge_output_tokens",
    "url",
];

fn writer(out: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out)
}

/// A text that a spreadsheet does not take for a formula: what begins like one gets an
/// apostrophe in front (OWASP, "CSV Injection").
fn cell(text: &str) -> String {
    let text = printable(text);
    let text = shorten(&text, MAX_CELL);
    let is_formula = |c: char| "=+-@\t\r\n|%＝＋－＠".contains(c);
    if text.starts_with(is_formula) || text.trim_start().starts_with(is_formula) {
        format!("'{text}")
    } else {
        text.into_owned()
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn tokens(role: &RoleUsage) -> [String; 2] {
    [role.input_tokens.to_string(), role.output_tokens.to_string()]
}

impl WriteReport for CsvReport {
    fn begin(&mut self, _: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        let mut csv = writer(out);
        csv.write_record(COLUMNS)?;
        csv.flush()
    }

    fn run(&mut self, report: &Report, run: &Run, out: &mut Vec<u8>) -> io::Result<()> {
        let mut latencies = AgentLatencies::default();
        latencies.add(run);
        let latencies = latencies.percentiles();
        let mut row = vec![
            report.suite.id.to_string(),
            report.suite.status.to_string(),
            cell(&run.agent.name),
            run.agent.revision.to_string(),
            cell(&run.scenario.name),
            run.scenario.id.to_string(),
            run.scenario.revision.to_string(),
            run.repetition.to_string(),
            run.id.to_string(),
            run.status.to_string(),
            optional(run.score),
            cell(&reason(run).unwrap_or_default()),
            optional(run.error.as_ref().map(|error| error.kind)),
            optional(run.end_reason),
            optional(run.started_at),
            optional(run.finished_at),
            optional(run.duration_ms),
            run.user_turns.to_string(),
            optional(latencies.map(|latencies| latencies.p50)),
            optional(latencies.map(|latencies| latencies.p95)),
        ];
        let roles = [&run.usage.agent, &run.usage.simulated_user, &run.usage.judge];
        row.extend(roles.into_iter().flat_map(tokens));
        row.push(optional(report.run_url(run.id)));
        let mut csv = writer(out);
        csv.write_record(row)?;
        csv.flush()
    }

    fn end(&mut self, _: &Report, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::cell;
    use rstest::rstest;

    #[rstest]
    #[case("=1+1", "'=1+1")]
    #[case("+1", "'+1")]
    #[case("-1", "'-1")]
    #[case("@SUM(A1)", "'@SUM(A1)")]
    #[case("\t=1", "'\t=1")]
    #[case("\r=1", "'\r=1")]
    #[case("  =1", "'  =1")]
    #[case("＝1", "'＝1")]
    #[case("'=1", "'=1")]
    #[case("a=1", "a=1")]
    #[case("", "")]
    fn formulas_are_text(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(cell(text), expected);
    }
}
