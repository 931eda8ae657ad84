//! Names of tools. The rule is the common part of what providers accept.

use super::DraftReader;

/// Maximum length of the name of a tool, in characters.
pub(crate) const MAX_TOOL_NAME: usize = 64;

/// Reads as a continuation of "contains “look up”, but".
pub(crate) const TOOL_NAME_RULE: &str =
    "the name of a tool has 1 to 64 letters, digits, _ and - only";

/// Whether a tool can have this name.
pub(crate) fn is_tool_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=MAX_TOOL_NAME).contains(&name.len()) && name.chars().all(is_allowed)
}

/// Reads the name of a tool and reports an impossible one.
pub(crate) fn read_tool_name(reader: &mut DraftReader<'_>, field: &'static str) -> String {
    let name = reader.name(field, MAX_TOOL_NAME, true);
    let is_reported = name.is_empty() || name.chars().count() > MAX_TOOL_NAME;
    if !is_reported && !is_tool_name(&name) {
        reader.problem(field, "may contain only letters, digits, _ and -");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::is_tool_name;

    #[test]
    fn tool_names_have_letters_digits_underscores_and_hyphens() {
        for name in ["a", "find_slot", "Find-Slot-2", "9", &"x".repeat(64)] {
            assert!(is_tool_name(name), "{name}");
        }
        for name in ["", " ", "find slot", "find.slot", "größe", "a\n", "{}", &"x".repeat(65)] {
            assert!(!is_tool_name(name), "{name}");
        }
    }
}
