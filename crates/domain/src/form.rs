//! Parses the fields of an HTML form into a [`Draft`].
//!
//! Brackets in a field name build a tree: `persona[name]`,
//! `conversation_flow[2][message]`, `scenario_ids[]`. The browser checks a form
//! with the same parser with which the server reads the posted body.

use crate::Draft;
use crate::error::{AppError, ErrorCode};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fits 200 turns and 100 entries of every other list.
const MAX_FIELDS: usize = 10_000;
/// Maximum number of keys in one name, as in `a[b][c]`.
const MAX_DEPTH: usize = 8;

/// A text, unless something was posted below it.
#[derive(Default)]
struct Node {
    text: String,
    branch: Branch,
}

type Branch = BTreeMap<Key, Node>;

/// Numbers sort by value, and before words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Index(u32),
    Word(String),
}

/// Builds the draft that the fields of a form describe.
///
/// - The last value of a repeated name wins: a checked box overrides the hidden
///   `false` before it.
/// - `name[]` appends to a list.
/// - A branch whose keys are all numbers becomes a list in numeric order,
///   without gaps.
/// - A malformed name (`a[b`) is a plain name.
///
/// # Errors
/// [`ErrorCode::TooLarge`] for too many fields and for too many brackets in a
/// name.
pub fn parse(fields: Vec<(String, String)>) -> Result<Draft, AppError> {
    if fields.len() > MAX_FIELDS {
        return Err(AppError::new(ErrorCode::TooLarge, "The form has too many fields."));
    }
    let mut root = Branch::new();
    for (name, value) in fields {
        let (mut key, rest) = parse_name(&name);
        if rest.len() >= MAX_DEPTH {
            return Err(AppError::new(ErrorCode::TooLarge, "The form is nested too deeply."));
        }
        let mut branch = &mut root;
        for inside in rest {
            branch = &mut branch.entry(key).or_default().branch;
            key = match inside {
                "" => Key::Index(next_index(branch)),
                inside => parse_key(inside),
            };
        }
        // A posted body separates lines with CR LF, the browser's form data with LF.
        let text = value.replace("\r\n", "\n");
        branch.insert(key, Node { text, branch: Branch::new() });
    }
    Ok(Draft(to_object(root)))
}

/// Splits `a[b][]` into the key `a` and the texts in the brackets.
fn parse_name(name: &str) -> (Key, Vec<&str>) {
    let plain = || (Key::Word(name.to_owned()), Vec::new());
    let Some(open) = name.find('[').filter(|open| *open > 0) else { return plain() };
    let (word, mut rest) = name.split_at(open);
    let mut brackets = Vec::new();
    while !rest.is_empty() {
        match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, after)) if !inside.contains('[') => {
                brackets.push(inside);
                rest = after;
            }
            _ => return plain(),
        }
    }
    (Key::Word(word.to_owned()), brackets)
}

fn parse_key(text: &str) -> Key {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(index) if all_digits => Key::Index(index),
        _ => Key::Word(text.to_owned()),
    }
}

fn next_index(branch: &Branch) -> u32 {
    let last = branch.keys().rev().find_map(|key| match key {
        Key::Index(index) => Some(*index),
        Key::Word(_) => None,
    });
    last.map_or(0, |last| last.saturating_add(1))
}

fn to_value(node: Node) -> Value {
    let Node { text, branch } = node;
    if branch.is_empty() {
        Value::String(text)
    } else if branch.keys().all(|key| matches!(key, Key::Index(_))) {
        Value::Array(branch.into_values().map(to_value).collect())
    } else {
        to_object(branch)
    }
}

fn to_object(branch: Branch) -> Value {
    let entries = branch.into_iter().map(|(key, node)| {
        let name = match key {
            Key::Index(index) => index.to_string(),
            Key::Word(word) => word,
        };
        (name, to_value(node))
    });
    Value::Object(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, MAX_FIELDS, parse};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn parsed(fields: &[(&str, &str)]) -> Value {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        parse(fields).expect("a draft").0
    }

    #[rstest]
    #[case::plain(&[("name", "A"), ("note", "")], json!({"name": "A", "note": ""}))]
    #[case::nested(&[("persona[name]", "Mia")], json!({"persona": {"name": "Mia"}}))]
    #[case::list(
        &[("t[0][s]", "user"), ("t[0][m]", "Hi"), ("t[1][m]", "Yo")],
        json!({"t": [{"s": "user", "m": "Hi"}, {"m": "Yo"}]})
    )]
    #[case::gaps(&[("t[7]", "b"), ("t[2]", "a"), ("t[10]", "c")], json!({"t": ["a", "b", "c"]}))]
    #[case::append(&[("ids[]", "x"), ("ids[]", "y")], json!({"ids": ["x", "y"]}))]
    #[case::append_after_index(&[("ids[4]", "x"), ("ids[]", "y")], json!({"ids": ["x", "y"]}))]
    #[case::last_value_wins(&[("on", "false"), ("on", "true")], json!({"on": "true"}))]
    #[case::last_nested_value_wins(
        &[("b[0][r]", "false"), ("b[0][r]", "true")],
        json!({"b": [{"r": "true"}]})
    )]
    #[case::branch_replaces_text(&[("a", "1"), ("a[b]", "2")], json!({"a": {"b": "2"}}))]
    #[case::text_replaces_branch(&[("a[b]", "2"), ("a", "1")], json!({"a": "1"}))]
    #[case::indexes_and_words(&[("a[0]", "x"), ("a[k]", "y")], json!({"a": {"0": "x", "k": "y"}}))]
    #[case::malformed(
        &[("a[b", "1"), ("[c]", "2"), ("d]e", "3"), ("f[g[h]]", "4"), ("", "5")],
        json!({"a[b": "1", "[c]": "2", "d]e": "3", "f[g[h]]": "4", "": "5"})
    )]
    #[case::huge_index(&[("a[99999999999]", "x")], json!({"a": {"99999999999": "x"}}))]
    #[case::line_endings(&[("text", "one\r\ntwo\nthree")], json!({"text": "one\ntwo\nthree"}))]
    fn names_build_a_tree(#[case] fields: &[(&str, &str)], #[case] expected: Value) {
        assert_eq!(parsed(fields), expected);
    }

    #[test]
    fn numbered_branches_become_lists_in_numeric_order() {
        let draft = parsed(&[
            ("name", "A"),
            ("persona[name]", "Ada"),
            ("conversation_flow[10][message]", "last"),
            ("conversation_flow[2][message]", "first"),
            ("conversation_flow[2][speaker]", "user"),
        ]);
        let expected = json!({
            "name": "A",
            "persona": {"name": "Ada"},
            "conversation_flow": [{"message": "first", "speaker": "user"}, {"message": "last"}],
        });
        assert_eq!(draft, expected);
    }

    #[test]
    fn repeated_names_override_and_empty_brackets_append() {
        let draft = parsed(&[
            ("is_active", "false"),
            ("is_active", "true"),
            ("scenario_ids[]", "a"),
            ("scenario_ids[]", "b"),
        ]);
        assert_eq!(draft, json!({"is_active": "true", "scenario_ids": ["a", "b"]}));
    }

    #[test]
    fn malformed_names_do_not_touch_other_fields() {
        let draft = parsed(&[("", "x"), ("a[b", "1"), ("a", "2"), ("a[c]", "3"), ("[[]]", "4")]);
        assert_eq!(draft, json!({"": "x", "a[b": "1", "a": {"c": "3"}, "[[]]": "4"}));
    }

    #[rstest]
    #[case(MAX_DEPTH)]
    #[case(10_000)]
    fn deep_names_are_rejected(#[case] brackets: usize) {
        let name = |brackets| format!("a{}", "[b]".repeat(brackets));
        let error = parse(vec![(name(brackets), String::new())]).expect_err("too deep");
        assert_eq!(error.code.status(), 413);
        assert!(parse(vec![(name(MAX_DEPTH - 1), String::new())]).is_ok());
    }

    #[test]
    fn too_many_fields_are_rejected() {
        let fields = |count| vec![("a[]".to_owned(), String::new()); count];
        let error = parse(fields(MAX_FIELDS + 1)).expect_err("too many");
        assert_eq!(error.code.status(), 413);
        assert!(parse(fields(MAX_FIELDS)).is_ok());
    }

    proptest! {
        #[test]
        fn plain_names_keep_their_last_value(
            fields in prop::collection::vec(("[a-c\\[\\]0-9]{0,12}", "[xy]?"), 0..20),
        ) {
            if let Ok(draft) = parse(fields.clone()) {
                for (name, _) in fields.iter().filter(|(name, _)| !name.contains(['[', ']'])) {
                    let branched = fields.iter().any(|(n, _)| n.starts_with(&format!("{name}[")));
                    let last = fields.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                    if !branched {
                        let last = last.map(Value::String);
                        prop_assert_eq!(draft.0.get(name), last.as_ref());
                    }
                }
            }
        }
    }
}
