//! The variables of a run: date and time, and those of its test profile.

use super::secret_values::SecretValues;
use domain::variables::{NOW, TODAY, Variables};
use domain::{ProfileSpec, Timestamp, secret_placeholder};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The time zones that are part of the program, so that every server knows the same ones.
static TIME_ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The variables of one run.
#[derive(Clone, Debug, Default)]
pub struct RunVariables {
    /// With a placeholder for each secret value. What is stored, shown and judged is filled
    /// in with these.
    pub shown: Variables,
    /// With the secret values, for requests to the agent and for mocks.
    pub sent: Variables,
    pub secrets: SecretValues,
}

impl RunVariables {
    /// The variables of a run of a suite that was started at `at`. `secrets` are the values
    /// of the secret variables that have one.
    #[must_use]
    pub fn new(
        at: Timestamp,
        profile: Option<&ProfileSpec>,
        secrets: &BTreeMap<String, String>,
    ) -> Self {
        let mut shown = Variables::new(profile.map(|profile| profile.name.clone()));
        let zone = profile.and_then(|profile| profile.time_zone.as_deref());
        let (today, now) = date_and_time(at, zone);
        shown.set(TODAY, today);
        shown.set(NOW, now);
        let mut sent = shown.clone();
        let mut placeholders = Vec::new();
        for variable in profile.iter().flat_map(|profile| &profile.variables) {
            let name = &variable.name;
            if !variable.secret {
                let value = variable.value.clone().unwrap_or_default();
                shown.set(name, value.clone());
                sent.set(name, value);
            } else if let Some(value) = secrets.get(name) {
                let placeholder = secret_placeholder(name);
                shown.set(name, placeholder.clone());
                sent.set(name, value.clone());
                placeholders.push((placeholder, value.clone()));
            } else {
                shown.set_missing(name);
                sent.set_missing(name);
            }
        }
        Self { shown, sent, secrets: SecretValues::new(placeholders) }
    }
}

/// The date as `2026-11-27` and the time as `2026-11-27T21:30:05+01:00`, in a time zone of
/// the IANA database. An unknown time zone counts as UTC.
fn date_and_time(at: Timestamp, zone: Option<&str>) -> (String, String) {
    let zone = zone.and_then(time_zone).unwrap_or(TimeZone::UTC);
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(zone);
    let date = at.date().to_string();
    (date, at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

fn time_zone(name: &str) -> Option<TimeZone> {
    TIME_ZONES.get(name).ok()
}

/// Whether this is the name of a time zone of the IANA database.
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    time_zone(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Draft;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::utc(None, "2026-11-27", "2026-11-27T23:30:05+00:00")]
    #[case::next_day(Some("Europe/Berlin"), "2026-11-28", "2026-11-28T00:30:05+01:00")]
    #[case::half_hour(Some("Asia/Kolkata"), "2026-11-28", "2026-11-28T05:00:05+05:30")]
    #[case::west(Some("America/New_York"), "2026-11-27", "2026-11-27T18:30:05-05:00")]
    #[case::unknown(Some("Mars/Phobos"), "2026-11-27", "2026-11-27T23:30:05+00:00")]
    fn date_and_time_are_in_the_time_zone(
        #[case] zone: Option<&str>,
        #[case] today: &str,
        #[case] now: &str,
    ) {
        let at = Timestamp::parse("2026-11-27T23:30:05.999Z").expect("a time");
        assert_eq!(date_and_time(at, zone), (today.to_owned(), now.to_owned()));
    }

    #[test]
    fn time_zones_are_those_of_the_iana_database() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"] {
            assert!(is_time_zone(name), "{name}");
        }
        for name in ["", "Berlin", "Europe/Bremen", "+02:00", "../etc/passwd"] {
            assert!(!is_time_zone(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_shown_as_placeholders() {
        let profile = json!({"name": "P", "variables": [{"name": "city", "value": "Bonn"},
            {"name": "pin", "secret": true}, {"name": "unset", "secret": true}]});
        let profile = ProfileSpec::parse(&Draft(profile)).expect("valid");
        let secrets = BTreeMap::from([("pin".to_owned(), "4711-x".to_owned())]);
        let variables = RunVariables::new(Timestamp(0), Some(&profile), &secrets);
        let text = "{{city}} {{pin}} {{today}}";
        let shown = variables.shown.fill(text, 100).expect("known");
        let sent = variables.sent.fill(text, 100).expect("known");
        assert_eq!(shown, "Bonn [secret pin] 1970-01-01");
        assert_eq!(sent, "Bonn 4711-x 1970-01-01");
        assert_eq!(variables.secrets.reveal(&shown), sent);
        let missing = variables.shown.fill("{{unset}}", 100).expect_err("no value");
        assert!(missing[0].contains("the secret {{unset}}, which has no value"), "{missing:?}");
        assert!(!format!("{variables:?}").contains("4711"), "not in a log");
    }
}
