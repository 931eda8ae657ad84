//! JSON Pointers (RFC 6901), with negative indices and `*` for lists.

use serde_json::Value;

/// A valid pointer. The empty one points to the whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A field of an object, or an index of a list. Negative indices count from the end.
    Key(String),
    /// Every entry of a list; with a condition, every entry whose field has this text.
    Every(Option<(String, String)>),
}

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    /// What is wrong; reads as a continuation of the field's path.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(steps) = text.strip_prefix('/') else {
            return Err("must be a JSON Pointer, which begins with /");
        };
        steps.split('/').map(parse_step).collect::<Result<_, _>>().map(Self)
    }

    /// The values that the pointer finds, in order. Without `*`, there is at most one.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![document];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        }
        found
    }

    /// Whether the pointer may find several values.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Every(_)))
    }

    /// The longest part of the pointer that finds something, for messages.
    #[must_use]
    pub fn matching_part(&self, document: &Value) -> String {
        let mut matching = String::new();
        for end in 1..=self.0.len() {
            if Self(self.0[..end].to_vec()).find(document).is_empty() {
                break;
            }
            matching = Self(self.0[..end].to_vec()).to_string();
        }
        matching
    }
}

impl Step {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Key(key), Value::Object(map)) => map.get(key).into_iter().collect(),
            (Self::Key(key), Value::Array(list)) => entry(list, key).into_iter().collect(),
            (Self::Every(None), Value::Array(list)) => list.iter().collect(),
            (Self::Every(Some((field, wanted))), Value::Array(list)) => {
                let fits = |value: &&Value| value.get(field).is_some_and(|v| has_text(v, wanted));
                list.iter().filter(fits).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn entry<'a>(list: &'a [Value], key: &str) -> Option<&'a Value> {
    match key.strip_prefix('-') {
        Some(back) => list.len().checked_sub(back.parse().ok()?).and_then(|at| list.get(at)),
        None => list.get(key.parse::<usize>().ok()?),
    }
}

fn has_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        other => serde_json::to_string(other).is_ok_and(|text| text == wanted),
    }
}

fn parse_step(step: &str) -> Result<Step, &'static str> {
    if let Some(condition) = step.strip_prefix('*') {
        if condition.is_empty() {
            return Ok(Step::Every(None));
        }
        let inner = condition.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let pair = inner.and_then(|inner| inner.split_once('='));
        return match pair {
            Some((field, wanted)) if !field.is_empty() => {
                Ok(Step::Every(Some((unescape(field)?, unescape(wanted)?))))
            }
            _ => Err("must have the form *[field=value] after *"),
        };
    }
    unescape(step).map(Step::Key)
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next() {
                Some('0') => plain.push('~'),
                Some('1') => plain.push('/'),
                _ => return Err("may have ~ only as ~0 (for ~) or ~1 (for /)"),
            },
            other => plain.push(other),
        }
    }
    Ok(plain)
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let escape = |text: &str| text.replace('~', "~0").replace('/', "~1");
        for step in &self.0 {
            match step {
                Step::Key(key) => write!(f, "/{}", escape(key))?,
                Step::Every(None) => f.write_str("/*")?,
                Step::Every(Some((field, wanted))) => {
                    write!(f, "/*[{}={}]", escape(field), escape(wanted))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("", json!([{"a": {"b/c": 1}, "m": [{"r": "u", "t": "x"}, {"r": "a", "t": "y"}, {"r": "a"}]}]))]
    #[case("/a/b~1c", json!([1]))]
    #[case("/m/0/t", json!(["x"]))]
    #[case("/m/-1", json!([{"r": "a"}]))]
    #[case("/m/-2/t", json!(["y"]))]
    #[case("/m/-4/t", json!([]))]
    #[case("/m/*/t", json!(["x", "y"]))]
    #[case("/m/*[r=a]/t", json!(["y"]))]
    #[case("/m/*[r=z]/t", json!([]))]
    #[case("/m/7", json!([]))]
    #[case("/m/x", json!([]))]
    #[case("/a/*", json!([]))]
    #[case("/zz/y", json!([]))]
    fn pointer_finds(#[case] pointer: &str, #[case] expected: Value) {
        let document =
            json!({"a": {"b/c": 1}, "m": [{"r": "u", "t": "x"}, {"r": "a", "t": "y"}, {"r": "a"}]});
        let parsed = Pointer::parse(pointer).unwrap();
        assert_eq!(json!(parsed.find(&document)), expected);
        assert_eq!(parsed.to_string(), pointer);
    }

    #[rstest]
    #[case("reply")]
    #[case("/a~2")]
    #[case("/a~")]
    #[case("/*x")]
    #[case("/*[role]")]
    #[case("/*[=x]")]
    fn invalid_pointer_is_refused(#[case] pointer: &str) {
        assert!(Pointer::parse(pointer).is_err(), "{pointer}");
    }

    #[test]
    fn matching_part_ends_before_the_missing_field() {
        let pointer = Pointer::parse("/a/b/c").unwrap();
        assert_eq!(pointer.matching_part(&json!({"a": {"b": 1}})), "/a/b");
        assert_eq!(pointer.matching_part(&json!({"x": 1})), "");
    }
}
