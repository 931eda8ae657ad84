use super::evidence::QuoteIndex;
use conversation::fixtures::{answers, call, calls, says, transcript, user};
use domain::Turn;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn sample_transcript() -> Vec<Turn> {
    let mut booking = calls("Let me look that up for you.", &[]);
    booking.tool_calls = vec![call("c1", "find_slot", json!({"day": "Monday", "count": 2}))];
    transcript(vec![
        user("I demand a full refund right now!"),
        booking,
        answers("c1", "{\"free\":[\"09:00\",\"10:30\"]}"),
        says("We **can’t** offer that—but here’s a voucher:\n\n- 10 % off\n- valid “until May”"),
        user("Okay, whatever you say to me."),
        says("Okay."),
    ])
}

#[rstest]
#[case::literal(1, "Let me look that up", Some(1))]
#[case::folded(3, "we can't offer that - but here's a voucher", Some(3))]
#[case::over_lines(3, "voucher: 10% off valid \"until May\"", Some(3))]
#[case::quoted_quote(1, "\"Let me look that up...\"", Some(1))]
#[case::dots_around(1, "…look that up for you…", Some(1))]
#[case::wrong_number(5, "Let me look that up for you.", Some(1))]
#[case::no_such_turn(99, "Let me look that up for you.", Some(1))]
#[case::call(1, "find_slot({\"day\": \"Monday\", \"count\": 2})", Some(1))]
#[case::tool_result(2, "\"free\": [\"09:00\", \"10:30\"]", Some(2))]
#[case::whole_short_turn(5, "Okay", Some(5))]
#[case::whole_short_turn_as_is(5, "Okay.", Some(5))]
#[case::of_the_user(0, "I demand a full refund", None)]
#[case::of_the_user_under_another_number(3, "I demand a full refund", None)]
#[case::short_part(1, "Let me look", None)]
#[case::invented(3, "We can gladly offer that today", None)]
#[case::joined(1, "Let me look … for you.", None)]
#[case::nothing(1, "", None)]
#[case::only_marks(1, "\"...\"", None)]
#[case::white_space(1, " \n ", None)]
fn find_returns_turn_of_quote(#[case] turn: u32, #[case] quote: &str, #[case] found: Option<u32>) {
    assert_eq!(QuoteIndex::new(&sample_transcript()).find(turn, quote), found);
}

#[test]
fn quotes_need_twelve_characters() {
    let turns = transcript(vec![user("x"), says("abcdefghijklmnop")]);
    let index = QuoteIndex::new(&turns);
    assert_eq!(index.find(1, "abcdefghijkl"), Some(1));
    assert_eq!(index.find(1, "abcdefghijk"), None);
}

#[rstest]
#[case::dot_at_the_end("for certain.", Some(1))]
#[case::quotation_mark_at_the_end("called \"Max\"", Some(1))]
#[case::quotation_mark_at_the_beginning("“Max” for no", Some(1))]
#[case::eleven("or certain.", None)]
// Marks that are not in the turn do not count toward the length.
#[case::padded("Max.........", None)]
#[case::quoted("\"or certain\"", None)]
fn surrounding_marks_count_only_if_in_turn(#[case] quote: &str, #[case] found: Option<u32>) {
    let turns =
        transcript(vec![user("x"), says("He is called “Max” for now. I know it for certain.")]);
    assert_eq!(QuoteIndex::new(&turns).find(1, quote), found);
}

#[test]
fn quote_of_user_turn_is_rejected_although_agent_repeats_it() {
    let turns = transcript(vec![
        user("I was promised a refund"),
        says("You were: I was promised a refund?"),
    ]);
    let index = QuoteIndex::new(&turns);
    assert_eq!(index.find(0, "I was promised a refund"), None);
    assert_eq!(index.find(1, "I was promised a refund"), Some(1));
}

#[test]
fn blank_turn_verifies_nothing() {
    let turns = transcript(vec![user("x"), says("")]);
    assert_eq!(QuoteIndex::new(&turns).find(1, ""), None);
    assert_eq!(QuoteIndex::new(&turns).find(1, "..."), None);
}

proptest! {
    #[test]
    fn user_text_never_verifies(words in "[a-m ]{0,60}", from in 0usize..60, to in 0usize..60, named in 0u32..4) {
        // Agent and user turns have no letter in common.
        let turns = transcript(vec![user(&words), says("nopq rstu vwxyz"), user(&words), says("zzz")]);
        let (from, to) = (from.min(to).min(words.len()), from.max(to).min(words.len()));
        prop_assert_eq!(QuoteIndex::new(&turns).find(named, &words[from..to]), None);
    }

    #[test]
    fn found_turn_contains_quote(quote in "[a-d ]{0,20}", named in 0u32..5, texts in prop::collection::vec("[a-d ]{0,40}", 1..5)) {
        let turns: Vec<_> = texts.iter().enumerate()
            .map(|(i, text)| if i % 2 == 0 { user(text) } else { says(text) }).collect();
        if let Some(turn) = QuoteIndex::new(&transcript(turns)).find(named, &quote) {
            prop_assert!(turn % 2 == 1);
            let text = texts[turn as usize].replace(' ', "");
            let quote = quote.replace(' ', "");
            prop_assert!(!quote.is_empty() && text.contains(&quote));
        }
    }
}
