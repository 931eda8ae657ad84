//! Writes a report piece by piece.

use crate::csv_report::CsvReport;
use crate::html::HtmlReport;
use crate::json::JsonReport;
use crate::junit::JunitReport;
use crate::markdown::MarkdownReport;
use crate::{Format, Report};
use domain::Run;
use std::io;

/// One format of a report. The methods append to `out`.
pub(crate) trait WriteReport: Send {
    fn begin(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()>;
    fn run(&mut self, report: &Report, run: &Run, out: &mut Vec<u8>) -> io::Result<()>;
    fn end(&mut self, report: &Report, out: &mut Vec<u8>) -> io::Result<()>;
}

/// Writes a report: [`begin`](Self::begin), [`run`](Self::run) for each of
/// [`Report::runs`], and [`end`](Self::end). Each returns the next bytes of the file.
pub struct ReportWriter {
    report: Report,
    format: Box<dyn WriteReport>,
}

impl ReportWriter {
    #[must_use]
    pub fn new(report: Report, format: Format) -> Self {
        let format: Box<dyn WriteReport> = match format {
            Format::Json => Box::<JsonReport>::default(),
            Format::Junit => Box::new(JunitReport),
            Format::Csv => Box::new(CsvReport),
            Format::Html => Box::<HtmlReport>::default(),
            Format::Markdown => Box::<MarkdownReport>::default(),
        };
        Self { report, format }
    }

    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// # Errors
    /// If the text cannot be written in the format.
    pub fn begin(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.format.begin(&self.report, &mut out)?;
        Ok(out)
    }

    /// Takes the next run of [`Report::runs`], with its transcript and evaluations as they
    /// are now. Its status stays that of the report, so that all parts of a file agree.
    ///
    /// # Errors
    /// If the text cannot be written in the format.
    pub fn run(&mut self, index: usize, current: Run) -> io::Result<Vec<u8>> {
        let Run { transcript, evaluations, .. } = current;
        let Some(known) = self.report.runs.get(index) else {
            return Err(io::Error::other("the report has no such run"));
        };
        let run = Run { transcript, evaluations, ..known.clone() };
        let mut out = Vec::new();
        self.format.run(&self.report, &run, &mut out)?;
        Ok(out)
    }

    /// # Errors
    /// If the text cannot be written in the format.
    pub fn end(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.format.end(&self.report, &mut out)?;
        Ok(out)
    }
}
