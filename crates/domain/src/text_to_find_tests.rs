//! The texts of `must_include` and `must_not_include`.

use super::scenario_tests::{problems, valid};
use super::{Draft, ScenarioSpec, TextMatch, TextToFind};
use rstest::rstest;
use serde_json::{Value, json};

fn text(text: &str) -> TextToFind {
    TextToFind::Text(text.to_owned())
}

fn with_match(text: &str, matching: TextMatch) -> TextToFind {
    TextToFind::WithMatch { text: text.to_owned(), matching }
}

#[rstest]
#[case::text(json!(["a b"]), vec![text("a b")], vec![text("a b")])]
#[case::lines(json!("a\n\n b \n"), vec![text("a"), text("b")], vec![text("a"), text("b")])]
#[case::number(json!([5]), vec![text("5")], vec![text("5")])]
#[case::word(json!([{"text": "a", "match": "word"}]), vec![text("a")], vec![with_match("a", TextMatch::Word)])]
#[case::part(json!([{"text": "a", "match": "part"}]), vec![with_match("a", TextMatch::Part)], vec![text("a")])]
#[case::without_match(json!([{"text": " a "}]), vec![text("a")], vec![text("a")])]
#[case::blank_match(json!([{"text": "a", "match": ""}]), vec![text("a")], vec![text("a")])]
#[case::mixed(json!(["a", {"text": "b", "match": "Part"}]), vec![text("a"), with_match("b", TextMatch::Part)], vec![text("a"), text("b")])]
#[case::form(json!({"0": {"text": "a", "match": "part"}, "2": {"text": "b", "match": "word"}}),
    vec![with_match("a", TextMatch::Part), text("b")], vec![text("a"), with_match("b", TextMatch::Word)])]
#[case::literal(json!(["C#", "**", "user_id"]), vec![text("C#"), text("**"), text("user_id")], vec![text("C#"), text("**"), text("user_id")])]
#[case::none(json!([]), vec![], vec![])]
#[case::null(json!(null), vec![], vec![])]
fn text_items_are_texts_or_have_a_match(
    #[case] items: Value,
    #[case] include: Vec<TextToFind>,
    #[case] exclude: Vec<TextToFind>,
) {
    let criteria = json!({"must_include": items, "must_not_include": items});
    let spec = valid(json!({"success_criteria": criteria}));
    assert_eq!(spec.success_criteria.must_include, include);
    assert_eq!(spec.success_criteria.must_not_include, exclude);
    // The stored form parses to the same scenario, by both ways of reading it.
    let stored = serde_json::to_value(&spec).expect("JSON");
    assert_eq!(ScenarioSpec::parse(&Draft(stored.clone())), Ok(spec.clone()));
    assert_eq!(serde_json::from_value::<ScenarioSpec>(stored).ok(), Some(spec));
}

#[rstest]
#[case::blank(json!([" "]), "success_criteria.must_include[0]: must not be empty")]
#[case::blank_text(json!([{"text": " "}]), "success_criteria.must_include[0].text: must not be empty")]
#[case::no_text(json!([{"match": "word"}]), "success_criteria.must_include[0].text: must not be empty")]
#[case::unknown_match(json!([{"text": "a", "match": "regex"}]), "success_criteria.must_include[0].match: must be one of word, part")]
#[case::unknown_field(json!([{"text": "a", "case": true}]), "success_criteria.must_include[0].case: is not a known field; known fields: text, match")]
#[case::null(json!([null]), "success_criteria.must_include[0]: must be text, not null")]
#[case::list(json!([["a"]]), "success_criteria.must_include[0]: must be text, not a list")]
#[case::number(json!(5), "success_criteria.must_include: must be a list, not a number")]
#[case::too_many(json!(vec!["a"; 101]), "success_criteria.must_include: must have at most 100 entries, but has 101")]
#[case::too_many_lines(json!("a\n".repeat(101)), "success_criteria.must_include: must have at most 100 lines, but has 101")]
#[case::too_long(json!([{"text": "a".repeat(32_769)}]), "success_criteria.must_include[0].text: must be at most 32768 bytes, but is 32769")]
#[case::nul(json!([{"text": "a\0"}]), "success_criteria.must_include[0].text: must not contain the character U+0000")]
fn invalid_text_items_are_problems(#[case] items: Value, #[case] problem: &str) {
    assert_eq!(problems(json!({"success_criteria": {"must_include": items}})), [problem]);
}
