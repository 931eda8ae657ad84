//! Text normalization: case, Unicode forms, quotation marks, dashes and white space do not
//! tell two texts apart. Everything else counts, also `#`, `*`, `_`, `>`, `|` and `~`.

use super::markdown::strip_markup;
use unicode_normalization::UnicodeNormalization;

/// Normalizes text: NFKC, lowercase, straight quotation marks, no invisible characters.
/// Dashes become spaces, except a minus sign (before a digit and not after a letter or
/// digit). Whitespace is collapsed and trimmed.
///
/// The normalized form of a text contains the normalized form of any sequence of its words.
#[must_use]
pub fn normalize(text: &str) -> String {
    collapse(&fold_characters(text))
}

/// The normalized text, and once more without Markdown markup if there is any.
pub(super) fn normalize_both(text: &str) -> (String, Option<String>) {
    let folded = fold_characters(text);
    let literal = collapse(&folded);
    let plain = strip_markup(&folded).map(|plain| collapse(&plain));
    let plain = plain.filter(|plain| *plain != literal);
    (literal, plain)
}

/// The steps that apply before markup is recognized: line breaks are kept.
fn fold_characters(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Must run before NFKC, which decomposes some of these characters.
    let straight = text.chars().map(straight_quote);
    let plain: String = straight.nfkc().filter(|c| !is_invisible(*c)).collect();
    let lower = plain.chars().flat_map(char::to_lowercase).map(final_sigma);
    lower.map(|c| if is_dash(c) { '-' } else { c }).nfkc().collect()
}

fn collapse(folded: &str) -> String {
    let spaced = replace_dashes(folded);
    let mut out = String::with_capacity(spaced.len());
    for word in spaced.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn straight_quote(c: char) -> char {
    match c {
        '\u{2018}'..='\u{201B}'
        | '\u{2039}'
        | '\u{203A}'
        | '\u{2032}'
        | '\u{2035}'
        | '\u{00B4}'
        | '\u{02B9}'
        | '\u{02BC}'
        | '\u{FF07}' => '\'',
        '\u{201C}'..='\u{201F}'
        | '\u{00AB}'
        | '\u{00BB}'
        | '\u{2033}'
        | '\u{2036}'
        | '\u{02BA}'
        | '\u{301D}'..='\u{301F}'
        | '\u{FF02}' => '"',
        other => other,
    }
}

/// Zero-width characters, soft hyphens and variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Maps the Greek final sigma to sigma, because which of them is used depends on context.
fn final_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'
            ..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}'
    )
}

fn replace_dashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let minus = !before.is_alphanumeric()
            && before != '-'
            && chars.peek().is_some_and(char::is_ascii_digit);
        out.push(if c == '-' && !minus { ' ' } else { c });
        before = c;
    }
    out
}
