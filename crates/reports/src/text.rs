//! Texts of users and models in files.

use std::borrow::Cow;

/// Replaces what XML 1.0 forbids, also as character references: control characters apart
/// from tab and line breaks, and two code points without characters.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_xml_char) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_xml_char(c) { c } else { '\u{fffd}' }).collect())
}

fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        // The C1 controls are allowed in XML 1.0, but not in HTML, and nobody can see them.
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// The text on one line, without control characters and without characters that change the
/// direction of what follows, so that it cannot change the meaning of the text around it.
#[must_use]
pub fn single_line(text: &str) -> String {
    let visible = text.chars().filter(|c| !is_bidi_control(*c));
    let visible = visible.map(|c| if c.is_control() { ' ' } else { c });
    visible.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `max` characters, with an ellipsis where the text was cut.
pub(crate) fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text[..end].trim_end())),
    }
}

/// `67 %`, or `–` without a value. Only what is exactly 1 or 0 is shown as 100 % or 0 %.
#[must_use]
pub fn percent(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate > 0.0 && rate < 0.01 => "<1 %".to_owned(),
        Some(rate) if rate > 0.99 && rate < 1.0 => ">99 %".to_owned(),
        Some(rate) => format!("{:.0} %", rate * 100.0),
    }
}

/// `48–94 %`, or `–` without a value.
#[must_use]
pub fn interval(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |(low, high)| format!("{:.0}–{:.0} %", low * 100.0, high * 100.0),
    )
}

/// `820 ms`, `12.4 s`, `3 min 05 s`.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// `1 run`, `3 runs`.
pub(crate) fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::{duration, interval, percent, printable, shorten, single_line};
    use rstest::rstest;

    #[rstest]
    #[case("plain ]]> text\n\tline", "plain ]]> text\n\tline")]
    #[case("nul\0 esc\u{1b}[31m", "nul\u{fffd} esc\u{fffd}[31m")]
    #[case("\u{85}\u{fffe}\u{ffff}\u{7f}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}")]
    #[case("\u{202e}rtl 🦀", "\u{202e}rtl 🦀")]
    fn forbidden_characters_are_replaced(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(printable(text), expected);
    }

    #[rstest]
    #[case("  a\n b\t\r\nc  ", "a b c")]
    #[case("\u{202e}evil\u{2066}", "evil")]
    #[case("\u{1b}[2Jcleared\0", "[2Jcleared")]
    #[case("", "")]
    fn single_line_cannot_leave_its_place(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(single_line(text), expected);
    }

    #[rstest]
    #[case("abc", 3, "abc")]
    #[case("ab cd", 3, "ab…")]
    #[case("🦀🦀🦀", 2, "🦀🦀…")]
    fn shortened_by_characters(#[case] text: &str, #[case] max: usize, #[case] expected: &str) {
        assert_eq!(shorten(text, max), expected);
    }

    #[rstest]
    #[case(None, "–")]
    #[case(Some(0.0), "0 %")]
    #[case(Some(0.004), "<1 %")]
    #[case(Some(2.0 / 3.0), "67 %")]
    #[case(Some(0.999), ">99 %")]
    #[case(Some(1.0), "100 %")]
    fn rates_are_not_rounded_to_certainty(#[case] rate: Option<f64>, #[case] expected: &str) {
        assert_eq!(percent(rate), expected);
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(interval(Some((0.4902, 0.9433))), "49–94 %");
        assert_eq!([999, 12_490, 185_000].map(duration), ["999 ms", "12.4 s", "3 min 05 s"]);
    }
}
