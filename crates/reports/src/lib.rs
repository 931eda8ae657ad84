//! Reports of suites as files: JSON, JUnit XML, CSV, HTML and Markdown.
//!
//! A [`Report`] knows a suite and the state of its runs at one moment. A [`ReportWriter`]
//! takes the runs with their transcripts one after another, so that a report of any size
//! needs the memory of one run.

mod csv_report;
mod format;
mod html;
mod json;
mod junit;
mod latency;
mod markdown;
mod report;
mod run_details;
mod style;
mod summary;
mod text;
mod writer;

#[cfg(any(test, feature = "testing"))]
pub mod fixtures;
#[cfg(test)]
mod tests;

pub use format::Format;
pub use report::Report;
pub use run_details::reason;
pub use summary::{Excluded, Outcome, ScenarioSummary, Summary};
pub use text::{interval as interval_text, percent as percent_text, single_line};
pub use writer::ReportWriter;
