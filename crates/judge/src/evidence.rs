//! Verification of quotes against the transcript.

use super::budget::Budget;
use super::normalization::normalize_both;
use super::prompt::call_text;
use super::word_match::Searchable;
use domain::{Speaker, Turn};

/// Minimum length of a quote that is not a whole turn, in normalized characters.
const MIN_CHARS: usize = 12;

/// A normalized transcript that can be searched for quotes.
pub(super) struct QuoteIndex {
    turns: Vec<NormalizedTurn>,
    budget: Budget,
}

struct NormalizedTurn {
    index: u32,
    speaker: Speaker,
    /// The message and the tool calls as shown to the judge, each as written and without
    /// Markdown markup.
    pieces: Vec<Forms<Searchable>>,
}

/// A text as written, and without Markdown markup if there is any.
struct Forms<T> {
    literal: T,
    plain: Option<T>,
}

impl QuoteIndex {
    /// Normalizes each turn once. Turns beyond the budget contain no quote. Tool results are
    /// searched only if `with_tools` is set.
    pub(super) fn new(transcript: &[Turn], with_tools: bool, mut budget: Budget) -> Self {
        let searched = transcript.iter().filter(|turn| with_tools || turn.speaker != Speaker::Tool);
        let mut turns = Vec::new();
        for turn in searched {
            let calls = turn.tool_calls.iter().map(call_text);
            let texts = std::iter::once(turn.message.clone()).chain(calls);
            let mut pieces = Vec::new();
            for text in texts {
                if !budget.is_spent() {
                    pieces.push(searchable(&text, &mut budget));
                }
            }
            turns.push(NormalizedTurn { index: turn.index, speaker: turn.speaker, pieces });
        }
        Self { turns, budget }
    }

    /// Whether the budget ended, so that some quotes were not searched everywhere.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.is_spent()
    }

    /// Returns the turn of the agent that contains the quote, or with `in_tools` the turn of
    /// the agent or a tool. Searches the named turn first: if that is a user turn and contains
    /// the quote, the quote is rejected even if the agent repeated it. If only another turn
    /// contains the quote, the judge gave a wrong number, and the result corrects it.
    pub(super) fn find(&mut self, named: u32, quote: &str, in_tools: bool) -> Option<u32> {
        let quote = NormalizedQuote::forms_of(quote)?;
        let Self { turns, budget } = self;
        let can_prove = |turn: &NormalizedTurn| match turn.speaker {
            Speaker::Agent => true,
            Speaker::Tool => in_tools,
            Speaker::User => false,
        };
        let named = turns.iter().find(|turn| turn.index == named);
        if let Some(turn) = named.filter(|turn| turn.speaker != Speaker::Tool || in_tools)
            && quote.is_in(turn, budget)
        {
            return can_prove(turn).then_some(turn.index);
        }
        let mut others = turns.iter().filter(|turn| can_prove(turn));
        others.find(|turn| quote.is_in(turn, budget)).map(|turn| turn.index)
    }
}

fn searchable(text: &str, budget: &mut Budget) -> Forms<Searchable> {
    let (literal, plain) = normalize_both(text);
    budget.charge_normalization(literal.len() + plain.as_ref().map_or(0, String::len));
    let squeezed = |text: String| Searchable::without_loose_spaces(&text);
    Forms { literal: squeezed(literal), plain: plain.map(squeezed) }
}

/// A normalized quote, with and without the quotation marks and dots that judges often
/// add around it.
struct NormalizedQuote {
    whole: String,
    trimmed: String,
    is_whole_long: bool,
    is_trimmed_long: bool,
}

impl Forms<NormalizedQuote> {
    /// Whether a message or a tool call of the turn contains the quote. The quote without
    /// markup is searched in the text without markup, because a judge may omit it.
    fn is_in(&self, turn: &NormalizedTurn, budget: &mut Budget) -> bool {
        turn.pieces.iter().any(|piece| {
            let plain_quote = self.plain.as_ref().unwrap_or(&self.literal);
            let plain_piece = piece.plain.as_ref().unwrap_or(&piece.literal);
            self.literal.is_in(&piece.literal, budget)
                || ((self.plain.is_some() || piece.plain.is_some())
                    && plain_quote.is_in(plain_piece, budget))
        })
    }
}

impl NormalizedQuote {
    /// Returns `None` if nothing is left after normalization.
    fn forms_of(quote: &str) -> Option<Forms<Self>> {
        let (literal, plain) = normalize_both(quote);
        let plain = plain.and_then(|plain| Self::of_normalized(&plain));
        Some(Forms { literal: Self::of_normalized(&literal)?, plain })
    }

    fn of_normalized(whole: &str) -> Option<Self> {
        let trimmed = trim_punctuation(whole);
        let is_long = |text: &str| text.chars().count() >= MIN_CHARS;
        let squeezed = |text: &str| Searchable::without_loose_spaces(text).text;
        (!trimmed.is_empty()).then(|| Self {
            is_whole_long: is_long(whole),
            is_trimmed_long: is_long(trimmed),
            whole: squeezed(whole),
            trimmed: squeezed(trimmed),
        })
    }

    /// Surrounding punctuation counts toward the minimum length only if the text contains it.
    fn is_in(&self, text: &Searchable, budget: &mut Budget) -> bool {
        budget.take(2 * text.text.len())
            && ((self.is_trimmed_long && text.contains_words(&self.trimmed))
                || (self.is_whole_long && text.contains_words(&self.whole))
                || trim_punctuation(&text.text) == self.trimmed)
    }
}

/// Trims quotation marks and dots at both ends. This includes a final period, so that a
/// short turn can be quoted with or without it.
fn trim_punctuation(text: &str) -> &str {
    text.trim_matches(['"', '\'', '.', ' '])
}
