//! JSON: the objects of the API, with statistics.

use crate::Report;
use crate::latency::AgentLatencies;
use crate::writer::WriteReport;
use domain::Run;
use serde::Serialize;
use std::io::{self, Write};

/// The version of the format. It changes when a field is removed or changes its meaning.
const VERSION: u32 = 1;

#[derive(Default)]
pub(crate) struct JsonReport {
    latencies: AgentLatencies,
    has_runs: bool,
}

fn field(out: &mut Vec<u8>, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, "\"{name}\":")?;
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b",\n")
}

impl WriteReport for JsonReport {
    fn begin(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        out.write_all(b"{")?;
        field(out, "report_version", &VERSION)?;
        field(out, "created_at", &report.created_at)?;
        field(out, "is_final", &report.summary.is_final)?;
        field(out, "url", &report.suite_url())?;
        field(out, "suite", &report.suite)?;
        field(out, "statistics", &report.summary)?;
        field(out, "scenarios", &report.summary.scenarios)?;
        out.write_all(b"\"runs\":[")
    }

    fn run(&mut self, _: &Report, run: &Run, out: &mut Vec<u8>) -> io::Result<()> {
        self.latencies.add(run);
        out.write_all(if self.has_runs { b",\n" } else { b"\n" })?;
        self.has_runs = true;
        serde_json::to_writer(out, run).map_err(io::Error::from)
    }

    fn end(&mut self, _: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        out.write_all(b"],\n\"agent_latency_ms\":")?;
        serde_json::to_writer(&mut *out, &self.latencies.percentiles())?;
        out.write_all(b"}\n")
    }
}
