//! JSON that a model was asked for: taken as it is, or not at all.

use serde::de::DeserializeOwned;

/// The one JSON value of a reply. White space around it and one pair of code
/// fences (three backticks, with or without `json`) are allowed, because
/// models put them there by habit; anything else is a problem. Nothing is
/// repaired or guessed.
///
/// # Errors
/// A sentence that says what is wrong, fit to be sent back to the model.
pub fn read<T: DeserializeOwned>(raw: &str) -> Result<T, String> {
    let text = unfenced(raw.trim())?;
    if text.is_empty() {
        return Err("The reply was empty.".to_owned());
    }
    if !text.starts_with('{') {
        return Err("The reply was not a JSON object.".to_owned());
    }
    serde_json::from_str(text).map_err(|error| format!("The reply did not fit the form: {error}."))
}

fn unfenced(text: &str) -> Result<&str, String> {
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
    use super::read;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case("{\"a\":1}")]
    #[case("  \n{\"a\": 1}\n")]
    #[case("```json\n{\"a\": 1}\n```")]
    #[case("```\n{\"a\": 1}```  ")]
    #[case("```JSON \n\n{\"a\": 1}\n\n```\n")]
    fn reads(#[case] raw: &str) {
        assert_eq!(read::<Value>(raw), Ok(json!({"a": 1})));
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
    fn refuses(#[case] raw: &str) {
        assert!(read::<Value>(raw).is_err(), "{raw:?}");
    }
}
