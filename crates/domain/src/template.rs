//! The grammar of variables in texts: `{{name}}`, and `\{{` for two literal braces.
//!
//! A name consists of parts that are separated by periods. A part begins with a letter or
//! `_` and continues with letters, digits, `_` and `-` (all ASCII). Spaces around the name
//! are ignored. Before `{{`, backslashes count in pairs: `\\{{name}}` is a backslash and a
//! variable.

/// Maximum length of the name of a variable, in bytes.
pub const MAX_NAME: usize = 100;

/// Maximum length of an excerpt in a message, in characters.
const EXCERPT: usize = 40;

/// What the name of a variable looks like, as a continuation of a field's path.
pub const NAME_RULE: &str = "must be a name such as customer.name: parts of letters, digits, _ \
                             and -, separated by periods, at most 100 characters";

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Text(&'a str),
    /// The name of a variable.
    Variable(&'a str),
    /// Two opening braces that begin no variable, with the text up to the closing ones.
    Invalid(&'a str),
}

/// Whether this is the name of a variable.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    text.len() <= MAX_NAME && text.split('.').all(is_part)
}

/// Splits a text at its variables. What follows an unclosed `{{` is one invalid part.
#[must_use]
pub fn split<'a>(text: &'a str) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let push_text = |parts: &mut Vec<_>, text: &'a str| {
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
    };
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let before = &rest[..open];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        // Half of the backslashes stay.
        push_text(&mut parts, &before[..open - backslashes.div_ceil(2)]);
        if backslashes % 2 == 1 {
            parts.push(Part::Text("{{"));
            rest = &rest[open + 2..];
            continue;
        }
        let inner = &rest[open + 2..];
        let Some(close) = inner.find("}}") else {
            parts.push(Part::Invalid(&rest[open..]));
            return parts;
        };
        let name = inner[..close].trim_matches(' ');
        let end = open + 2 + close + 2;
        parts.push(if is_name(name) {
            Part::Variable(name)
        } else {
            Part::Invalid(&rest[open..end])
        });
        rest = &rest[end..];
    }
    push_text(&mut parts, rest);
    parts
}

/// The text with its braces escaped, so that it is filled in as it is.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let before = &rest[..open];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        escaped.push_str(before);
        escaped.push_str(&"\\".repeat(backslashes + 1));
        escaped.push_str("{{");
        rest = &rest[open + 2..];
    }
    escaped.push_str(rest);
    escaped
}

/// What is wrong with an invalid part, as a continuation of a field's path.
#[must_use]
pub fn invalid_part(part: &str) -> String {
    let mut excerpt: String = part.chars().take(EXCERPT).collect();
    if excerpt.len() < part.len() {
        excerpt.push('…');
    }
    let what = if part.ends_with("}}") { "which is no variable" } else { "which is not closed" };
    format!("contains {excerpt}, {what}; write \\{{{{ for two literal braces")
}

#[cfg(test)]
mod tests {
    use super::Part::{Invalid, Text, Variable};
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", &[])]
    #[case("a", &[Text("a")])]
    #[case("{{ turn }}", &[Variable("turn")])]
    #[case("a {{x}}{{y.z}} }} b", &[Text("a "), Variable("x"), Variable("y.z"), Text(" }} b")])]
    #[case("{\"a\": {\"b\": 1}}", &[Text("{\"a\": {\"b\": 1}}")])]
    #[case("\\{{x}}", &[Text("{{"), Text("x}}")])]
    #[case("\\\\{{x}}", &[Text("\\"), Variable("x")])]
    #[case("\\\\\\{{x}}", &[Text("\\"), Text("{{"), Text("x}}")])]
    #[case("C:\\a", &[Text("C:\\a")])]
    #[case("{{}}", &[Invalid("{{}}")])]
    #[case("{{a b}} c", &[Invalid("{{a b}}"), Text(" c")])]
    #[case("{{#if x}}", &[Invalid("{{#if x}}")])]
    #[case("{{{x}}}", &[Invalid("{{{x}}"), Text("}")])]
    #[case("é {{x", &[Text("é "), Invalid("{{x")])]
    fn text_is_split_at_variables(#[case] text: &str, #[case] expected: &[Part<'_>]) {
        assert_eq!(split(text), expected);
    }

    #[rstest]
    #[case("today", true)]
    #[case("customer.name", true)]
    #[case("_a-1.b_2", true)]
    #[case("", false)]
    #[case(".a", false)]
    #[case("a.", false)]
    #[case("a..b", false)]
    #[case("1a", false)]
    #[case("a.1", false)]
    #[case("ä", false)]
    #[case("a b", false)]
    fn names_have_a_grammar(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_name(text), expected);
        assert!(!is_name(&"a".repeat(MAX_NAME + 1)) && is_name(&"a".repeat(MAX_NAME)));
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_reads_as_itself(text in r"[{}\\a. ]{0,12}") {
            let parts = split(&escape(&text)).into_iter().map(|part| match part {
                Text(text) => text.to_owned(),
                other => format!("not a text: {other:?}"),
            }).collect::<String>();
            proptest::prop_assert_eq!(parts, text);
        }
    }

    #[test]
    fn invalid_parts_say_what_to_write() {
        let message = invalid_part("{{#if x}}");
        assert_eq!(
            message,
            "contains {{#if x}}, which is no variable; write \\{{ for two literal braces"
        );
        assert!(invalid_part("{{x").contains("which is not closed"));
        assert!(invalid_part(&format!("{{{{{}", "é".repeat(99))).len() < 200);
    }
}
