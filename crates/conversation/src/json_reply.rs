//! Strict parsing of JSON replies.

use serde::de::DeserializeOwned;

/// Parses a reply that is a single JSON object. Allows surrounding whitespace and one
/// code fence (with or without `json`), which models often add. Corrects nothing else.
///
/// # Errors
/// A sentence that can be sent back to the model.
pub fn parse<T: DeserializeOwned>(raw: &str) -> Result<T, String> {
    let text = strip_code_fence(raw.trim())?;
    if text.is_empty() {
        return Err("The reply was empty.".to_owned());
    }
    if !text.starts_with('{') {
        return Err("The reply was not a JSON object.".to_owned());
    }
    serde_json::from_str(text)
        .map_err(|error| format!("The reply did not match the schema: {error}."))
}

fn strip_code_fence(text: &str) -> Result<&str, String> {
    let Some(rest) = text.strip_prefix("```") else { return Ok(text) };
    let (language, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let language = language.trim();
    if !language.is_empty() && !language.eq_ignore_ascii_case("json") {
        return Err("The reply was not a JSON object.".to_owned());
    }
    match rest.trim_end().strip_suffix("```") {
        Some(inner) => Ok(inner.trim()),
        None => Err("The code fence around the reply was not closed.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case("{\"a\":1}")]
    #[case("  \n{\"a\": 1}\n")]
    #[case("```json\n{\"a\": 1}\n```")]
    #[case("```\n{\"a\": 1}```  ")]
    #[case("```JSON \n\n{\"a\": 1}\n\n```\n")]
    fn parse_accepts_json_object(#[case] raw: &str) {
        assert_eq!(parse::<Value>(raw), Ok(json!({"a": 1})));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::white_space("  \n ")]
    #[case::words("I think it passed.")]
    #[case::words_before("Here you are: {\"a\":1}")]
    #[case::words_after("{\"a\":1} Hope this helps!")]
    #[case::two("{\"a\":1}{\"a\":1}")]
    #[case::cut("{\"a\":")]
    #[case::list("[{\"a\":1}]")]
    #[case::text("\"{}\"")]
    #[case::null("null")]
    #[case::open_fence("```json\n{\"a\":1}")]
    #[case::other_fence("```yaml\n{\"a\":1}\n```")]
    #[case::empty_fence("```json\n```")]
    #[case::fence_on_one_line("```{\"a\":1}```")]
    #[case::words_in_fence("```json\nresult: {\"a\":1}\n```")]
    #[case::two_fences("```json\n{\"a\":1}\n```\n```json\n{\"a\":1}\n```")]
    #[case::single_quotes("{'a': 1}")]
    #[case::trailing_comma("{\"a\":1,}")]
    fn parse_rejects(#[case] raw: &str) {
        assert!(parse::<Value>(raw).is_err(), "{raw:?}");
    }
}
