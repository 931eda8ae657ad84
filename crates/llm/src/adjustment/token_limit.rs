//! Finds the output limit that an error message allows. Pure.

/// A limit in an error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AllowedTokens {
    pub(super) tokens: u32,
    /// The limit depends on the length of this prompt, so it is not remembered.
    pub(super) of_this_prompt: bool,
}

/// What stands directly before the limit in the messages of known servers.
const BEFORE: [&str; 9] = [
    "supports at most ",
    "at most ",
    "less than or equal to ",
    "must be <= ",
    "valid range of max_tokens is [1, ",
    "(inclusive) to ",
    "maximum value for `max_tokens` is ",
    "maximum value of ",
    "cannot exceed ",
];
/// What stands directly behind it.
const BEHIND: [&str; 2] = [", which is the maximum", " (the maximum"];

/// Returns the limit, if the message is about output tokens and names one.
pub(super) fn allowed_tokens(message: &str) -> Option<AllowedTokens> {
    let message = message.to_ascii_lowercase();
    let about_output =
        ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxoutputtokens"];
    if !about_output.iter().any(|name| message.contains(name)) {
        return None;
    }
    if let Some(tokens) = rest_of_context(&message) {
        return Some(AllowedTokens { tokens, of_this_prompt: true });
    }
    let behind = BEHIND.iter().find_map(|mark| number_before(message.split_once(mark)?.0));
    let before = || BEFORE.iter().find_map(|mark| number_at(message.split_once(mark)?.1));
    let tokens = behind.or_else(before)?;
    Some(AllowedTokens { tokens, of_this_prompt: false })
}

/// `(16000 > 4096 - 1200)`: what the context leaves for the output.
fn rest_of_context(message: &str) -> Option<u32> {
    let (_, calculation) = message.rsplit_once('(')?;
    let (calculation, _) = calculation.split_once(')')?;
    let (_, rest) = calculation.split_once('>')?;
    let (context, input) = rest.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u32>().ok();
    number(context)?.checked_sub(number(input)?).filter(|left| *left > 0)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The number that begins the text, in quotes or not.
fn number_at(text: &str) -> Option<u32> {
    let text = text.trim_start_matches(['`', '\'', '"', ' ']);
    let end = text.find(|c| !is_digit(c)).unwrap_or(text.len());
    text[..end].parse().ok().filter(|tokens| *tokens > 0)
}

/// The number that ends the text.
fn number_before(text: &str) -> Option<u32> {
    let text = text.trim_end_matches(['`', '\'', '"', ' ']);
    let start = text.rfind(|c| !is_digit(c)).map_or(0, |at| at + 1);
    text.get(start..)?.parse().ok().filter(|tokens| *tokens > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::openai(
        "max_tokens is too large: 16000. This model supports at most 4096 completion tokens, whereas you provided 16000.",
        4096,
        false
    )]
    #[case::anthropic(
        "max_tokens: 16000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku",
        8192,
        false
    )]
    #[case::groq(
        "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model",
        8192,
        false
    )]
    #[case::deepseek(
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        8192,
        false
    )]
    #[case::vllm(
        "'max_tokens' or 'max_completion_tokens' is too large: 16000. This model's maximum context length is 4096 tokens and your request has 1200 input tokens (16000 > 4096 - 1200).",
        2896,
        true
    )]
    fn limit_of_message(#[case] message: &str, #[case] tokens: u32, #[case] of_this_prompt: bool) {
        assert_eq!(allowed_tokens(message), Some(AllowedTokens { tokens, of_this_prompt }));
    }

    #[rstest]
    #[case(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )]
    #[case("This model supports at most 5 images")]
    #[case("max_tokens is too large: at most many")]
    #[case("max_tokens: (5 > 3 - 9)")]
    #[case("max_tokens must be <= 99999999999999")]
    #[case("")]
    fn no_limit(#[case] message: &str) {
        assert_eq!(allowed_tokens(message), None);
    }
}
