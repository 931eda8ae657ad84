//! Links within the site.

use std::fmt::Write as _;

/// Percent-encodes a query parameter value.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Returns `text` if it is a path of this site and safe as a redirect target; `None`
/// if a browser could resolve it to another origin.
#[must_use]
pub fn local_path(text: &str) -> Option<&str> {
    let text = text.trim();
    let second = text.as_bytes().get(1).copied();
    let is_local = text.starts_with('/')
        && !matches!(second, Some(b'/' | b'\\'))
        && text.len() <= 2000
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    is_local.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{local_path, percent_encode};
    use rstest::rstest;

    #[rstest]
    #[case("a b&c=ü", "a%20b%26c%3D%C3%BC")]
    #[case("/suites/new?all=1&q=é", "/suites/new%3Fall%3D1%26q%3D%C3%A9")]
    fn percent_encode_escapes_reserved_characters(#[case] text: &str, #[case] encoded: &str) {
        assert_eq!(percent_encode(text), encoded);
    }

    #[rstest]
    #[case("/", true)]
    #[case("/agents/1?draft=2#t7", true)]
    #[case("", false)]
    #[case("agents", false)]
    #[case("//evil.example", false)]
    #[case("/\\evil.example", false)]
    #[case("/a\\b", false)]
    #[case("https://evil.example", false)]
    #[case("javascript:alert(1)", false)]
    #[case("/a\r\nSet-Cookie: x", false)]
    #[case("/\t/evil.example", false)]
    fn local_path_rejects_other_origins(#[case] text: &str, #[case] is_local: bool) {
        assert_eq!(local_path(text).is_some(), is_local);
    }
}
