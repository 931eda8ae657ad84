//! Shares of runs: `90%` or `0.9`.

use std::fmt;
use std::str::FromStr;

/// A share from 0 to 1, exact to a thousandth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// The parts of the whole.
const WHOLE: u32 = 100_000;

impl Share {
    /// Whether `part` of `whole` are at least this share. Nothing is any share of nothing.
    #[must_use]
    pub fn is_reached(self, part: u32, whole: u32) -> bool {
        u64::from(part) * u64::from(WHOLE) >= u64::from(self.0) * u64::from(whole)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not a share like 90% or 0.9");
        let (number, whole) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text.trim(), 1.0),
        };
        let number: f64 = number.parse().map_err(|_| invalid())?;
        if !(0.0..=whole).contains(&number) {
            return Err(format!("{text:?} is not between 0 and 1 or 0% and 100%"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to WHOLE
        let parts = (number / whole * f64::from(WHOLE)).round() as u32;
        Ok(Self(parts))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) * 100.0 / f64::from(WHOLE))
    }
}

#[cfg(test)]
mod tests {
    use super::Share;
    use rstest::rstest;

    #[rstest]
    #[case("90%", "90 %")]
    #[case("0.9", "90 %")]
    #[case(" 99.5 % ", "99.5 %")]
    #[case("1", "100 %")]
    #[case("0", "0 %")]
    #[case("100%", "100 %")]
    fn shares_are_parsed(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<Share>().map(|share| share.to_string()), Ok(expected.to_owned()));
    }

    #[rstest]
    #[case("")]
    #[case("90")]
    #[case("-1%")]
    #[case("101%")]
    #[case("NaN")]
    #[case("inf")]
    #[case("most")]
    fn others_are_rejected(#[case] text: &str) {
        assert!(text.parse::<Share>().is_err());
    }

    #[rstest]
    #[case("90%", 9, 10, true)]
    #[case("90%", 8, 9, false)]
    #[case("100%", 499, 500, false)]
    #[case("66.667%", 2, 3, false)]
    #[case("66.666%", 2, 3, true)]
    #[case("0%", 0, 10, true)]
    #[case("100%", 0, 0, true)]
    fn reached_without_rounding(
        #[case] share: &str,
        #[case] part: u32,
        #[case] whole: u32,
        #[case] reached: bool,
    ) {
        assert_eq!(share.parse::<Share>().map(|share| share.is_reached(part, whole)), Ok(reached));
    }
}
