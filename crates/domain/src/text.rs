//! Helpers for text validation.

/// Whether the text has no visible character. Whitespace, control characters and
/// invisible format characters do not count as visible.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Replaces U+0000 with U+FFFD. No stored text contains U+0000: SQLite's functions
/// take it for the end of a text, and PostgreSQL cannot store it.
#[must_use]
pub fn replace_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::is_blank;

    #[test]
    fn is_blank_ignores_invisible_characters() {
        for blank in ["", " \t\n", "\u{200B}\u{FEFF}\u{2060}", "\u{00A0}\u{3000}\u{00AD}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["a", " \u{200B}x", "…", "你"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
