//! Estimates the tokens of a call before it is made, for limits that count tokens. Pure.

use llm_types::{ChatReply, ChatRequest, Message};

/// The initial estimate of tokens per byte.
const TOKENS_PER_BYTE: f64 = 0.25;
/// The weight of the newest sample in the moving averages.
const SMOOTHING: f64 = 0.2;
/// The factor on the average reply length, so that most replies are shorter.
const REPLY_MARGIN: f64 = 1.5;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RequestSize {
    /// The bytes of the system prompt, messages, tool calls, tools and output schema.
    pub(super) bytes: u64,
    pub(super) max_tokens: u64,
}

impl RequestSize {
    pub(super) fn of(request: &ChatRequest) -> Self {
        let messages = request.messages.iter().map(|message| match message {
            Message::User(text) => text.len(),
            Message::Assistant { text, tool_calls, .. } => {
                text.len()
                    + tool_calls.iter().map(|call| call.arguments.to_string().len()).sum::<usize>()
            }
            Message::Tool { content, .. } => content.len(),
        });
        let tools = request.tools.iter().map(|tool| {
            tool.name.len() + tool.description.len() + tool.parameters.to_string().len()
        });
        let schema = request.output.as_ref().map_or(0, |output| output.schema.to_string().len());
        let http = request.http.as_ref().and_then(|call| call.request.body.as_ref());
        let http = http.map_or(0, |body| body.to_string().len());
        let bytes =
            request.system.len() + schema + http + messages.sum::<usize>() + tools.sum::<usize>();
        Self {
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            max_tokens: request.max_tokens.into(),
        }
    }
}

/// The expected usage of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenEstimate {
    pub(super) input: u64,
    /// Output tokens of a reply of average length.
    pub(super) output: u64,
    /// Input tokens plus `max_tokens`: servers with one limit for both subtract
    /// `max_tokens` before they reply.
    pub(super) tokens: u64,
}

/// The moving averages of one model.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenEstimator {
    tokens_per_byte: f64,
    /// `None` before the first reply.
    reply_tokens: Option<f64>,
}

impl Default for TokenEstimator {
    fn default() -> Self {
        Self { tokens_per_byte: TOKENS_PER_BYTE, reply_tokens: None }
    }
}

impl TokenEstimator {
    pub(super) fn estimate(&self, size: RequestSize) -> TokenEstimate {
        let input = ceil(size.bytes as f64 * self.tokens_per_byte);
        let usual =
            self.reply_tokens.map_or(size.max_tokens, |average| ceil(average * REPLY_MARGIN));
        let tokens = input.saturating_add(size.max_tokens);
        TokenEstimate { input, output: usual.min(size.max_tokens), tokens }
    }

    /// Updates the averages with the usage of a call.
    pub(super) fn learn(&mut self, size: RequestSize, reply: &ChatReply) {
        let smooth = |average: f64, sample: f64| average + SMOOTHING * (sample - average);
        if reply.input_tokens > 0 && size.bytes > 0 {
            self.tokens_per_byte =
                smooth(self.tokens_per_byte, reply.input_tokens as f64 / size.bytes as f64);
        }
        if reply.output_tokens > 0 {
            let sample = reply.output_tokens as f64;
            self.reply_tokens =
                Some(self.reply_tokens.map_or(sample, |average| smooth(average, sample)));
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
fn ceil(number: f64) -> u64 {
    number.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{chat_request, reply};

    #[test]
    fn size_includes_prompt_and_messages() {
        let plain = RequestSize::of(&chat_request("12345678"));
        assert_eq!(plain, RequestSize { bytes: 17, max_tokens: 256 }, "You help. 12345678");
    }

    #[test]
    fn initial_estimate_is_a_quarter_token_per_char_and_max_tokens() {
        let size = RequestSize { bytes: 401, max_tokens: 1000 };
        let estimate = TokenEstimator::default().estimate(size);
        assert_eq!(estimate, TokenEstimate { input: 101, output: 1000, tokens: 1101 });
    }

    #[test]
    fn estimate_follows_observed_usage() {
        let (mut estimator, size) =
            (TokenEstimator::default(), RequestSize { bytes: 400, max_tokens: 1000 });
        for _ in 0..100 {
            estimator.learn(size, &reply(200, 100));
        }
        assert_eq!(
            estimator.estimate(size),
            TokenEstimate { input: 200, output: 150, tokens: 1200 }
        );
        let short = RequestSize { max_tokens: 10, ..size };
        assert_eq!(estimator.estimate(short).output, 10, "never more than max_tokens");
        estimator.learn(size, &reply(0, 0));
        assert_eq!(estimator.estimate(size).input, 200, "a reply without token counts is ignored");
    }
}
