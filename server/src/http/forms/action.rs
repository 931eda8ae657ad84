//! Buttons that change a form without sending it off: add, remove, move an
//! entry of a list. For pages without WASM.

use domain::Draft;
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// The value of a button named `_action`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    what: What,
    list: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Add,
    Remove(usize),
    Up(usize),
    Down(usize),
}

impl FromStr for Action {
    type Err = ();

    /// `add:LIST`, `remove:LIST:i`, `up:LIST:i`, `down:LIST:i`; LIST is a path
    /// like `conversation_flow` or `success_criteria.must_include`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (verb, list) = (parts.next().unwrap_or_default(), parts.next().ok_or(())?);
        let index = parts.next().map(|index| index.parse::<usize>().map_err(|_| ()));
        let what = match (verb, index.transpose()?) {
            ("add", None) => What::Add,
            ("remove", Some(index)) => What::Remove(index),
            ("up", Some(index)) => What::Up(index),
            ("down", Some(index)) => What::Down(index),
            _ => return Err(()),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if parts.next().is_some() || list.is_empty() || !list.chars().all(known) {
            return Err(());
        }
        Ok(Self { what, list: list.to_owned() })
    }
}

impl Action {
    /// The list that it changes.
    #[must_use]
    pub fn list(&self) -> &str {
        &self.list
    }

    /// Changes the draft. What does not fit (an index beyond the end) changes
    /// nothing.
    pub fn apply(&self, draft: &mut Draft) {
        let Some(list) = list_at(&mut draft.0, &self.list) else { return };
        match self.what {
            What::Add => list.push(blank(&self.list, list.last())),
            What::Remove(i) if i < list.len() => drop(list.remove(i)),
            What::Up(i) if i > 0 && i < list.len() => list.swap(i - 1, i),
            What::Down(i) if i + 1 < list.len() => list.swap(i, i + 1),
            What::Remove(_) | What::Up(_) | What::Down(_) => {}
        }
    }
}

/// The list at a path, made where there is none. A text (one entry a line)
/// becomes the list of its lines.
fn list_at<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Vec<Value>> {
    let mut at = value;
    for step in path.split('.') {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut()?.entry(step).or_insert(Value::Null);
    }
    match at {
        Value::Null => *at = json!([]),
        Value::String(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            *at = lines.map(|line| Value::String(line.to_owned())).collect();
        }
        _ => {}
    }
    at.as_array_mut()
}

/// A new entry: of the kind that the list holds. A conversation goes on with
/// the other one's turn.
fn blank(list: &str, last: Option<&Value>) -> Value {
    match list {
        "conversation_flow" => {
            let user = last.is_none_or(|turn| turn["speaker"] != "user");
            json!({"speaker": if user { "user" } else { "agent" }, "message": ""})
        }
        "expected_behaviors" => json!({"text": "", "required": "true"}),
        "tools" | "tool_mocks" => json!({}),
        _ => json!(""),
    }
}

#[cfg(test)]
mod tests {
    use super::Action;
    use domain::Draft;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn after(action: &str, draft: Value) -> Value {
        let mut draft = Draft(draft);
        action.parse::<Action>().expect("an action").apply(&mut draft);
        draft.0
    }

    #[rstest]
    #[case("remove:l:1", json!({"l": ["a", "b", "c"]}), json!({"l": ["a", "c"]}))]
    #[case("up:l:2", json!({"l": ["a", "b", "c"]}), json!({"l": ["a", "c", "b"]}))]
    #[case("up:l:0", json!({"l": ["a", "b"]}), json!({"l": ["a", "b"]}))]
    #[case("down:l:0", json!({"l": ["a", "b"]}), json!({"l": ["b", "a"]}))]
    #[case("down:l:1", json!({"l": ["a", "b"]}), json!({"l": ["a", "b"]}))]
    #[case("remove:l:9", json!({"l": ["a"]}), json!({"l": ["a"]}))]
    #[case("add:l", json!({}), json!({"l": [""]}))]
    #[case("add:x.l", json!({"x": {"l": "a\n\n b "}}), json!({"x": {"l": ["a", "b", ""]}}))]
    #[case("add:l.m", json!({"l": "text"}), json!({"l": "text"}))]
    fn lists_change(#[case] action: &str, #[case] draft: Value, #[case] expected: Value) {
        assert_eq!(after(action, draft), expected);
    }

    #[test]
    fn a_new_turn_is_the_other_ones() {
        let one = after("add:conversation_flow", json!({}));
        assert_eq!(one["conversation_flow"][0]["speaker"], "user");
        let two = after("add:conversation_flow", one);
        assert_eq!(two["conversation_flow"][1]["speaker"], "agent");
    }

    #[rstest]
    #[case("")]
    #[case("add")]
    #[case("add:")]
    #[case("add:l:1")]
    #[case("remove:l")]
    #[case("remove:l:-1")]
    #[case("explode:l:1")]
    #[case("up:a<b:1")]
    #[case("up:l:1:2")]
    fn anything_else_is_no_action(#[case] text: &str) {
        assert!(text.parse::<Action>().is_err());
    }
}
