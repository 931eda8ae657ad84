//! Cursors of pages: opaque, and read back strictly.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::error::AppError;
use domain::services::{AppResult, Cursor, Page};
use store::catalog::After;
use uuid::Uuid;

/// Entries of a page when nothing is said.
const USUAL: u32 = 50;
/// Most entries of a page.
const MOST: u32 = 200;

/// A place in a list as text.
pub(crate) fn encode(after: &After) -> String {
    URL_SAFE_NO_PAD.encode([after.id.as_bytes(), after.key.as_bytes()].concat())
}

/// Reads it again.
pub(crate) fn decode(text: &str) -> Option<After> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (id, key) = bytes.split_first_chunk::<16>()?;
    Some(After { key: std::str::from_utf8(key).ok()?.to_owned(), id: Uuid::from_bytes(*id) })
}

/// Where a page begins and how long it is.
///
/// # Errors
/// 422 for a damaged cursor or a limit out of range.
pub(crate) fn read(cursor: &Cursor) -> AppResult<(Option<After>, u32)> {
    let limit = limit(cursor)?;
    let after = match cursor.after.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(decode(text).ok_or_else(damaged)?),
    };
    Ok((after, limit))
}

/// How many entries of a list.
pub(crate) fn limit(cursor: &Cursor) -> AppResult<u32> {
    match cursor.limit.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(AppError::problem("limit", format!("must be from 1 to {MOST}"))),
    }
}

/// 422 for a cursor that no page gave.
pub(crate) fn damaged() -> AppError {
    AppError::problem("cursor", "is not the cursor of a page; leave it out to begin at the start")
}

/// A page of `limit` entries, from one more than that where there are more.
pub(crate) fn page<T>(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> After) -> Page<T> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| encode(&place(last)));
    Page { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_journey() {
        for key in ["", "Ähre / 2", "booking/1/Late bus"] {
            let after = After { key: key.into(), id: Uuid::from_u128(7) };
            assert_eq!(decode(&encode(&after)), Some(after));
        }
    }

    #[test]
    fn what_no_page_gave_is_a_problem_with_its_path() {
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
