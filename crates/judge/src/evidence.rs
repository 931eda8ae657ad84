//! Verification of quotes against the transcript.

use super::normalization::{normalize, normalize_without_spaces};
use super::prompt::call_text;
use domain::{Speaker, Turn};

/// Minimum length of a quote that is not a whole turn, in normalized characters.
const MIN_CHARS: usize = 12;

/// A normalized transcript that can be searched for quotes.
pub(super) struct QuoteIndex {
    turns: Vec<NormalizedTurn>,
}

struct NormalizedTurn {
    index: u32,
    speaker: Speaker,
    /// The message and the tool calls as shown to the judge, normalized without spaces.
    pieces: Vec<String>,
}

impl QuoteIndex {
    pub(super) fn new(transcript: &[Turn]) -> Self {
        let turns = transcript.iter().map(|turn| NormalizedTurn {
            index: turn.index,
            speaker: turn.speaker,
            pieces: std::iter::once(normalize_without_spaces(&turn.message))
                .chain(
                    turn.tool_calls.iter().map(|call| normalize_without_spaces(&call_text(call))),
                )
                .collect(),
        });
        Self { turns: turns.collect() }
    }

    /// Returns the agent or tool turn that contains the quote. Searches the named turn first:
    /// if that is a user turn and contains the quote, the quote is rejected even if the agent
    /// repeated it. If only another turn contains the quote, the judge gave a wrong number,
    /// and the result corrects it.
    pub(super) fn find(&self, named: u32, quote: &str) -> Option<u32> {
        let quote = NormalizedQuote::new(quote)?;
        match self.turns.iter().find(|turn| turn.index == named) {
            Some(turn) if quote.is_in(turn) => {
                (turn.speaker != Speaker::User).then_some(turn.index)
            }
            _ => self
                .turns
                .iter()
                .find(|turn| turn.speaker != Speaker::User && quote.is_in(turn))
                .map(|turn| turn.index),
        }
    }
}

/// A normalized quote, with and without the quotation marks and dots that judges often
/// add around it.
struct NormalizedQuote {
    whole: String,
    trimmed: String,
    is_whole_long: bool,
    is_trimmed_long: bool,
}

impl NormalizedQuote {
    /// Returns `None` if nothing is left after normalization.
    fn new(quote: &str) -> Option<Self> {
        let whole = normalize(quote);
        let trimmed = trim_punctuation(&whole);
        let is_long = |text: &str| text.chars().count() >= MIN_CHARS;
        let (is_whole_long, is_trimmed_long) = (is_long(&whole), is_long(trimmed));
        let (whole, trimmed) = (whole.replace(' ', ""), trimmed.replace(' ', ""));
        (!trimmed.is_empty()).then_some(Self { whole, trimmed, is_whole_long, is_trimmed_long })
    }

    /// Surrounding punctuation counts toward the minimum length only if the turn contains it.
    fn is_in(&self, turn: &NormalizedTurn) -> bool {
        turn.pieces.iter().any(|piece| {
            (self.is_trimmed_long && piece.contains(&self.trimmed))
                || (self.is_whole_long && piece.contains(&self.whole))
                || trim_punctuation(piece) == self.trimmed
        })
    }
}

/// Trims quotation marks and dots at both ends. This includes a final period, so that a
/// short turn can be quoted with or without it.
fn trim_punctuation(text: &str) -> &str {
    text.trim_matches(['"', '\'', '.', ' '])
}
