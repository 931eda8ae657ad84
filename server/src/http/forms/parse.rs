//! Names with brackets, as plain forms post them, into a draft:
//! `persona[name]`, `conversation_flow[2][message]`, `scenario_ids[]`.

use domain::Draft;
use domain::error::{AppError, ErrorCode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most fields of one form: 200 turns and 100 of every other list fit.
const FIELDS: usize = 10_000;
/// The deepest name: `a[b][c]…`.
const DEPTH: usize = 8;

/// A tree of fields while it grows.
enum Node {
    Leaf(String),
    Branch(BTreeMap<Key, Node>),
}

/// Numbers sort as numbers, and before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Index(u32),
    Word(String),
}

/// One step of a name.
enum Step {
    Key(Key),
    /// `[]`: after the last.
    Append,
}

/// The draft that the pairs of a form spell. The last value of a name wins (a
/// hidden `false` before a box that is ticked), `[]` appends, and what is
/// numbered becomes a list in that order, gaps closed.
///
/// # Errors
/// 413 for more than any form of ours has.
pub fn draft(pairs: Vec<(String, String)>) -> Result<Draft, AppError> {
    if pairs.len() > FIELDS {
        return Err(too_much("The form has too many fields."));
    }
    let mut fields = BTreeMap::new();
    for (name, value) in pairs {
        let mut steps = steps(&name);
        if steps.len() > DEPTH {
            return Err(too_much("The form is nested too deeply."));
        }
        // Browsers end lines with CR LF; everybody else does not.
        let value = value.replace("\r\n", "\n");
        let first = match steps.remove(0) {
            Step::Key(key) => key,
            Step::Append => Key::Word(name),
        };
        place(&mut fields, first, steps.into_iter(), value);
    }
    Ok(Draft(object(fields)))
}

fn too_much(sentence: &str) -> AppError {
    AppError::new(ErrorCode::TooLarge, sentence)
}

/// The steps of a name; one that is not well formed is a plain name. Never
/// empty.
fn steps(name: &str) -> Vec<Step> {
    let whole = || vec![Step::Key(Key::Word(name.to_owned()))];
    let Some(open) = name.find('[').filter(|open| *open > 0) else { return whole() };
    let (word, mut rest) = name.split_at(open);
    let mut steps = vec![Step::Key(Key::Word(word.to_owned()))];
    while !rest.is_empty() {
        let Some((inside, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) else {
            return whole();
        };
        if inside.contains('[') {
            return whole();
        }
        steps.push(match inside {
            "" => Step::Append,
            inside => Step::Key(key(inside)),
        });
        rest = after;
    }
    steps
}

fn key(text: &str) -> Key {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(index) if plain => Key::Index(index),
        _ => Key::Word(text.to_owned()),
    }
}

fn place(
    fields: &mut BTreeMap<Key, Node>,
    key: Key,
    mut steps: impl Iterator<Item = Step>,
    value: String,
) {
    let Some(step) = steps.next() else {
        fields.insert(key, Node::Leaf(value));
        return;
    };
    let node = fields.entry(key).or_insert_with(|| Node::Branch(BTreeMap::new()));
    // `a=1&a[b]=2`: the last wins here, too.
    if matches!(node, Node::Leaf(_)) {
        *node = Node::Branch(BTreeMap::new());
    }
    if let Node::Branch(inner) = node {
        let next = match step {
            Step::Key(key) => key,
            Step::Append => Key::Index(next_index(inner)),
        };
        // Names are short (`DEPTH`), so this does not go deep.
        let steps: Box<dyn Iterator<Item = Step>> = Box::new(steps);
        place(inner, next, steps, value);
    }
}

fn next_index(fields: &BTreeMap<Key, Node>) -> u32 {
    let last = fields.keys().rev().find_map(|key| match key {
        Key::Index(index) => Some(*index),
        Key::Word(_) => None,
    });
    last.map_or(0, |last| last.saturating_add(1))
}

fn value(node: Node) -> Value {
    match node {
        Node::Leaf(text) => Value::String(text),
        Node::Branch(fields) if fields.keys().all(|key| matches!(key, Key::Index(_))) => {
            Value::Array(fields.into_values().map(value).collect())
        }
        Node::Branch(fields) => object(fields),
    }
}

fn object(fields: BTreeMap<Key, Node>) -> Value {
    let name = |key| match key {
        Key::Index(index) => index.to_string(),
        Key::Word(word) => word,
    };
    let map: Map<String, Value> =
        fields.into_iter().map(|(key, node)| (name(key), value(node))).collect();
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, FIELDS, draft};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn parse(pairs: &[(&str, &str)]) -> Value {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        draft(pairs).expect("a draft").0
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
    #[case::append_after(&[("ids[4]", "x"), ("ids[]", "y")], json!({"ids": ["x", "y"]}))]
    #[case::last_wins(&[("on", "false"), ("on", "true")], json!({"on": "true"}))]
    #[case::inner_last_wins(
        &[("b[0][r]", "false"), ("b[0][r]", "true")],
        json!({"b": [{"r": "true"}]})
    )]
    #[case::leaf_then_branch(&[("a", "1"), ("a[b]", "2")], json!({"a": {"b": "2"}}))]
    #[case::branch_then_leaf(&[("a[b]", "2"), ("a", "1")], json!({"a": "1"}))]
    #[case::mixed(&[("a[0]", "x"), ("a[k]", "y")], json!({"a": {"0": "x", "k": "y"}}))]
    #[case::odd(
        &[("a[b", "1"), ("[c]", "2"), ("d]e", "3"), ("f[g[h]]", "4"), ("", "5")],
        json!({"a[b": "1", "[c]": "2", "d]e": "3", "f[g[h]]": "4", "": "5"})
    )]
    #[case::huge_index(&[("a[99999999999]", "x")], json!({"a": {"99999999999": "x"}}))]
    #[case::lines(&[("text", "one\r\ntwo\nthree")], json!({"text": "one\ntwo\nthree"}))]
    fn names_spell_a_tree(#[case] pairs: &[(&str, &str)], #[case] expected: Value) {
        assert_eq!(parse(pairs), expected);
    }

    #[test]
    fn too_deep_and_too_many_are_refused() {
        let name = format!("a{}", "[b]".repeat(DEPTH));
        let error = draft(vec![(name, String::new())]).expect_err("too deep");
        assert_eq!(error.code.status(), 413);
        let many = vec![("a[]".to_owned(), String::new()); FIELDS + 1];
        assert_eq!(draft(many).expect_err("too many").code.status(), 413);
    }

    proptest! {
        #[test]
        fn no_names_upset_it(
            pairs in prop::collection::vec(("[a-c\\[\\]0-9]{0,12}", "[xy]?"), 0..20),
        ) {
            let draft = draft(pairs.clone());
            // Every plain name keeps its last value.
            if let Ok(draft) = draft {
                for (name, _) in pairs.iter().filter(|(name, _)| !name.contains(['[', ']'])) {
                    let branched = pairs.iter().any(|(n, _)| n.starts_with(&format!("{name}[")));
                    let last = pairs.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                    if !branched {
                        let last = last.map(Value::String);
                        prop_assert_eq!(draft.0.get(name), last.as_ref());
                    }
                }
            }
        }
    }
}
