//! Text for numbers, the same on server and browser, without locale.

use crate::domain::{Counts, ErrorKind, Run};

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

/// `$0.0123`, or `–` if the price is unknown.
#[must_use]
pub fn cost(usd: Option<f64>) -> String {
    match usd {
        None => "–".to_owned(),
        Some(usd) if usd != 0.0 && usd < 0.1 => format!("${usd:.4}"),
        Some(usd) => format!("${usd:.2}"),
    }
}

/// The scenario of a run, with the number of the repeat if there are `repeats`.
#[must_use]
pub fn run_name(run: &Run, repeats: bool) -> String {
    let name = &run.scenario.name;
    if repeats { format!("{name} #{}", run.repetition) } else { name.clone() }
}

/// `7 of 9 judged, 1 error: rate limited, 1 cancelled`. Errors do not count as
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
        [(counts.cancelled, "cancelled"), (counts.running, "running"), (counts.pending, "queued")]
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
    use super::{about, cost, duration, grouped, p50_p95, percent, plural, verdict_counts};
    use crate::domain::Counts;

    #[test]
    fn verdict_counts_lists_nonzero_counts() {
        let counts = Counts { passed: 5, failed: 2, error: 1, cancelled: 1, ..Counts::default() };
        assert_eq!(verdict_counts(&counts, &[]), "7 of 9 judged, 1 error, 1 cancelled");
        let counts = Counts { inconclusive: 2, pending: 3, ..Counts::default() };
        assert_eq!(verdict_counts(&counts, &[]), "0 of 5 judged, 2 inconclusive, 3 queued");
    }

    #[test]
    fn missing_values_are_dashes() {
        assert_eq!(percent(None), "–");
        assert_eq!(percent(Some(2.0 / 3.0)), "67%");
        assert_eq!(cost(None), "–");
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
