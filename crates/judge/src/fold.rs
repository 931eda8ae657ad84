//! Folding: what two spellings of the same words have in common, so that a
//! quote is found although the judge straightened a quotation mark or left
//! out the Markdown.

use unicode_normalization::UnicodeNormalization;

/// The text folded: NFKC and lower case; typographic quotation marks become
/// straight ones; Markdown marks and invisible characters go; dashes of every
/// kind count as white space, but for a minus sign (before a digit and not
/// behind a letter or digit); white space becomes one space, none at the ends.
///
/// A part of a text folds to a part of the folded text, wherever it is cut
/// between words.
#[must_use]
pub fn fold(text: &str) -> String {
    // Before NFKC, which would take some of the marks apart.
    let straight = text.chars().map(straight_quote);
    let plain: String = straight.nfkc().filter(|c| !is_invisible(*c)).collect();
    let lower = plain.chars().flat_map(char::to_lowercase).map(final_sigma);
    let lower: String = lower.map(|c| if is_dash(c) { '-' } else { c }).nfkc().collect();
    let unmarked = without_marks(&lower);
    let spaced = dashes_as_space(&unmarked);
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text folded and without any white space: for quotes, where `{"a": 1}`
/// for `{"a":1}` is still the same words.
#[must_use]
pub(super) fn squeeze(text: &str) -> String {
    fold(text).replace(' ', "")
}

/// Whether `needle` stands in `text`, both folded. A needle of which folding
/// leaves nothing (`—`, `**`) is looked for as it is.
#[must_use]
pub fn contains_folded(text: &str, needle: &str) -> bool {
    let folded = fold(needle);
    if folded.is_empty() { text.contains(needle) } else { fold(text).contains(&folded) }
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

/// Characters that show nothing: zero-width ones, soft hyphens, variation
/// selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// The Greek final sigma depends on its neighbours; here it must not.
fn final_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

/// Without the marks of emphasis and code; those of headings, block quotes
/// and tables become spaces, for they separate.
fn without_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' | '_' | '`' | '~' => {}
            '#' | '>' | '|' => out.push(' '),
            // `\*` in Markdown means the mark itself.
            '\\' if chars.peek().is_some_and(char::is_ascii_punctuation) => {}
            other => out.push(other),
        }
    }
    out
}

fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'
            ..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}'
    )
}

fn dashes_as_space(text: &str) -> String {
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
