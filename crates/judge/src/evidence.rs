//! Whether a quote really stands in the transcript.

use super::fold::{fold, squeeze};
use super::prompt::call_text;
use domain::{Speaker, Turn};

/// Shortest quote that counts without being its whole turn, in characters of
/// the folded quote.
const MIN_CHARS: usize = 12;

/// A transcript folded once, in which quotes are looked up.
pub(super) struct Quotable {
    turns: Vec<FoldedTurn>,
}

struct FoldedTurn {
    index: u32,
    speaker: Speaker,
    /// The words, and each call as the judge was shown it; squeezed.
    pieces: Vec<String>,
}

impl Quotable {
    pub(super) fn new(transcript: &[Turn]) -> Self {
        let turns = transcript.iter().map(|turn| FoldedTurn {
            index: turn.index,
            speaker: turn.speaker,
            pieces: std::iter::once(squeeze(&turn.message))
                .chain(turn.tool_calls.iter().map(|call| squeeze(&call_text(call))))
                .collect(),
        });
        Self { turns: turns.collect() }
    }

    /// The agent or tool turn in which the quote stands; `None` if there is
    /// none. The named turn is looked at first: a quote that stands there in
    /// a user's words is the user's, though the agent may have repeated it;
    /// one that stands elsewhere was given a wrong number, which the result
    /// puts right.
    pub(super) fn find(&self, named: u32, quote: &str) -> Option<u32> {
        let wanted = Wanted::new(quote)?;
        match self.turns.iter().find(|turn| turn.index == named) {
            Some(turn) if wanted.stands_in(turn) => {
                (turn.speaker != Speaker::User).then_some(turn.index)
            }
            _ => self
                .turns
                .iter()
                .find(|turn| turn.speaker != Speaker::User && wanted.stands_in(turn))
                .map(|turn| turn.index),
        }
    }
}

/// A quote, folded: as it is, and without the quotation marks and dots that
/// judges like to put around.
struct Wanted {
    whole: String,
    bare: String,
    long_whole: bool,
    long_bare: bool,
}

impl Wanted {
    /// `None` where nothing is left to look for.
    fn new(quote: &str) -> Option<Self> {
        let folded = fold(quote);
        let inner = bare(&folded);
        let long = |text: &str| text.chars().count() >= MIN_CHARS;
        let (long_whole, long_bare) = (long(&folded), long(inner));
        let (whole, bare) = (folded.replace(' ', ""), inner.replace(' ', ""));
        (!bare.is_empty()).then_some(Self { whole, bare, long_whole, long_bare })
    }

    /// Marks at the ends make a quote long enough only where they stand too.
    fn stands_in(&self, turn: &FoldedTurn) -> bool {
        turn.pieces.iter().any(|piece| {
            (self.long_bare && piece.contains(&self.bare))
                || (self.long_whole && piece.contains(&self.whole))
                || bare(piece) == self.bare
        })
    }
}

/// Without quotation marks and dots of omission at the ends. A full stop at
/// the end goes too, so that a short turn is quoted whole with or without it.
fn bare(text: &str) -> &str {
    text.trim_matches(['"', '\'', '.', ' '])
}
