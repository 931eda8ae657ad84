//! Amounts of money. They are integers everywhere except in the JSON of the API, where an
//! amount is a number of US dollars.

use super::DraftReader;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// An amount in billionths of a US dollar, never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct NanoUsd(pub u64);

/// The number of decimals that input may have.
const MAX_DECIMALS: usize = 6;
const PER_USD: u64 = 1_000_000_000;

impl NanoUsd {
    pub const ZERO: Self = Self(0);
    /// The largest amount that SQLite can store: about nine billion US dollars.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// A whole number of US dollars.
    #[must_use]
    pub const fn from_usd(usd: u32) -> Self {
        Self(usd as u64 * PER_USD)
    }

    /// The sum, at most [`NanoUsd::MAX`].
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.0.checked_add(other.0).map_or(Self::MAX, |sum| Self(sum).min(Self::MAX))
    }

    /// The amount in US dollars, for JSON.
    #[must_use]
    pub fn as_usd(self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // Exact up to nine million US dollars.
        let nano = self.0 as f64;
        nano / 1e9
    }

    /// The amount of a number of US dollars in JSON; `None` if it is negative or too large.
    #[must_use]
    pub fn from_number(usd: f64) -> Option<Self> {
        let nano = (usd * 1e9).round();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
        (0.0..9.2e18).contains(&nano).then_some(Self(nano as u64))
    }

    /// The exact amount in US dollars without trailing zeros, for form fields and messages:
    /// `0.075`.
    #[must_use]
    pub fn decimal(self) -> String {
        let (whole, fraction) = (self.0 / PER_USD, self.0 % PER_USD);
        let text = format!("{whole}.{fraction:09}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// Parses a decimal number of US dollars such as `0.075`.
    ///
    /// # Errors
    /// What is wrong, as a continuation of the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if text.starts_with('-') {
            return Err("must not be negative".to_owned());
        }
        if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
            return Err("must be a number of US dollars such as 0.25".to_owned());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > MAX_DECIMALS {
            return Err(format!("must have at most {MAX_DECIMALS} decimals"));
        }
        let whole = if whole.is_empty() { "0" } else { whole };
        let nano = format!("{fraction:0<9}").parse::<u64>().unwrap_or_default();
        let amount = whole.parse::<u64>().ok().and_then(|usd| usd.checked_mul(PER_USD));
        let amount = amount.and_then(|usd| usd.checked_add(nano)).map(Self);
        amount.filter(|amount| *amount <= Self::MAX).ok_or_else(|| "is too large".to_owned())
    }

    /// Reads an amount of at most `max`; `None` if it is absent or blank, or after a problem.
    pub fn read(reader: &mut DraftReader<'_>, field: &'static str, max: Self) -> Option<Self> {
        let text = match reader.value(field)? {
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.clone(),
            // Unlike that of JSON, this format never has an exponent.
            Value::Number(number) if number.is_f64() => number.as_f64()?.to_string(),
            Value::Number(number) => number.to_string(),
            _ => "?".to_owned(),
        };
        match Self::parse(&text) {
            Ok(amount) if amount > max => {
                reader.problem(field, format!("must be at most {} US dollars", max.decimal()));
                None
            }
            Ok(amount) => Some(amount),
            Err(message) => {
                reader.problem(field, message);
                None
            }
        }
    }
}

impl fmt::Display for NanoUsd {
    /// Rounded for people: `$1.25`, `$0.0123`, `less than $0.0001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = |unit: u64| self.0.saturating_add(unit / 2) / unit;
        match self.0 {
            1..100_000 => f.write_str("less than $0.0001"),
            100_000..100_000_000 => write!(f, "$0.{:04}", rounded(100_000)),
            _ => {
                let cents = rounded(10_000_000);
                write!(f, "${}.{:02}", cents / 100, cents % 100)
            }
        }
    }
}

/// Serializes an amount as a number of US dollars.
pub mod usd {
    use super::NanoUsd;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(amount: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(amount.as_usd())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NanoUsd, D::Error> {
        NanoUsd::from_number(f64::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("no amount"))
    }
}

/// Serializes an optional amount as a number of US dollars or null.
pub mod usd_option {
    use super::NanoUsd;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::ref_option)] // The signature that serde calls.
    pub fn serialize<S: Serializer>(
        amount: &Option<NanoUsd>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        amount.map(NanoUsd::as_usd).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<NanoUsd>, D::Error> {
        Ok(Option::<f64>::deserialize(deserializer)?.and_then(NanoUsd::from_number))
    }
}

#[cfg(test)]
mod tests {
    use super::NanoUsd;
    use crate::Draft;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<Option<NanoUsd>, String> {
        let parsed = Draft(json!({ "budget_usd": value })).parse(|mut reader| {
            Some(NanoUsd::read(&mut reader, "budget_usd", NanoUsd::from_usd(1000)))
        });
        parsed.map_err(|problems| format!("{}: {}", problems[0].path, problems[0].message))
    }

    #[rstest]
    #[case(json!(1), 1_000_000_000)]
    #[case(json!(0), 0)]
    #[case(json!(0.1), 100_000_000)]
    #[case(json!(1e-6), 1_000)]
    #[case(json!("0.075"), 75_000_000)]
    #[case(json!(" 2.50 "), 2_500_000_000)]
    #[case(json!("2.500000000"), 2_500_000_000)]
    #[case(json!(".5"), 500_000_000)]
    #[case(json!("1000"), 1_000_000_000_000)]
    fn amounts_are_read_exactly(#[case] value: Value, #[case] nano: u64) {
        assert_eq!(read(value), Ok(Some(NanoUsd(nano))));
    }

    #[rstest]
    #[case(json!(-1), "must not be negative")]
    #[case(json!("-0.5"), "must not be negative")]
    #[case(json!("NaN"), "must be a number of US dollars")]
    #[case(json!("1,5"), "must be a number of US dollars")]
    #[case(json!("1e3"), "must be a number of US dollars")]
    #[case(json!("$5"), "must be a number of US dollars")]
    #[case(json!("."), "must be a number of US dollars")]
    #[case(json!(true), "must be a number of US dollars")]
    #[case(json!([1]), "must be a number of US dollars")]
    #[case(json!(0.000_000_1), "must have at most 6 decimals")]
    #[case(json!("0.1234567"), "must have at most 6 decimals")]
    #[case(json!(1e300), "is too large")]
    #[case(json!("99999999999999999999"), "is too large")]
    #[case(json!(1000.01), "must be at most 1000 US dollars")]
    fn bad_amounts_are_problems(#[case] value: Value, #[case] message: &str) {
        let problem = read(value).expect_err("a problem");
        assert!(problem.starts_with(&format!("budget_usd: {message}")), "{problem}");
    }

    #[test]
    fn blank_amount_is_absent() {
        assert_eq!(read(json!(null)), Ok(None));
        assert_eq!(read(json!("  ")), Ok(None));
    }

    #[test]
    fn amounts_are_shown_rounded_and_exactly() {
        let cases = [
            (0, "$0.00", "0"),
            (99_999, "less than $0.0001", "0.000099999"),
            (12_340_000, "$0.0123", "0.01234"),
            (1_255_000_000, "$1.26", "1.255"),
            (2_500_000_000_000, "$2500.00", "2500"),
        ];
        for (nano, shown, exact) in cases {
            assert_eq!(
                (NanoUsd(nano).to_string(), NanoUsd(nano).decimal()),
                (shown.into(), exact.into())
            );
        }
    }

    #[test]
    fn sums_never_overflow() {
        assert_eq!(NanoUsd::MAX.plus(NanoUsd(1)), NanoUsd::MAX);
        assert_eq!(NanoUsd(u64::MAX).plus(NanoUsd(1)), NanoUsd::MAX);
        assert_eq!(NanoUsd(1).plus(NanoUsd(2)), NanoUsd(3));
    }
}
