//! Text for numbers, the same on server and browser, without locale.

use crate::domain::{
    Counts, ErrorKind, NanoUsd, RoleUsage, Run, Suite, SuiteStatus, judged_pass_rate,
};

/// `1 run`, `3 runs`.
#[must_use]
pub fn plural(count: impl Into<u64>, one: &str) -> String {
    match count.into() {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

/// `67%`, or `–` without a value.
#[must_use]
pub fn percent(rate: Option<f64>) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0–1
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{}%", (rate * 100.0).round() as u32))
}

/// The pass rate with its denominator: `67% (6 of 9)`. If fewer runs were judged than
/// planned, it says so: `67% (6 of 9 judged, 12 planned)`. `–` without judged runs, and for a
/// canceled suite, because the runs that were judged by then are not a sample of all.
#[must_use]
pub fn pass_rate(suite: &Suite) -> String {
    let is_cancelled =
        suite.status == SuiteStatus::Cancelled || suite.cancel_requested_at.is_some();
    let (passed, judged) = (suite.counts.passed, suite.counts.judged());
    if is_cancelled || judged == 0 {
        return percent(None);
    }
    let rate = percent(judged_pass_rate(&suite.counts));
    if judged == suite.total {
        return format!("{rate} ({passed} of {judged})");
    }
    let (passed, judged) = (padded(passed, suite.total), padded(judged, suite.total));
    format!("{rate} ({passed} of {judged} judged, {} planned)", suite.total)
}

/// A number padded with figure spaces to the width of the largest value that it can
/// take, so that the layout does not shift while the number grows.
#[must_use]
pub fn padded(number: u32, largest: u32) -> String {
    let digits = largest.to_string().len();
    let number = number.to_string();
    format!("{}{number}", "\u{2007}".repeat(digits.saturating_sub(number.len())))
}

/// Says that a suite re-runs another one, or which part of it: `re-run of 9 runs`,
/// `re-run of 2 of 9 runs`.
#[must_use]
pub fn rerun(suite: &Suite) -> Option<String> {
    suite.parent_id?;
    Some(match suite.part_of {
        Some(whole) => format!("re-run of {} of {}", suite.total, plural(whole, "run")),
        None => format!("re-run of {}", plural(suite.total, "run")),
    })
}

/// `85`, or `–`.
#[must_use]
pub fn score(score: Option<f64>) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0–100
    score.map_or_else(|| "–".to_owned(), |score| (score.round() as u32).to_string())
}

/// `820 ms`, `12.4 s`, `3 min 05 s`.
#[must_use]
pub fn duration(millis: u64) -> String {
    if millis < 1000 {
        return format!("{millis} ms");
    }
    if millis < 60_000 {
        return format!("{}.{} s", millis / 1000, millis % 1000 / 100);
    }
    seconds(millis / 1000)
}

/// `12 s`, `3 min 05 s`, `1 h 02 min`.
#[must_use]
pub fn seconds(total: u64) -> String {
    match total {
        0..60 => format!("{total} s"),
        60..3600 => format!("{} min {:02} s", total / 60, total % 60),
        _ => format!("{} h {:02} min", total / 3600, total % 3600 / 60),
    }
}

/// Rounded, so that an estimate does not flicker: `about 40 s`.
#[must_use]
pub fn about(total: u32) -> String {
    match total {
        0..=5 => "a few seconds".to_owned(),
        6..60 => format!("about {} s", total.div_ceil(5) * 5),
        60..3600 => format!("about {} min", total.div_ceil(60)),
        _ => format!("about {} h {:02} min", total / 3600, total % 3600 / 60),
    }
}

/// `12,345`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The cost of calls: `$0.0123`, `at least $0.0123` if that of some calls is unknown, or
/// `unknown`.
#[must_use]
pub fn cost(known: Option<NanoUsd>, unpriced_calls: u32) -> String {
    match known {
        None => "unknown".to_owned(),
        Some(amount) if unpriced_calls > 0 => format!("at least {amount}"),
        Some(amount) => amount.to_string(),
    }
}

/// The cost of a role, or `–` without calls.
#[must_use]
pub fn role_cost(role: &RoleUsage) -> String {
    if role.calls == 0 {
        return "–".to_owned();
    }
    cost(role.known_cost(), role.unpriced_calls())
}

/// The scenario of a run, with the number of the repeat if there are `repeats`.
#[must_use]
pub fn run_name(run: &Run, repeats: bool) -> String {
    let name = &run.scenario.name;
    if repeats { format!("{name} #{}", run.repetition) } else { name.clone() }
}

/// `7 of 9 judged, 1 error: rate limited, 1 canceled`. Errors do not count as
/// failures.
#[must_use]
pub fn verdict_counts(counts: &Counts, errors: &[ErrorKind]) -> String {
    let judged = counts.judged();
    let mut parts = vec![format!("{judged} of {} judged", counts.total())];
    if counts.inconclusive > 0 {
        parts.push(format!("{} inconclusive", counts.inconclusive));
    }
    if counts.error > 0 {
        let kinds: Vec<_> = errors.iter().copied().map(ErrorKind::label).collect();
        let colon = if kinds.is_empty() { "" } else { ": " };
        parts.push(format!("{}{colon}{}", plural(counts.error, "error"), kinds.join(", ")));
    }
    for (count, word) in
        [(counts.cancelled, "canceled"), (counts.running, "running"), (counts.pending, "queued")]
    {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.join(", ")
}

/// The 50th and 95th percentile.
#[must_use]
pub fn p50_p95(mut numbers: Vec<u64>) -> Option<(u64, u64)> {
    numbers.sort_unstable();
    let at = |percent: usize| {
        let index = (numbers.len() * percent).div_ceil(100).saturating_sub(1);
        numbers.get(index).copied()
    };
    Some((at(50)?, at(95)?))
}

#[cfg(test)]
mod tests {
    use super::{
        about, duration, grouped, p50_p95, pass_rate, percent, plural, rerun, role_cost,
        verdict_counts,
    };
    use crate::domain::{Counts, NanoUsd, RoleUsage, Suite, SuiteStatus};

    fn suite(total: u32, counts: Counts, status: SuiteStatus) -> Suite {
        serde_json::from_value(serde_json::json!({
            "id": "0190a000-0000-7000-8000-000000000001",
            "agent": {"id": "0190a000-0000-7000-8000-000000000002", "revision": 1, "name": "A"},
            "status": status, "total": total, "counts": counts, "pass_rate": 0.123,
            "judged": 0, "judged_pass_rate": null, "part_of": null,
            "progress": {"done": 0, "total": total, "eta_seconds": null}, "concurrency": 1,
            "repeats": 1, "parent_id": null, "note": "", "created_at": "2026-11-23T06:38:38.123Z",
            "started_at": null, "finished_at": null, "cancel_requested_at": null,
        }))
        .expect("a suite")
    }

    #[test]
    fn pass_rate_has_its_denominator() {
        use SuiteStatus::{Cancelled, Finished, Running};
        let counts = |passed, failed| Counts { passed, failed, ..Counts::default() };
        let other = |inconclusive, error| Counts { inconclusive, error, ..counts(2, 1) };
        let cases = [
            (3, counts(2, 1), Finished, "67% (2 of 3)"),
            (1, counts(1, 0), Finished, "100% (1 of 1)"),
            (2, counts(0, 2), Finished, "0% (0 of 2)"),
            (2, counts(0, 0), Finished, "–"),
            (4, other(1, 0), Finished, "67% (2 of 3 judged, 4 planned)"),
            (4, other(0, 1), Finished, "67% (2 of 3 judged, 4 planned)"),
            (9, counts(2, 1), Running, "67% (2 of 3 judged, 9 planned)"),
            (40, counts(2, 1), Running, "67% (\u{2007}2 of \u{2007}3 judged, 40 planned)"),
            (3, counts(0, 0), Running, "–"),
            (4, counts(2, 1), Cancelled, "–"),
            (3, counts(2, 1), Cancelled, "–"),
            (3, counts(0, 0), Cancelled, "–"),
        ];
        for (total, counts, status, shown) in cases {
            assert_eq!(pass_rate(&suite(total, counts, status)), shown, "{total} {counts:?}");
        }
        let mut cancelling = suite(9, counts(2, 1), Running);
        cancelling.cancel_requested_at = Some(cancelling.created_at);
        assert_eq!(pass_rate(&cancelling), "–");
    }

    #[test]
    fn rerun_is_marked() {
        let mut one = suite(9, Counts::default(), SuiteStatus::Pending);
        assert_eq!(rerun(&one), None);
        one.parent_id = Some(one.id);
        assert_eq!(rerun(&one).as_deref(), Some("re-run of 9 runs"));
        one.part_of = Some(12);
        assert_eq!(rerun(&one).as_deref(), Some("re-run of 9 of 12 runs"));
    }

    #[test]
    fn verdict_counts_lists_nonzero_counts() {
        let counts = Counts { passed: 5, failed: 2, error: 1, cancelled: 1, ..Counts::default() };
        assert_eq!(verdict_counts(&counts, &[]), "7 of 9 judged, 1 error, 1 canceled");
        let counts = Counts { inconclusive: 2, pending: 3, ..Counts::default() };
        assert_eq!(verdict_counts(&counts, &[]), "0 of 5 judged, 2 inconclusive, 3 queued");
    }

    #[test]
    fn missing_values_are_dashes() {
        assert_eq!(percent(None), "–");
        assert_eq!(percent(Some(2.0 / 3.0)), "67%");
    }

    #[test]
    fn unknown_costs_are_said_in_words() {
        let usage = |costs: &[Option<u64>]| {
            let mut role = RoleUsage::default();
            for cost in costs {
                role.add(1, 1);
                role.add_cost(cost.map(NanoUsd));
            }
            role_cost(&role)
        };
        assert_eq!(usage(&[]), "–");
        assert_eq!(usage(&[None]), "unknown");
        assert_eq!(usage(&[Some(20_000_000), None]), "at least $0.0200");
        assert_eq!(usage(&[Some(1_500_000_000), Some(0)]), "$1.50");
        assert_eq!(usage(&[Some(0)]), "$0.00");
    }

    #[test]
    fn numbers_are_formatted() {
        assert_eq!(plural(1u32, "run"), "1 run");
        assert_eq!(plural(0u32, "run"), "0 runs");
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(12_480), "12.4 s");
        assert_eq!(duration(185_000), "3 min 05 s");
        assert_eq!(about(3), "a few seconds");
        assert_eq!(about(41), "about 45 s");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
    }

    #[test]
    fn percentiles_are_observed_values() {
        assert_eq!(p50_p95(vec![]), None);
        assert_eq!(p50_p95(vec![7]), Some((7, 7)));
        assert_eq!(p50_p95((1..=100).collect()), Some((50, 95)));
    }
}
