//! Points in time: milliseconds in the database, RFC 3339 on the wire.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
///
/// Formats and parses by hand because the formatting support of `time` would enlarge
/// the WebAssembly download.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
pub struct Timestamp(pub i64);

impl Timestamp {
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-11-23T06:38:38.123Z`
    #[must_use]
    pub fn rfc3339(self) -> String {
        let nanos = i128::from(self.0) * 1_000_000;
        let Ok(at) = time::OffsetDateTime::from_unix_timestamp_nanos(nanos) else {
            return "1970-01-01T00:00:00.000Z".to_owned();
        };
        let (y, mo, d) = (at.year(), u8::from(at.month()), at.day());
        let (h, mi, s, ms) = (at.hour(), at.minute(), at.second(), at.millisecond());
        format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}Z")
    }

    /// `2026-11-23 06:38:38 UTC`
    #[must_use]
    pub fn format_utc(self) -> String {
        let text = self.rfc3339();
        let (date, clock) = text.split_once('T').unwrap_or_default();
        format!("{date} {} UTC", clock.get(..8).unwrap_or_default())
    }

    /// Parses RFC 3339 with any fraction and offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.trim().split_once(['T', 't', ' '])?;
        let mut date = date.splitn(3, '-').map(str::parse::<i32>);
        let (y, mo, d) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
        let zone_at = clock.find(['Z', 'z', '+', '-'])?;
        let (clock, zone) = clock.split_at(zone_at);
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let mut parts = clock.splitn(3, ':').map(str::parse::<u8>);
        let (h, mi, s) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let millis: u16 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let offset = if zone.eq_ignore_ascii_case("z") {
            0
        } else {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -seconds } else { seconds }
        };
        let month = time::Month::try_from(u8::try_from(mo).ok()?).ok()?;
        let day = time::Date::from_calendar_date(y, month, u8::try_from(d).ok()?).ok()?;
        let clock = time::Time::from_hms_milli(h, mi, s.min(59), millis).ok()?;
        let at = time::PrimitiveDateTime::new(day, clock).assume_utc();
        let millis = at.unix_timestamp_nanos() / 1_000_000;
        Some(Self(i64::try_from(millis).ok()? - offset * 1000))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn rfc3339_round_trips() {
        for millis in [0, 1, 1_700_000_000_123, 4_102_444_800_000] {
            assert_eq!(Timestamp::parse(&Timestamp(millis).rfc3339()), Some(Timestamp(millis)));
        }
    }

    #[test]
    fn format_utc_omits_milliseconds() {
        assert_eq!(Timestamp(1_700_000_000_123).format_utc(), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn parse_accepts_offsets_and_fractions() {
        assert_eq!(Timestamp::parse("1970-01-01T01:00:00+01:00"), Some(Timestamp(0)));
        assert_eq!(Timestamp::parse("1970-01-01T00:00:00.5Z"), Some(Timestamp(500)));
        for bad in ["", "yesterday", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00"] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
