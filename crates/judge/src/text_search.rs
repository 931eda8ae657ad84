//! Search for the texts of `must_include` and `must_not_include` in what the agent said.

use super::budget::Budget;
use super::normalization::{normalize, normalize_both};
use super::word_match::Searchable;
use domain::TextMatch;

/// A text to search for.
pub(super) struct Term<'a> {
    raw: &'a str,
    normalized: String,
    matching: TextMatch,
}

impl<'a> Term<'a> {
    pub(super) fn new(raw: &'a str, matching: TextMatch, budget: &mut Budget) -> Self {
        let normalized = normalize(raw);
        budget.charge_normalization(normalized.len());
        Self { raw, normalized, matching }
    }

    /// Grouping commas are ignored for terms of digits only: `1628` is in `$1,628`.
    fn is_number(&self) -> bool {
        self.normalized.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// A message, normalized once for all terms.
pub(super) struct Message<'a> {
    raw: &'a str,
    /// As written, and without Markdown markup if there is any.
    forms: Vec<Searchable>,
    /// Without grouping commas, for numbers.
    ungrouped: Option<Searchable>,
}

impl<'a> Message<'a> {
    pub(super) fn new(raw: &'a str, budget: &mut Budget) -> Self {
        let (literal, plain) = normalize_both(raw);
        let ungrouped = ungroup(plain.as_ref().unwrap_or(&literal)).map(Searchable::new);
        let forms: Vec<_> = std::iter::once(literal).chain(plain).map(Searchable::new).collect();
        let message = Self { raw, forms, ungrouped };
        budget.charge_normalization(message.size());
        message
    }

    /// The number of bytes that a search reads at most.
    pub(super) fn size(&self) -> usize {
        self.forms.iter().chain(&self.ungrouped).map(|form| form.text.len()).sum()
    }

    /// A term of which nothing is left after normalization (`—`) is compared literally.
    pub(super) fn contains(&self, term: &Term<'_>) -> bool {
        if term.normalized.is_empty() {
            return self.raw.contains(term.raw);
        }
        let ungrouped = self.ungrouped.as_ref().filter(|_| term.is_number());
        self.forms.iter().chain(ungrouped).any(|form| match term.matching {
            TextMatch::Word => form.contains_words(&term.normalized),
            TextMatch::Part => form.text.contains(&term.normalized),
        })
    }
}

/// The text without the commas that group digits by three (`1,234,567`); `None` if it has
/// none.
fn ungroup(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut has_groups = false;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..start]);
        let mut before = out.chars().rev();
        let is_fraction = matches!(before.next(), Some('.' | ','))
            && before.next().is_some_and(|c| c.is_ascii_digit());
        rest = &rest[start..];
        let first = leading_digits(rest);
        out.push_str(&rest[..first]);
        rest = &rest[first..];
        while first <= 3 && !is_fraction && rest.starts_with(',') && leading_digits(&rest[1..]) == 3
        {
            out.push_str(&rest[1..4]);
            rest = &rest[4..];
            has_groups = true;
        }
    }
    out.push_str(rest);
    has_groups.then_some(out)
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}
