//! Buttons that add, remove or move a list item in a form without WASM.

use domain::{Draft, TextMatch};
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// The value of a button named `_action`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    operation: Operation,
    list: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Remove(usize),
    Up(usize),
    Down(usize),
}

impl FromStr for Action {
    type Err = ();

    /// Parses `add:LIST`, `remove:LIST:i`, `up:LIST:i` or `down:LIST:i`, where LIST is a
    /// path such as `conversation_flow` or `success_criteria.must_include`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (verb, list) = (parts.next().unwrap_or_default(), parts.next().ok_or(())?);
        let index = parts.next().map(|index| index.parse::<usize>().map_err(|_| ()));
        let operation = match (verb, index.transpose()?) {
            ("add", None) => Operation::Add,
            ("remove", Some(index)) => Operation::Remove(index),
            ("up", Some(index)) => Operation::Up(index),
            ("down", Some(index)) => Operation::Down(index),
            _ => return Err(()),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if parts.next().is_some() || list.is_empty() || !list.chars().all(allowed) {
            return Err(());
        }
        Ok(Self { operation, list: list.to_owned() })
    }
}

impl Action {
    /// Path of the list.
    #[must_use]
    pub fn list(&self) -> &str {
        &self.list
    }

    /// Changes the draft. Ignores indexes out of range.
    pub fn apply(&self, draft: &mut Draft) {
        let Some(list) = list_at(&mut draft.0, &self.list) else { return };
        match self.operation {
            Operation::Add => list.push(new_item(&self.list, list.last())),
            Operation::Remove(i) if i < list.len() => drop(list.remove(i)),
            Operation::Up(i) if i > 0 && i < list.len() => list.swap(i - 1, i),
            Operation::Down(i) if i + 1 < list.len() => list.swap(i, i + 1),
            Operation::Remove(_) | Operation::Up(_) | Operation::Down(_) => {}
        }
    }
}

/// The list at a path. Creates a missing list and splits a text into lines.
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

/// An empty item. A new turn alternates the speaker.
fn new_item(list: &str, last: Option<&Value>) -> Value {
    match list {
        "conversation_flow" => {
            let user = last.is_none_or(|turn| turn["speaker"] != "user");
            json!({"speaker": if user { "user" } else { "agent" }, "message": ""})
        }
        "expected_behaviors" => json!({"text": "", "required": "true"}),
        "success_criteria.must_include" => {
            json!({"text": "", "match": TextMatch::DEFAULT_OF_MUST_INCLUDE})
        }
        "success_criteria.must_not_include" => {
            json!({"text": "", "match": TextMatch::DEFAULT_OF_MUST_NOT_INCLUDE})
        }
        "tools" | "tool_mocks" | "prices" => json!({}),
        "variables" => json!({"secret": "false"}),
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
    fn actions_change_lists(#[case] action: &str, #[case] draft: Value, #[case] expected: Value) {
        assert_eq!(after(action, draft), expected);
    }

    #[test]
    fn new_turn_alternates_the_speaker() {
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
    fn invalid_actions_are_rejected(#[case] text: &str) {
        assert!(text.parse::<Action>().is_err());
    }
}
