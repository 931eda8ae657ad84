//! Passwords that attackers try first.

/// One password per line, in lower case; lines that begin with `#` are comments.
const LIST: &str = include_str!("common_passwords.txt");

/// Whether a password is in the list, in any case and also with punctuation at its end:
/// `Password123!` is as easy to guess as `password123`.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.trim().to_lowercase();
    let stem = lower.trim_end_matches(|c: char| c.is_ascii_punctuation());
    LIST.lines().filter(|line| !line.starts_with('#')).any(|line| line == lower || line == stem)
}

#[cfg(test)]
mod tests {
    use super::{LIST, is_common};

    #[test]
    fn common_passwords_are_recognized() {
        for common in ["1234567890", "Password123", "password123!", " qwertyuiop ", "1Q2W3E4R5T"] {
            assert!(is_common(common), "{common:?}");
        }
        for good in ["correct horse battery", "rehearsal-demo", "", "#", "1234567890 and more"] {
            assert!(!is_common(good), "{good:?}");
        }
    }

    /// A shorter entry could never match, because shorter passwords are refused anyway.
    #[test]
    fn list_has_only_lower_case_entries_of_at_least_ten_characters() {
        let entries: Vec<_> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(entries.len() > 1_000, "{}", entries.len());
        for entry in entries {
            assert!(entry.chars().count() >= 10 && entry.to_lowercase() == entry, "{entry:?}");
        }
    }
}
