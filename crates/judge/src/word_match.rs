//! Search for words: where a match may begin and end.
//!
//! A match of whole words begins and ends where the neighbor is no letter, digit or `_`. A
//! period or comma between digits is inside a number. The rule holds for Latin, Greek and
//! Cyrillic letters and for digits; other scripts write words without spaces or join them to
//! others, so a letter of theirs at the edge of a match has no boundary.

/// Whether the character continues a word: a letter, a digit, `_` or a combining mark.
pub(super) fn is_word_char(c: char) -> bool {
    c == '_' || c.is_numeric() || is_combining(c) || (c.is_alphabetic() && has_word_boundaries(c))
}

fn is_combining(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{1AB0}'..='\u{1AFF}'
        | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20F0}')
}

/// Latin, Greek and Cyrillic.
fn has_word_boundaries(c: char) -> bool {
    matches!(c, 'A'..='z' | '\u{00AA}'..='\u{02AF}' | '\u{0370}'..='\u{052F}'
        | '\u{1C80}'..='\u{1C8F}' | '\u{1D00}'..='\u{1DBF}' | '\u{1E00}'..='\u{1FFF}'
        | '\u{2C60}'..='\u{2C7F}' | '\u{2DE0}'..='\u{2DFF}' | '\u{A640}'..='\u{A69F}'
        | '\u{A722}'..='\u{A7FF}' | '\u{AB30}'..='\u{AB6F}')
}

/// A normalized text. In quotes, spaces are dropped beside characters that belong to no
/// word; `gaps` are the offsets where one was dropped, in ascending order. Words end there.
pub(super) struct Searchable {
    pub(super) text: String,
    gaps: Vec<usize>,
}

impl Searchable {
    pub(super) fn new(text: String) -> Self {
        Self { text, gaps: Vec::new() }
    }

    /// Drops the spaces that are not between two words: `{"a": 1}` becomes `{"a":1}`.
    pub(super) fn without_loose_spaces(text: &str) -> Self {
        let mut squeezed = String::with_capacity(text.len());
        let mut gaps = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let joins_words = squeezed.chars().next_back().is_some_and(is_word_char)
                && chars.peek().copied().is_some_and(is_word_char);
            if c == ' ' && !joins_words {
                gaps.push(squeezed.len());
            } else {
                squeezed.push(c);
            }
        }
        Self { text: squeezed, gaps }
    }

    /// Whether the text contains `needle` as whole words.
    pub(super) fn contains_words(&self, needle: &str) -> bool {
        any_occurrence(&self.text, needle, |start| {
            self.begins_at(start) && self.ends_at(start + needle.len())
        })
    }

    fn is_gap(&self, at: usize) -> bool {
        self.gaps.binary_search(&at).is_ok()
    }

    fn begins_at(&self, start: usize) -> bool {
        let mut before = self.text[..start].chars().rev();
        let neighbor = before.next().filter(|_| !self.is_gap(start));
        let is_cut = neighbor.is_some_and(|c| self.is_gap(start - c.len_utf8()));
        let beyond = before.next().filter(|_| !is_cut);
        self.text[start..].chars().next().is_none_or(|edge| is_boundary(edge, neighbor, beyond))
    }

    fn ends_at(&self, end: usize) -> bool {
        let mut after = self.text[end..].chars();
        let neighbor = after.next().filter(|_| !self.is_gap(end));
        let is_cut = neighbor.is_some_and(|c| self.is_gap(end + c.len_utf8()));
        let beyond = after.next().filter(|_| !is_cut);
        let edge = self.text[..end].chars().next_back();
        edge.is_none_or(|edge| is_boundary(edge, neighbor, beyond))
    }
}

/// Whether a match may begin or end at its character `edge`, next to `neighbor`, which is
/// next to `beyond`. A match of "28" in "28.5 km" may not end there: its edge is `8`, the neighbor
/// is `.`, and beyond that is `5`, so the period belongs to a number.
fn is_boundary(edge: char, neighbor: Option<char>, beyond: Option<char>) -> bool {
    let Some(neighbor) = neighbor else { return true };
    if edge.is_alphabetic() && !has_word_boundaries(edge) {
        return true;
    }
    let is_digit = |c: char| c.is_ascii_digit();
    let in_number = matches!(neighbor, '.' | ',') && is_digit(edge) && beyond.is_some_and(is_digit);
    !is_word_char(neighbor) && !in_number
}

/// Whether an occurrence of `needle`, given by its start, is accepted. Takes linear time,
/// also for overlapping occurrences (Knuth, Morris and Pratt 1977).
fn any_occurrence(text: &str, needle: &str, accept: impl Fn(usize) -> bool) -> bool {
    let Some(first) = text.find(needle).filter(|_| !needle.is_empty()) else { return false };
    if accept(first) {
        return true;
    }
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let borders = borders(needle);
    let mut matched = 0;
    for (at, byte) in text.iter().enumerate().skip(first + 1) {
        while matched > 0 && needle[matched] != *byte {
            matched = borders[matched - 1];
        }
        if needle[matched] == *byte {
            matched += 1;
        }
        if matched == needle.len() {
            if accept(at + 1 - matched) {
                return true;
            }
            matched = borders[matched - 1];
        }
    }
    false
}

/// For each prefix of the needle, the length of its longest proper border: a prefix that is
/// also its suffix.
fn borders(needle: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; needle.len()];
    let mut length = 0;
    for at in 1..needle.len() {
        while length > 0 && needle[length] != needle[at] {
            length = borders[length - 1];
        }
        if needle[length] == needle[at] {
            length += 1;
        }
        borders[at] = length;
    }
    borders
}
