//! Measures how large a JSON Schema becomes when its references are expanded.

use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Maximum size of a schema in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Maximum nesting depth with expanded references.
const MAX_DEPTH: usize = 64;
/// Maximum number of parts with expanded references.
const MAX_PARTS: u64 = 10_000;

/// Keywords whose value maps names to schemas.
const MAPS: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Keywords whose value is data. References in it are not followed.
const DATA: [&str; 5] = ["enum", "const", "default", "examples", "example"];

/// The size of a schema with expanded references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// The number of JSON values.
    pub(super) parts: u64,
    /// The number of regular expressions.
    pub(super) patterns: u64,
    depth: usize,
}

impl Measure {
    fn add(&mut self, child: Self) {
        self.parts = self.parts.saturating_add(child.parts);
        self.patterns = self.patterns.saturating_add(child.patterns);
        self.depth = self.depth.max(child.depth + 1);
    }
}

/// Measures a schema.
///
/// # Errors
/// The schema exceeds a limit, is recursive, or refers to another document. The
/// message reads as a continuation of the field's path.
pub(super) fn measure(schema: &Value) -> Result<Measure, String> {
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(format!("must be at most {MAX_BYTES} bytes, but is {bytes}"));
    }
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let old = draft.contains("draft-04") || draft.contains("draft-03");
    let id = if old { "id" } else { "$id" };
    let mut measuring = Measuring { root: schema, id, known: HashMap::new(), open: HashSet::new() };
    measuring.schema(schema, 0)
}

struct Measuring<'a> {
    root: &'a Value,
    /// The keyword that changes the base of references.
    id: &'static str,
    /// Schemas by address.
    known: HashMap<*const Value, Measure>,
    /// Schemas that contain or refer to the current one.
    open: HashSet<*const Value>,
}

impl<'a> Measuring<'a> {
    fn schema(&mut self, schema: &'a Value, depth: usize) -> Result<Measure, String> {
        let address = std::ptr::from_ref(schema);
        if let Some(known) = self.known.get(&address).copied() {
            return check(known, depth);
        }
        check(Measure::default(), depth)?;
        self.open.insert(address);
        let mut total = Measure { parts: 1, ..Measure::default() };
        match schema {
            Value::Object(map) => {
                for (keyword, value) in map {
                    total.add(self.keyword(schema, keyword, value, depth + 1)?);
                    check(total, depth)?;
                }
                // They apply the neighboring schemas again.
                if map.keys().any(|keyword| keyword.starts_with("unevaluated")) {
                    total.parts = total.parts.saturating_mul(2);
                    total.patterns = total.patterns.saturating_mul(2);
                }
            }
            Value::Array(list) => {
                for item in list {
                    total.add(self.schema(item, depth + 1)?);
                    check(total, depth)?;
                }
            }
            _ => {}
        }
        self.open.remove(&address);
        self.known.insert(address, total);
        check(total, depth)
    }

    /// The value of a keyword of `schema`.
    fn keyword(
        &mut self,
        schema: &'a Value,
        keyword: &str,
        value: &'a Value,
        depth: usize,
    ) -> Result<Measure, String> {
        match (keyword, value) {
            ("$ref", Value::String(target)) => self.reference(target, depth),
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                Err(format!("must not use {keyword}: recursive schemas are not supported"))
            }
            ("pattern", Value::String(_)) => {
                Ok(Measure { parts: 1, patterns: 1, ..Measure::default() })
            }
            (keyword, Value::String(_))
                if keyword == self.id && !std::ptr::eq(schema, self.root) =>
            {
                Err(format!("must not use {keyword} below its root"))
            }
            (keyword, Value::Object(map)) if MAPS.contains(&keyword) => {
                let mut measure = self.map(map, depth)?;
                if keyword == "patternProperties" {
                    measure.patterns = measure.patterns.saturating_add(count(map.len()));
                }
                Ok(measure)
            }
            (keyword, value) if DATA.contains(&keyword) => {
                Ok(Measure { parts: parts(value), ..Measure::default() })
            }
            (_, value) => self.schema(value, depth),
        }
    }

    fn map(&mut self, map: &'a Map<String, Value>, depth: usize) -> Result<Measure, String> {
        let mut total = Measure { parts: 1, ..Measure::default() };
        for value in map.values() {
            total.add(self.schema(value, depth + 1)?);
            check(total, depth)?;
        }
        Ok(total)
    }

    fn reference(&mut self, target: &str, depth: usize) -> Result<Measure, String> {
        let schema = self.resolve(target)?;
        if self.open.contains(&std::ptr::from_ref(schema)) {
            return Err(format!(
                "refers to itself ($ref {target:?}); recursive schemas are not supported"
            ));
        }
        self.schema(schema, depth)
    }

    fn resolve(&self, target: &str) -> Result<&'a Value, String> {
        let Some(fragment) = target.strip_prefix('#') else {
            return Err(format!(
                "refers to {target:?}; references must name a part of the same schema, like \
                 \"#/$defs/address\""
            ));
        };
        let missing = || format!("refers to {target:?}, which it does not contain");
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(&percent_decode(fragment)).ok_or_else(missing);
        }
        let mut found = Vec::new();
        find_anchors(self.root, fragment, self.id, &mut found);
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(missing()),
            _ => Err(format!("has several anchors {fragment:?}")),
        }
    }
}

/// Checks the limits of a part at `depth`.
fn check(measure: Measure, depth: usize) -> Result<Measure, String> {
    if depth + measure.depth > MAX_DEPTH {
        return Err(format!(
            "is nested too deeply: more than {MAX_DEPTH} levels with its references expanded"
        ));
    }
    if measure.parts > MAX_PARTS {
        return Err(format!(
            "is too complex: more than {MAX_PARTS} parts with its references expanded"
        ));
    }
    Ok(measure)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The number of JSON values.
fn parts(value: &Value) -> u64 {
    match value {
        Value::Array(list) => 1 + list.iter().map(parts).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(parts).sum::<u64>(),
        _ => 1,
    }
}

/// The schemas that declare the anchor `name`.
fn find_anchors<'a>(value: &'a Value, name: &str, id: &str, found: &mut Vec<&'a Value>) {
    let own = |keyword: &str| value.get(keyword).and_then(Value::as_str);
    let by_id = own(id).and_then(|id| id.strip_prefix('#'));
    if own("$anchor").or(own("$dynamicAnchor")).or(by_id) == Some(name) {
        found.push(value);
    }
    match value {
        Value::Array(list) => list.iter().for_each(|item| find_anchors(item, name, id, found)),
        Value::Object(map) => map.values().for_each(|item| find_anchors(item, name, id, found)),
        _ => {}
    }
}

/// Decodes `%2F` and the like. Invalid sequences stay as they are.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
