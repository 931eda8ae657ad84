//! Timestamps: UTC from the server, local time after hydration.

use super::browser;
use crate::domain::Timestamp;
use leptos::prelude::*;

/// `2026-11-23 06:38 UTC`.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    let text = at.rfc3339();
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default())
}

/// `06:38:12 UTC`.
fn utc_clock(at: Timestamp) -> String {
    format!("{} UTC", at.rfc3339().get(11..19).unwrap_or_default())
}

/// Date and time.
pub fn time(at: Timestamp) -> AnyView {
    time_element(at, utc(at), |local| local.get(..16).map(str::to_owned))
}

/// Time of day with seconds.
pub fn clock(at: Timestamp) -> AnyView {
    time_element(at, utc_clock(at), |local| local.get(11..).map(str::to_owned))
}

pub fn maybe_time(at: Option<Timestamp>) -> AnyView {
    at.map_or_else(|| "–".into_any(), time)
}

fn time_element(at: Timestamp, utc: String, shorten: fn(&str) -> Option<String>) -> AnyView {
    let exact = at.rfc3339();
    let text = RwSignal::new(utc);
    Effect::new(move || {
        if let Some(local) = browser::local_time(at.0).as_deref().and_then(shorten) {
            text.set(local);
        }
    });
    view! { <time datetime=exact.clone() title=exact>{text}</time> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, utc, utc_clock};

    #[test]
    fn utc_times_are_formatted() {
        assert_eq!(utc(Timestamp(1_700_000_000_123)), "2023-11-14 22:13 UTC");
        assert_eq!(utc_clock(Timestamp(1_700_000_000_123)), "22:13:20 UTC");
    }
}
