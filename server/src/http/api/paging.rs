//! Query parameters of lists.

use crate::http::extract::Params;
use domain::services::{AppResult, Cursor, HistoryFilter};
use domain::{DraftReader, ErrorKind, RunStatus, SuiteStatus, Timestamp, is_blank, limits};
use std::str::FromStr;

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read by `cursor`
pub(super) struct PageParams {
    /// `next` of the previous page.
    cursor: Option<String>,
    /// 1–200, default 50.
    limit: Option<u32>,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read by `history`
pub(super) struct HistoryParams {
    /// Agent ID.
    agent: Option<uuid::Uuid>,
    /// Scenario ID. Matches suites with such a run.
    scenario: Option<uuid::Uuid>,
    /// Status of the run or suite.
    status: Option<String>,
    /// Kind of error. Matches suites with such a run.
    error_kind: Option<String>,
    /// Start of the time range (RFC 3339, inclusive).
    since: Option<String>,
    /// End of the time range (RFC 3339, exclusive).
    until: Option<String>,
}

/// Maximum length of a cursor in bytes. It fits the longest name (four bytes per
/// character) and the other sort keys in base64.
const MAX_CURSOR: usize = 8 * limits::NAME;

/// Reads `cursor` and `limit`.
pub(super) fn cursor(reader: &mut DraftReader<'_>) -> Cursor {
    let after = reader.text("cursor", MAX_CURSOR);
    Cursor {
        after: (!is_blank(&after)).then_some(after),
        limit: reader.optional_integer("limit", 1, 200),
    }
}

/// Reads the parameters of a list without filter.
///
/// # Errors
/// 422 with every invalid parameter.
pub(super) fn page(params: &Params) -> AppResult<Cursor> {
    params.read(cursor)
}

/// Selects the valid statuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    Suites,
    Runs,
}

/// Reads the filter and the cursor of a history.
///
/// # Errors
/// 422 with every invalid parameter.
pub(super) fn history(params: &Params, which: History) -> AppResult<(HistoryFilter, Cursor)> {
    params.read(|reader| {
        let statuses = match which {
            History::Runs => names(RunStatus::ALL),
            History::Suites => names(SuiteStatus::ALL),
        };
        let filter = HistoryFilter {
            agent: id(reader, "agent"),
            scenario: id(reader, "scenario"),
            status: name(reader, "status", &statuses),
            error_kind: name(reader, "error_kind", &names(ErrorKind::ALL)),
            since: time(reader, "since"),
            until: time(reader, "until"),
        };
        (filter, cursor(reader))
    })
}

fn names<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(name, _)| *name).collect()
}

fn optional_text(reader: &mut DraftReader<'_>, field: &'static str) -> Option<String> {
    let text = reader.text(field, limits::NAME);
    (!is_blank(&text)).then_some(text)
}

fn id<T: FromStr>(reader: &mut DraftReader<'_>, field: &'static str) -> Option<T> {
    let text = optional_text(reader, field)?;
    let id = text.parse().ok();
    if id.is_none() {
        reader.problem(field, "is not an ID");
    }
    id
}

fn name(reader: &mut DraftReader<'_>, field: &'static str, valid: &[&str]) -> Option<String> {
    let text = optional_text(reader, field)?;
    if !valid.contains(&text.as_str()) {
        reader.problem(field, format!("must be one of {}", valid.join(", ")));
    }
    Some(text)
}

fn time(reader: &mut DraftReader<'_>, field: &'static str) -> Option<String> {
    let text = optional_text(reader, field)?;
    let at = Timestamp::parse(&text);
    if at.is_none() {
        reader.problem(field, "must be a time like 2026-11-23T06:38:38Z");
    }
    at.map(Timestamp::rfc3339)
}
