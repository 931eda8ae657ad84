use super::reply::*;
use super::reply_schema;
use domain::Basis;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

fn valid() -> Value {
    json!({
        "items": {
            "item_0": {"reason": "Said so.", "met": true, "basis": "evidence",
             "evidence": [{"turn": 1, "quote": "Good morning, how can I help?"}]},
            "item_1": {"reason": "Never did.", "met": false, "basis": "absence", "evidence": []},
            "item_2": {"reason": "Unclear.", "met": null, "basis": "evidence",
             "evidence": [{"turn": 3, "quote": "a"}, {"turn": 4, "quote": "b"}]}
        },
        "issues": ["Slow."],
        "recommendations": ["Be quicker."],
        "score": 62.5,
        "opinion": "Middling."
    })
}

#[test]
fn parse_reply_returns_all_fields() {
    let reply =
        parse_reply(&valid().to_string(), 3).unwrap_or_else(|problem| unreachable!("{problem}"));
    assert_eq!(reply.items.len(), 3);
    assert_eq!(reply.items[0].met, Some(true));
    assert_eq!(reply.items[1].basis, Some(Basis::Absence));
    assert_eq!(reply.items[2].met, None);
    assert_eq!(reply.items[2].evidence[1], Quote { turn: 4, quote: "b".to_owned() });
    assert_eq!(reply.score, Some(62.5));
    assert_eq!(reply.issues, ["Slow."]);
    assert_eq!(reply.recommendations, ["Be quicker."]);
    assert_eq!(reply.opinion.as_deref(), Some("Middling."));
}

#[test]
fn schema_accepts_valid_reply() {
    let validator = jsonschema::validator_for(&reply_schema(3));
    assert!(validator.is_ok_and(|validator| validator.is_valid(&valid())));
}

/// The same reply with its items in a list, in reverse order.
fn as_list() -> Value {
    let mut reply = valid();
    let items = reply["items"].as_object().cloned().unwrap_or_default();
    let listed = items.into_iter().enumerate().map(|(index, (_, mut item))| {
        item["index"] = json!(index);
        item
    });
    reply["items"] = listed.rev().collect();
    reply
}

#[test]
fn items_may_be_a_list_and_in_any_order() {
    assert_eq!(parse_reply(&as_list().to_string(), 3), parse_reply(&valid().to_string(), 3));
    let numbers = valid().to_string().replace("item_", "");
    assert_eq!(parse_reply(&numbers, 3), parse_reply(&valid().to_string(), 3));
}

#[test]
fn score_and_opinion_may_be_missing() {
    let mut reply = valid();
    if let Some(reply) = reply.as_object_mut() {
        reply.remove("score");
        reply.remove("opinion");
    }
    let reply = parse_reply(&reply.to_string(), 3);
    assert!(reply.is_ok_and(|reply| reply.score.is_none() && reply.opinion.is_none()));
}

#[test]
fn nul_characters_are_replaced() {
    let mut reply = valid();
    reply["items"]["item_0"]["reason"] = json!("a\0b");
    reply["items"]["item_0"]["evidence"][0]["quote"] = json!("a\0b");
    reply["issues"][0] = json!("a\0b");
    let reply = parse_reply(&reply.to_string(), 3);
    assert!(reply.is_ok_and(|reply| !format!("{reply:?}").contains("\\0")));
}

#[rstest]
#[case::missing_item(2, 3, "Item 2 was not answered")]
#[case::item_too_many(3, 2, "There is no item item_2")]
fn parse_reply_requires_each_item(
    #[case] answered: usize,
    #[case] item_count: usize,
    #[case] message: &str,
) {
    let mut reply = valid();
    let items = reply["items"].as_object_mut();
    items.into_iter().for_each(|items| items.retain(|key, _| *key < format!("item_{answered}")));
    let problem = parse_reply(&reply.to_string(), item_count).err().unwrap_or_default();
    assert!(problem.starts_with(message), "{problem}");
}

#[test]
fn parse_reply_rejects_duplicate_item() {
    let twice = Err("Item 1 was answered twice.".to_owned());
    let mut reply = as_list();
    reply["items"][0]["index"] = json!(1);
    assert_eq!(parse_reply(&reply.to_string(), 3), twice);
    let doubled = valid().to_string().replace("item_2", "item_1");
    assert_eq!(parse_reply(&doubled, 3), twice);
}

/// Collects JSON pointers to all values.
fn collect_pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, child)| {
            out.push(format!("{at}/{key}"));
            collect_pointers(child, &format!("{at}/{key}"), out);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, child)| {
            out.push(format!("{at}/{i}"));
            collect_pointers(child, &format!("{at}/{i}"), out);
        }),
        _ => {}
    }
}

/// Whether the value is valid at this pointer of the reply above.
fn fits(pointer: &str, new: &Value) -> bool {
    match pointer.rsplit('/').next().unwrap_or_default() {
        "reason" | "quote" => new.is_string(),
        "met" => new.is_boolean() || new.is_null(),
        // Without an answer there need be no basis.
        "basis" => pointer == "/items/item_2/basis" && new.is_null(),
        "turn" => new.is_u64(),
        "evidence" | "issues" | "recommendations" => *new == json!([]),
        "score" => new.is_null() || new.as_f64().is_some_and(|n| (0.0..=100.0).contains(&n)),
        "opinion" => new.is_null() || new.is_string(),
        _ if pointer == "/issues/0" || pointer == "/recommendations/0" => new.is_string(),
        _ => false,
    }
}

/// Replies with invalid values, missing fields, additional fields and truncated text.
fn malformed() -> Vec<String> {
    let reply = valid();
    let mut all = Vec::new();
    collect_pointers(&reply, "", &mut all);
    let others = [
        json!(null),
        json!(true),
        json!("true"),
        json!("x"),
        json!(-1),
        json!(7),
        json!(1.5),
        json!(1e99),
        json!([]),
        json!([null]),
        json!({}),
        json!({"a": 1}),
        json!(4294967296_u64),
    ];
    let mut texts = Vec::new();
    for pointer in &all {
        for other in others.iter().filter(|other| !fits(pointer, other)) {
            let mut changed = reply.clone();
            changed.pointer_mut(pointer).into_iter().for_each(|at| *at = other.clone());
            texts.push(changed.to_string());
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        let mut left_out = reply.clone();
        if !["score", "opinion"].contains(&key)
            && let Some(Value::Object(map)) = left_out.pointer_mut(parent)
        {
            map.remove(key);
            texts.push(left_out.to_string());
        }
    }
    for pointer in all.iter().map(String::as_str).chain([""]) {
        let mut added = reply.clone();
        if let Some(Value::Object(map)) = added.pointer_mut(pointer) {
            map.insert("verdict".to_owned(), json!("passed"));
            texts.push(added.to_string());
        }
    }
    let text = reply.to_string();
    texts.extend((0..text.len()).filter_map(|end| text.get(..end)).map(str::to_owned));
    texts.extend((1..text.len()).filter_map(|start| text.get(start..)).map(str::to_owned));
    let doubled = |field: &str, twice: &str| text.replacen(field, twice, 1);
    texts.push(doubled("\"met\":true", "\"met\":true,\"met\":false"));
    texts.push(doubled("\"score\":62.5", "\"score\":62.5,\"score\":90"));
    texts.push(doubled("\"items\":{", "\"items\":{},\"items\":{"));
    texts.push(doubled("62.5", "NaN"));
    texts.push(doubled("62.5", "100.01"));
    texts.push(doubled("62.5", "-0.5"));
    texts.push(format!("The verdict: {text}"));
    texts.push(format!("{text}\n\nI hope this helps."));
    texts.push(format!("[{text}]"));
    texts.push(format!("{text}{text}"));
    texts.push(Value::String(text.clone()).to_string());
    texts.push(text.replace('"', "'"));
    texts.push(text.replace(':', "="));
    texts
}

#[test]
fn parse_reply_rejects_malformed_replies() {
    let texts = malformed();
    assert!(texts.len() > 200, "only {}", texts.len());
    for text in &texts {
        assert!(parse_reply(text, 3).is_err(), "was read: {text}");
    }
}

#[test]
fn problems_are_sentences() {
    for text in malformed() {
        let problem = parse_reply(&text, 3).err().unwrap_or_default();
        assert!(problem.ends_with('.') && problem.len() > 10, "{problem}");
    }
}

proptest! {
    /// Random edits make a reply either unreadable or leave it complete.
    #[test]
    fn damaged_reply_is_unreadable_or_complete(
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9a-z .-]?", any::<bool>()), 1..4),
    ) {
        let mut chars: Vec<char> = valid().to_string().chars().collect();
        for (at, put, take) in edits {
            let at = at.index(chars.len());
            if take { chars.remove(at); }
            chars.splice(at..at, put.chars());
        }
        let text: String = chars.into_iter().collect();
        if let Ok(reply) = parse_reply(&text, 3) {
            prop_assert_eq!(reply.items.len(), 3);
            prop_assert!(reply.score.is_none_or(|score| (0.0..=100.0).contains(&score)));
            prop_assert!(reply.items.iter().all(|item| item.met.is_none() || item.basis.is_some()));
        }
    }

    #[test]
    fn parse_reply_never_panics(text in "(?s)(\\{|\\}|```|json|\"items\":|\\[|\\]|.){0,30}", n in 0usize..4) {
        prop_assert!(parse_reply(&text, n).is_err());
    }
}
