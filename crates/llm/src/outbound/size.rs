//! How large a call is before it is made, for limits that count tokens. Pure.

use llm_types::{ChatReply, ChatRequest, Message};

/// Tokens of one character, until a model has shown its own number.
const PER_CHAR: f64 = 0.25;
/// How much of each new answer goes into what was learned.
const LEARN: f64 = 0.2;
/// What is added to the usual length of an answer, so that most are shorter.
const MARGIN: f64 = 1.5;

/// What is known of a call before it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Size {
    /// Characters that go out: words, calls, tools.
    pub(super) chars: u64,
    /// Most tokens of the answer.
    pub(super) max_tokens: u64,
}

impl Size {
    /// The size of a request.
    pub(super) fn of(request: &ChatRequest) -> Self {
        let said = request.messages.iter().map(|message| match message {
            Message::User(text) => text.len(),
            Message::Assistant { text, tool_calls } => {
                text.len()
                    + tool_calls.iter().map(|call| call.arguments.to_string().len()).sum::<usize>()
            }
            Message::Tool { content, .. } => content.len(),
        });
        let tools = request.tools.iter().map(|tool| {
            tool.name.len() + tool.description.len() + tool.parameters.to_string().len()
        });
        let form = request.output.as_ref().map_or(0, |form| form.schema.to_string().len());
        let chars = request.system.len() + form + said.sum::<usize>() + tools.sum::<usize>();
        Self {
            chars: u64::try_from(chars).unwrap_or(u64::MAX),
            max_tokens: request.max_tokens.into(),
        }
    }
}

/// What a call takes of each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Tokens in.
    pub(super) input: u64,
    /// Tokens out, as long as answers usually are.
    pub(super) output: u64,
    /// Both, with an answer of the greatest length: servers that have one
    /// limit for both take `max_tokens` off before they answer.
    pub(super) tokens: u64,
}

/// What one model was found to use: characters to tokens, and how long its
/// answers are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    per_char: f64,
    /// `None` before the first answer.
    answer: Option<f64>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { per_char: PER_CHAR, answer: None }
    }
}

impl Habits {
    /// What a call of this size will take.
    pub(super) fn cost(&self, size: Size) -> Cost {
        let input = whole(size.chars as f64 * self.per_char);
        let usual = self.answer.map_or(size.max_tokens, |answer| whole(answer * MARGIN));
        let tokens = input.saturating_add(size.max_tokens);
        Cost { input, output: usual.min(size.max_tokens), tokens }
    }

    /// What a call of this size has taken.
    pub(super) fn learn(&mut self, size: Size, reply: &ChatReply) {
        let learn = |known: f64, new: f64| known + LEARN * (new - known);
        if reply.input_tokens > 0 && size.chars > 0 {
            self.per_char = learn(self.per_char, reply.input_tokens as f64 / size.chars as f64);
        }
        if reply.output_tokens > 0 {
            let new = reply.output_tokens as f64;
            self.answer = Some(self.answer.map_or(new, |known| learn(known, new)));
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ask, reply};

    #[test]
    fn everything_that_goes_out_counts() {
        let plain = Size::of(&ask("12345678"));
        assert_eq!(plain, Size { chars: 17, max_tokens: 256 }, "You help. 12345678");
    }

    #[test]
    fn a_quarter_of_a_token_a_character_and_the_longest_answer_at_first() {
        let size = Size { chars: 401, max_tokens: 1000 };
        let cost = Habits::default().cost(size);
        assert_eq!(cost, Cost { input: 101, output: 1000, tokens: 1101 });
    }

    #[test]
    fn answers_teach_how_long_they_are() {
        let (mut habits, size) = (Habits::default(), Size { chars: 400, max_tokens: 1000 });
        for _ in 0..100 {
            habits.learn(size, &reply(200, 100));
        }
        assert_eq!(habits.cost(size), Cost { input: 200, output: 150, tokens: 1200 });
        let short = Size { max_tokens: 10, ..size };
        assert_eq!(habits.cost(short).output, 10, "never more than it may say");
        habits.learn(size, &reply(0, 0));
        assert_eq!(habits.cost(size).input, 200, "who counts nothing teaches nothing");
    }
}
