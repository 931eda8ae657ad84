//! Values as they are stored, and their conversion with typed errors.

use domain::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{Sqlite, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Type, ValueRef};
use std::fmt::{self, Display};
use store::{StoreError, StoreResult};
use uuid::Uuid;

/// The last millisecond of the year 9999. A longer time or duration is corrupt.
pub(crate) const MAX_MILLIS: i64 = 253_402_300_799_999;

/// A value of a column, or nothing if the stored value has another type or is
/// NULL. Decoding never fails, because one failure would end the whole list.
#[derive(Clone, Debug)]
pub(crate) struct Cell<T>(Option<T>);

impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite>> Decode<'r, Sqlite> for Cell<T> {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let has_type = !value.is_null() && T::compatible(&value.type_info());
        Ok(Self(if has_type { T::decode(value).ok() } else { None }))
    }
}

impl<T: Type<Sqlite>> Type<Sqlite> for Cell<T> {
    fn type_info() -> SqliteTypeInfo {
        T::type_info()
    }

    fn compatible(_: &SqliteTypeInfo) -> bool {
        true
    }
}

impl<T> Cell<T> {
    pub(crate) fn value(self) -> Option<T> {
        self.0
    }
}

impl Cell<Vec<u8>> {
    /// The id, or nil if it is corrupt.
    pub(crate) fn uuid(&self) -> Uuid {
        self.0.as_deref().and_then(|bytes| Uuid::from_slice(bytes).ok()).unwrap_or_default()
    }
}

/// The key of a row in errors.
impl Display for Cell<Vec<u8>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid().fmt(f)
    }
}

/// The key of a row of a list that belongs to another row.
pub(crate) struct ItemKey<'a>(pub(crate) &'a (dyn Display + Sync), pub(crate) Option<i64>);

impl Display for ItemKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(index) => write!(f, "{}/{index}", self.0),
            None => write!(f, "{}/?", self.0),
        }
    }
}

/// A type that is stored as a [`Cell`] of `Raw`.
pub(crate) trait FromCell: Sized {
    type Raw;

    /// The value, or `None` if it does not fit.
    fn from_raw(raw: Self::Raw) -> Option<Self>;
}

macro_rules! from_cell {
    ($($type:ty, $raw:ty, $convert:expr;)*) => {$(
        impl FromCell for $type {
            type Raw = $raw;

            fn from_raw(raw: $raw) -> Option<Self> {
                ($convert)(raw)
            }
        }
    )*};
}

from_cell! {
    bool, i64, |raw| match raw { 0 => Some(false), 1 => Some(true), _ => None };
    u8, i64, |raw: i64| raw.try_into().ok();
    u32, i64, |raw: i64| raw.try_into().ok();
    u64, i64, |raw: i64| raw.try_into().ok();
    i64, i64, Some;
    f64, f64, Some;
    Timestamp, i64, |raw| (0..=MAX_MILLIS).contains(&raw).then_some(Timestamp(raw));
    String, String, Some;
    Vec<u8>, Vec<u8>, Some;
    Uuid, Vec<u8>, |raw: Vec<u8>| Uuid::from_slice(&raw).ok();
}

macro_rules! id_from_cell {
    ($($id:ident)*) => {$(
        impl FromCell for domain::$id {
            type Raw = Vec<u8>;

            fn from_raw(raw: Vec<u8>) -> Option<Self> {
                Uuid::from_slice(&raw).ok().map(Self)
            }
        }
    )*};
}

id_from_cell!(
    AgentId ConnectionId EvaluationId ProfileId RunId ScenarioId SpaceId SuiteId TokenId UserId
);

/// Converts the cells of one row; its errors name the row.
#[derive(Clone, Copy)]
pub(crate) struct RowReader<'a> {
    table: &'static str,
    key: &'a (dyn Display + Sync),
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(table: &'static str, key: &'a (dyn Display + Sync)) -> Self {
        Self { table, key }
    }

    pub(crate) fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.table, row: self.key.to_string(), column }
    }

    /// The value of a column that is never NULL.
    pub(crate) fn get<T: FromCell>(
        &self,
        column: &'static str,
        cell: impl Into<Option<Cell<T::Raw>>>,
    ) -> StoreResult<T> {
        let raw = cell.into().and_then(Cell::value);
        raw.and_then(T::from_raw).ok_or_else(|| self.corrupt(column))
    }

    /// The value of a column that can be NULL.
    pub(crate) fn optional<T: FromCell>(
        &self,
        column: &'static str,
        cell: Option<Cell<T::Raw>>,
    ) -> StoreResult<Option<T>> {
        cell.map(|cell| self.get(column, cell)).transpose()
    }

    /// A duration in milliseconds.
    pub(crate) fn millis(&self, column: &'static str, cell: Cell<i64>) -> StoreResult<u64> {
        let at: Timestamp = self.get(column, cell)?;
        u64::try_from(at.0).map_err(|_| self.corrupt(column))
    }

    /// A word that `parse` knows.
    pub(crate) fn parse<T>(
        &self,
        column: &'static str,
        cell: Cell<String>,
        parse: fn(&str) -> Option<T>,
    ) -> StoreResult<T> {
        cell.value().and_then(|word| parse(&word)).ok_or_else(|| self.corrupt(column))
    }

    pub(crate) fn optional_parse<T>(
        &self,
        column: &'static str,
        cell: Option<Cell<String>>,
        parse: fn(&str) -> Option<T>,
    ) -> StoreResult<Option<T>> {
        cell.map(|cell| self.parse(column, cell, parse)).transpose()
    }

    /// A JSON document.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        column: &'static str,
        cell: impl Into<Option<Cell<String>>>,
    ) -> StoreResult<T> {
        let text = cell.into().and_then(Cell::value);
        text.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| self.corrupt(column))
    }

    pub(crate) fn optional_json<T: DeserializeOwned>(
        &self,
        column: &'static str,
        cell: Option<Cell<String>>,
    ) -> StoreResult<Option<T>> {
        cell.map(|cell| self.json(column, cell)).transpose()
    }
}
