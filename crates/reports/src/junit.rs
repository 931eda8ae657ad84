//! JUnit XML: a suite is a `testsuite`, and each run a `testcase`.
//!
//! The file follows the schema of Jenkins' xUnit plugin (junit-10.xsd), apart from the
//! properties of test cases, which that schema does not have. pytest writes them too, and
//! Jenkins' JUnit plugin shows them.
//!
//! GitLab compares test cases of two pipelines by class name and name, so both are the
//! same in every suite of an agent.

use crate::Report;
use crate::run_details::{deciding_evaluation, reason, unmet};
use crate::text::{printable, shorten};
use crate::writer::WriteReport;
use domain::{Run, RunStatus};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::fmt::Write as _;
use std::io;

pub(crate) struct JunitReport;

/// The most characters of an attribute.
const MAX_MESSAGE: usize = 500;
/// The most characters of a name. GitLab rejects files in which they are much longer.
const MAX_NAME: usize = 255;
/// The most characters of an explanation and of a transcript. GitLab reads at most 30 MB per
/// job, and a suite may have hundreds of runs.
const MAX_TEXT: usize = 8000;

type Xml<'a> = Writer<&'a mut Vec<u8>>;

fn attribute(element: &mut BytesStart<'_>, name: &str, text: &str, max: usize) {
    let text = printable(text);
    element.push_attribute((name, &*shorten(&text, max)));
}

fn seconds(millis: Option<u64>) -> String {
    let millis = millis.unwrap_or(0);
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn line_break(xml: &mut Xml<'_>) -> io::Result<()> {
    xml.write_event(Event::Text(BytesText::from_escaped("\n")))
}

fn text_element(xml: &mut Xml<'_>, start: BytesStart<'_>, text: &str) -> io::Result<()> {
    let end = start.to_end().into_owned();
    xml.write_event(Event::Start(start))?;
    xml.write_event(Event::Text(BytesText::new(&printable(text))))?;
    xml.write_event(Event::End(end))?;
    line_break(xml)
}

fn properties(xml: &mut Xml<'_>, all: &[(&str, String)]) -> io::Result<()> {
    xml.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in all {
        let mut property = BytesStart::new("property");
        attribute(&mut property, "name", name, MAX_NAME);
        attribute(&mut property, "value", value, MAX_MESSAGE);
        xml.write_event(Event::Empty(property))?;
    }
    xml.write_event(Event::End(BytesEnd::new("properties")))?;
    line_break(xml)
}

impl WriteReport for JunitReport {
    fn begin(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        let mut xml = Writer::new(out);
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        line_break(&mut xml)?;
        let suite = &report.suite;
        let counts = &suite.counts;
        let skipped = counts.total() - counts.judged() - counts.error;
        let elapsed = suite.started_at.map(|started| {
            let end = suite.finished_at.unwrap_or(report.created_at);
            u64::try_from(end.since(started).as_millis()).unwrap_or(u64::MAX)
        });
        for name in ["testsuites", "testsuite"] {
            let mut element = BytesStart::new(name);
            let title = if name == "testsuites" { "Rehearsal" } else { &suite.agent.name };
            attribute(&mut element, "name", title, MAX_NAME);
            for (name, count) in
                [("tests", counts.total()), ("failures", counts.failed), ("errors", counts.error)]
            {
                element.push_attribute((name, count.to_string().as_str()));
            }
            element.push_attribute(("time", seconds(elapsed).as_str()));
            if name == "testsuite" {
                element.push_attribute(("skipped", skipped.to_string().as_str()));
                // The schema of JUnit allows neither a fraction nor a zone.
                let timestamp = suite.created_at.rfc3339();
                element.push_attribute(("timestamp", timestamp.get(..19).unwrap_or(&timestamp)));
            }
            xml.write_event(Event::Start(element))?;
            line_break(&mut xml)?;
        }
        let mut all = vec![
            ("suite_id", suite.id.to_string()),
            ("agent_id", suite.agent.id.to_string()),
            ("agent_revision", suite.agent.revision.to_string()),
            ("status", suite.status.to_string()),
        ];
        all.extend(report.progress().map(|text| ("incomplete", text)));
        all.extend(report.suite_url().map(|url| ("url", url)));
        properties(&mut xml, &all)
    }

    fn run(&mut self, report: &Report, run: &Run, out: &mut Vec<u8>) -> io::Result<()> {
        let mut xml = Writer::new(out);
        let mut case = BytesStart::new("testcase");
        attribute(&mut case, "classname", &run.agent.name, MAX_NAME);
        attribute(&mut case, "name", &run_name(report, run), MAX_NAME);
        case.push_attribute(("time", seconds(run.duration_ms).as_str()));
        xml.write_event(Event::Start(case))?;
        line_break(&mut xml)?;
        let mut all = vec![
            ("run_id", run.id.to_string()),
            ("scenario_id", run.scenario.id.to_string()),
            ("scenario_revision", run.scenario.revision.to_string()),
            ("repetition", run.repetition.to_string()),
            ("status", run.status.to_string()),
        ];
        all.extend(run.score.map(|score| ("score", score.to_string())));
        all.extend(run.end_reason.map(|reason| ("end_reason", reason.to_string())));
        all.extend(report.run_url(run.id).map(|url| ("url", url)));
        properties(&mut xml, &all)?;
        if let Some(reason) = reason(run) {
            write_result(&mut xml, report, run, &reason)?;
        }
        if matches!(run.status, RunStatus::Failed | RunStatus::Error | RunStatus::Inconclusive) {
            let transcript = transcript(run);
            let transcript = shorten(&transcript, MAX_TEXT);
            text_element(&mut xml, BytesStart::new("system-out"), &transcript)?;
        }
        xml.write_event(Event::End(BytesEnd::new("testcase")))?;
        line_break(&mut xml)
    }

    fn end(&mut self, _: &Report, out: &mut Vec<u8>) -> io::Result<()> {
        let mut xml = Writer::new(out);
        xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
        line_break(&mut xml)?;
        xml.write_event(Event::End(BytesEnd::new("testsuites")))?;
        line_break(&mut xml)
    }
}

/// The name of a run. What distinguishes runs is at its end, so the name is cut before that.
fn run_name(report: &Report, run: &Run) -> String {
    let name = report.run_name(run);
    let suffix = name.strip_prefix(run.scenario.name.as_str()).unwrap_or_default();
    let room = MAX_NAME.saturating_sub(suffix.chars().count() + 1);
    format!("{}{suffix}", shorten(&run.scenario.name, room))
}

/// The result of a run that did not pass. Only `failure` is a verdict about the agent.
fn write_result(xml: &mut Xml<'_>, report: &Report, run: &Run, reason: &str) -> io::Result<()> {
    let name = match run.status {
        RunStatus::Failed => "failure",
        RunStatus::Error => "error",
        _ => "skipped",
    };
    let mut element = BytesStart::new(name);
    let message = match run.status {
        RunStatus::Failed | RunStatus::Error => reason.to_owned(),
        status => format!("{}: {reason}", status.label()),
    };
    attribute(&mut element, "message", &message, MAX_MESSAGE);
    if name == "skipped" {
        xml.write_event(Event::Empty(element))?;
        return line_break(xml);
    }
    let kind = run.error.as_ref().map_or("failed", |error| error.kind.as_str());
    element.push_attribute(("type", kind));
    let mut text = reason.to_owned();
    for part in deciding_evaluation(run).map(unmet).unwrap_or_default() {
        let _ = write!(text, "\n\n{part}");
    }
    let mut text = shorten(&text, MAX_TEXT).into_owned();
    if let Some(url) = report.run_url(run.id) {
        let _ = write!(text, "\n\n{url}");
    }
    text_element(xml, element, &text)
}

/// The transcript as text.
fn transcript(run: &Run) -> String {
    let mut text = String::new();
    for turn in run.transcript.iter().flatten() {
        let _ = write!(text, "[{}] {}:", turn.index, turn.speaker.label());
        if let Some(tool) = &turn.tool {
            let _ = write!(text, " {}", tool.name);
        }
        let _ = writeln!(text, " {}", turn.message);
        for call in &turn.tool_calls {
            let _ = writeln!(text, "    calls {} {}", call.name, call.arguments);
        }
    }
    text
}
