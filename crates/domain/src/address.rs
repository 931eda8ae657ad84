//! Addresses of this site: what may stand in one, and where one leads.

use std::fmt::Write as _;

/// Text as it may stand as a value in a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A path of this site that somebody may be sent to; `None` for anything that
/// a browser could read as another place.
#[must_use]
pub fn local(text: &str) -> Option<&str> {
    let text = text.trim();
    let second = text.as_bytes().get(1).copied();
    let fine = text.starts_with('/')
        && !matches!(second, Some(b'/' | b'\\'))
        && text.len() <= 2000
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    fine.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{encode, local};
    use rstest::rstest;

    #[rstest]
    #[case("a b&c=ü", "a%20b%26c%3D%C3%BC")]
    #[case("/suites/new?all=1&q=é", "/suites/new%3Fall%3D1%26q%3D%C3%A9")]
    fn values_survive_an_address(#[case] text: &str, #[case] encoded: &str) {
        assert_eq!(encode(text), encoded);
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
    fn only_paths_of_this_site(#[case] text: &str, #[case] fine: bool) {
        assert_eq!(local(text).is_some(), fine);
    }
}
