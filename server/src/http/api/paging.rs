//! Parameters of lists.

use crate::http::extract::Params;
use domain::services::{AppResult, Cursor, HistoryFilter};
use domain::{ErrorKind, Reader, RunStatus, SuiteStatus, Timestamp, is_blank, limits};
use std::str::FromStr;

/// The words of a page, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read by `cursor`
pub(super) struct PageParams {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, default 50.
    limit: Option<u32>,
}

/// The words of history filters, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read by `history`
pub(super) struct HistoryParams {
    /// Of this agent.
    agent: Option<uuid::Uuid>,
    /// Of this scenario; of suites those with such a run.
    scenario: Option<uuid::Uuid>,
    /// With this status.
    status: Option<String>,
    /// With this kind of error; of suites those with such a run.
    error_kind: Option<String>,
    /// Not before this time, RFC 3339.
    since: Option<String>,
    /// Before this time, RFC 3339.
    until: Option<String>,
}

/// Longest cursor, in bytes: a name of the longest kind (four bytes a
/// character) with what else puts an entry in its place, in base64.
const LONGEST_CURSOR: usize = 8 * limits::NAME;

/// Reads `cursor` and `limit`.
pub(super) fn cursor(reader: &mut Reader<'_>) -> Cursor {
    let after = reader.text("cursor", LONGEST_CURSOR);
    Cursor {
        after: (!is_blank(&after)).then_some(after),
        limit: reader.optional_integer("limit", 1, 200),
    }
}

/// Reads the parameters of a list that has no filter.
///
/// # Errors
/// 422 with every parameter that is wrong.
pub(super) fn page(params: &Params) -> AppResult<Cursor> {
    params.read(cursor)
}

/// Which of the two histories is read: they have other statuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// Of suites.
    Suites,
    /// Of runs.
    Runs,
}

/// Reads the filter and the page of a history.
///
/// # Errors
/// 422 with every parameter that is wrong.
pub(super) fn history(params: &Params, which: History) -> AppResult<(HistoryFilter, Cursor)> {
    params.read(|reader| {
        let statuses = match which {
            History::Runs => words(RunStatus::ALL),
            History::Suites => words(SuiteStatus::ALL),
        };
        let filter = HistoryFilter {
            agent: id(reader, "agent"),
            scenario: id(reader, "scenario"),
            status: word(reader, "status", &statuses),
            error_kind: word(reader, "error_kind", &words(ErrorKind::ALL)),
            since: time(reader, "since"),
            until: time(reader, "until"),
        };
        (filter, cursor(reader))
    })
}

fn words<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}

fn filled(reader: &mut Reader<'_>, field: &'static str) -> Option<String> {
    let text = reader.text(field, limits::NAME);
    (!is_blank(&text)).then_some(text)
}

fn id<T: FromStr>(reader: &mut Reader<'_>, field: &'static str) -> Option<T> {
    let text = filled(reader, field)?;
    let id = text.parse().ok();
    if id.is_none() {
        reader.problem(field, "is not an id");
    }
    id
}

fn word(reader: &mut Reader<'_>, field: &'static str, known: &[&str]) -> Option<String> {
    let text = filled(reader, field)?;
    if !known.contains(&text.as_str()) {
        reader.problem(field, format!("must be one of {}", known.join(", ")));
    }
    Some(text)
}

fn time(reader: &mut Reader<'_>, field: &'static str) -> Option<String> {
    let text = filled(reader, field)?;
    let at = Timestamp::parse(&text);
    if at.is_none() {
        reader.problem(field, "must be a time like 2026-11-23T06:38:38Z");
    }
    at.map(Timestamp::rfc3339)
}
