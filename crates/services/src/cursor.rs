//! Cursors of paginated lists: opaque for clients, and parsed strictly.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::error::AppError;
use domain::services::{AppResult, Cursor, ListPage};
use std::fmt::Display;
use store::catalog::NameCursor;
use store::suites::TimeCursor;
use uuid::Uuid;

/// The default page size.
const DEFAULT_LIMIT: u32 = 50;
/// The maximum page size.
const MAX_LIMIT: u32 = 200;

pub(crate) fn encode(after: &NameCursor) -> String {
    URL_SAFE_NO_PAD.encode([after.id.as_bytes(), after.key.as_bytes()].concat())
}

pub(crate) fn decode(text: &str) -> Option<NameCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (id, key) = bytes.split_first_chunk::<16>()?;
    Some(NameCursor { key: std::str::from_utf8(key).ok()?.to_owned(), id: Uuid::from_bytes(*id) })
}

/// The start and the length of a page.
///
/// # Errors
/// 422 for an invalid cursor or a limit out of range.
pub(crate) fn read(cursor: &Cursor) -> AppResult<(Option<NameCursor>, u32)> {
    let limit = limit(cursor)?;
    let after = match cursor.after.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(decode(text).ok_or_else(invalid)?),
    };
    Ok((after, limit))
}

fn limit(cursor: &Cursor) -> AppResult<u32> {
    match cursor.limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(AppError::problem("limit", format!("must be from 1 to {MAX_LIMIT}"))),
    }
}

/// 422 for an invalid cursor.
pub(crate) fn invalid() -> AppError {
    AppError::problem("cursor", "is not the cursor of a page; leave it out to begin at the start")
}

/// Parses the cursor of a list that is sorted from newest to oldest.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_time(cursor: &Cursor) -> AppResult<(Option<TimeCursor>, u32)> {
    let limit = limit(cursor)?;
    let Some(text) = cursor.after.as_deref().filter(|text| !text.is_empty()) else {
        return Ok((None, limit));
    };
    let parse = || {
        let (millis, id) = text.split_once('-')?;
        Some(TimeCursor { at: Timestamp(millis.parse().ok()?), id: id.parse().ok()? })
    };
    Ok((Some(parse().ok_or_else(invalid)?), limit))
}

/// The inverse of [`read_time`].
pub(crate) fn encode_time(at: Timestamp, id: impl Display) -> String {
    format!("{}-{id}", at.0)
}

/// A page of `limit` entries. `items` has one entry more if there is a next page.
pub(crate) fn page<T>(
    mut items: Vec<T>,
    limit: u32,
    cursor_of: impl Fn(&T) -> String,
) -> ListPage<T> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(cursor_of);
    ListPage { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_round_trips() {
        for key in ["", "Ähre / 2", "booking/1/Late bus"] {
            let after = NameCursor { key: key.into(), id: Uuid::from_u128(7) };
            assert_eq!(decode(&encode(&after)), Some(after));
        }
    }

    #[test]
    fn invalid_cursor_is_a_problem_with_path() {
        let not_utf8 = URL_SAFE_NO_PAD.encode([0xff; 20]);
        for bad in ["x", "!!!", "AAAA", not_utf8.as_str()] {
            let cursor = Cursor { after: Some(bad.into()), limit: None };
            let error = read(&cursor).unwrap_err();
            assert_eq!((error.code.status(), error.problems[0].path.as_str()), (422, "cursor"));
        }
        for bad in [0, 201] {
            let error = read(&Cursor { after: None, limit: Some(bad) }).unwrap_err();
            assert_eq!((error.code.status(), error.problems[0].path.as_str()), (422, "limit"));
        }
    }
}
