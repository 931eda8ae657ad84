use super::budget::Budget;
use super::evidence::QuoteIndex;
use conversation::fixtures::{answers, call, calls, says, transcript, user};
use domain::Turn;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn find(turns: &[Turn], named: u32, quote: &str) -> Option<u32> {
    QuoteIndex::new(turns, false, Budget::new()).find(named, quote, false)
}

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
#[case::with_markup(3, "We **can't** offer that", Some(3))]
#[case::part_of_markup(3, "can’t** offer that", Some(3))]
#[case::tool_result(2, "\"free\": [\"09:00\", \"10:30\"]", None)]
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
    assert_eq!(find(&sample_transcript(), turn, quote), found);
}

#[test]
fn quotes_need_twelve_characters() {
    let turns = transcript(vec![user("x"), says("abcdefghijkl 23456789012 mnop")]);
    assert_eq!(find(&turns, 1, "abcdefghijkl"), Some(1));
    assert_eq!(find(&turns, 1, "23456789012"), None);
}

#[rstest]
#[case::dot_at_the_end("for certain.", Some(1))]
#[case::quotation_mark_at_the_end("called \"Max\"", Some(1))]
#[case::quotation_mark_at_the_beginning("“Tim” for us", Some(1))]
#[case::eleven("or certain.", None)]
// Marks that are not in the turn do not count toward the length.
#[case::padded("Max.........", None)]
#[case::quoted("\"or certain\"", None)]
fn surrounding_marks_count_only_if_in_turn(#[case] quote: &str, #[case] found: Option<u32>) {
    let turns = transcript(vec![
        user("x"),
        says("He is called “Max” for now, “Tim” for us. I know it for certain."),
    ]);
    assert_eq!(find(&turns, 1, quote), found);
}

#[rstest]
#[case::beginning_of_a_word("We are unable to refund that.", "able to refund that", None)]
#[case::whole_words("We are able to refund that.", "able to refund that", Some(1))]
#[case::end_of_a_word("We offer big discounts today.", "offer big discount", None)]
#[case::end_of_a_number("You will get exactly $50 back.", "get exactly $5", None)]
#[case::whole_number("You will get exactly $50 back.", "get exactly $50", Some(1))]
#[case::before_decimals("You will get exactly $5.50 back.", "get exactly $5", None)]
#[case::before_a_comma("You will get exactly $5, 3 times.", "get exactly $5", Some(1))]
#[case::grouped("You will get exactly $1,628 back.", "get exactly $1", None)]
#[case::identifier("Look at account_identifier_2 now.", "account_identifier", None)]
#[case::negated_compound("It is non-refundable and final.", "refundable and final", Some(1))]
#[case::beside_a_removed_space("He is called \"Max\" for now.", "is called \"Max\"", Some(1))]
#[case::second_occurrence("unable to refund, able to refund", "able to refund", Some(1))]
#[case::json_spaces("{\"a\": 1, \"b\": 22}", "{\"a\":1,\"b\":22}", Some(1))]
#[case::json_without_spaces("{\"a\":1,\"b\":22}", "{ \"a\": 1, \"b\": 22 }", Some(1))]
#[case::json_other_number("{\"a\":1,\"b\":22}", "{\"a\": 1, \"b\": 2", None)]
#[case::joined_words("We cannot refund that.", "We can not refund", None)]
#[case::divided_words("We can not refund that.", "We cannot refund", None)]
#[case::percent("You get 10 % off today.", "You get 10% off", Some(1))]
#[case::number_sign("Your order is 142 today.", "Your order is #42", None)]
#[case::cyrillic("Это небольшой подарок", "большой подарок", None)]
#[case::japanese("全額を返金することはできません。", "返金することはできません", Some(1))]
fn quotes_are_whole_words(#[case] said: &str, #[case] quote: &str, #[case] found: Option<u32>) {
    let turns = transcript(vec![user("x"), says(said), user("x"), says("Something else.")]);
    assert_eq!(find(&turns, 1, quote), found);
    assert_eq!(find(&turns, 3, quote), found, "under another number");
}

/// A space may be missing or added beside a character that belongs to no word, and nowhere
/// else.
#[rstest]
#[case::after_a_colon("The price is:40 dollars", "The price is: 40 dollars", true)]
#[case::before_a_colon("The price is: 40 dollars", "The price is : 40 dollars", true)]
#[case::in_parentheses("It is open (on Sundays) too", "It is open ( on Sundays ) too", true)]
#[case::around_a_slash("Pay weekly / monthly here", "Pay weekly/monthly here", true)]
#[case::around_an_equals_sign("with retries = 3 in all", "with retries=3 in all", true)]
#[case::before_a_percent_sign("You save 10 % off today", "You save 10% off today", true)]
#[case::after_a_comma("Monday, Tuesday, Friday", "Monday,Tuesday,Friday", true)]
#[case::nested_json("{\"a\": {\"b\": [1, 2]}}", "{\"a\":{\"b\":[1,2]}}", true)]
#[case::line_break_in_json("{\n  \"a\": 1,\n  \"b\": 2\n}", "{\"a\":1,\"b\":2}", true)]
#[case::between_words("We can not refund it", "We cannot refund it", false)]
#[case::within_a_word("We cannot refund it", "We can not refund it", false)]
#[case::between_digits("Call 555 123 now please", "Call 555123 now please", false)]
#[case::within_a_number("Call 555123 now please", "Call 555 123 now please", false)]
#[case::between_word_and_number("You pay 40 USD today", "You pay 40USD today", false)]
#[case::other_character("The price is: 40 dollars", "The price is; 40 dollars", false)]
#[case::missing_character("The price is: 40 dollars", "The price is 40 dollars", false)]
#[case::words_end_at_a_dropped_space("a value: un, able to pay", "value: unable to pay", false)]
#[case::other_value("{\"a\": 1, \"b\": 22}", "{\"a\":1,\"b\":2", false)]
fn spaces_are_ignored_only_beside_characters_of_no_word(
    #[case] said: &str,
    #[case] quote: &str,
    #[case] found: bool,
) {
    let turns = transcript(vec![user("x"), says(said)]);
    assert_eq!(find(&turns, 1, quote), found.then_some(1));
}

#[rstest]
#[case::over_two_turns(
    "One moment please, I look",
    "and here is the result",
    "please, I look and here is",
    None
)]
#[case::over_message_and_call("One moment please", "x", "moment please find_slot", None)]
#[case::in_the_second("One moment please", "and here is the result", "here is the result", Some(3))]
fn quotes_stand_in_one_turn(
    #[case] first: &str,
    #[case] second: &str,
    #[case] quote: &str,
    #[case] found: Option<u32>,
) {
    let turns = transcript(vec![
        user("x"),
        calls(first, &[("c1", "find_slot")]),
        answers("c1", "{}"),
        says(second),
    ]);
    assert_eq!(find(&turns, 1, quote), found);
}

#[rstest]
// named, quote, in tools → found
#[case::tool_result(2, "your account is closed", false, None)]
#[case::tool_result_where_tools_count(2, "your account is closed", true, Some(2))]
#[case::tool_result_under_another_number(1, "your account is closed", false, None)]
#[case::tool_result_under_another_number_where_tools_count(
    1,
    "your account is closed",
    true,
    Some(2)
)]
#[case::short_whole_result(4, "no", false, None)]
#[case::short_whole_result_where_tools_count(4, "no", true, Some(4))]
#[case::result_that_the_agent_passes_on(2, "it was opened in May", false, Some(3))]
#[case::result_that_the_agent_passes_on_where_tools_count(2, "it was opened in May", true, Some(2))]
#[case::agent(3, "I see that it was opened", false, Some(3))]
#[case::agent_where_tools_count(3, "I see that it was opened", true, Some(3))]
#[case::call(1, "find_slot({\"id\":7})", false, Some(1))]
#[case::call_where_tools_count(1, "find_slot({\"id\":7})", true, Some(1))]
#[case::user(0, "what about my account", false, None)]
#[case::user_where_tools_count(0, "what about my account", true, None)]
fn tool_results_prove_only_items_that_allow_it(
    #[case] named: u32,
    #[case] quote: &str,
    #[case] in_tools: bool,
    #[case] found: Option<u32>,
) {
    let mut look = calls("", &[]);
    look.tool_calls = vec![call("c1", "find_slot", json!({"id": 7}))];
    let turns = transcript(vec![
        user("What about my account?"),
        look,
        answers("c1", "Your account is closed. It was opened in May."),
        calls("I see that it was opened in May.", &[("c2", "find_slot")]),
        answers("c2", "No"),
    ]);
    for with_tools in [in_tools, true] {
        let mut index = QuoteIndex::new(&turns, with_tools, Budget::new());
        assert_eq!(index.find(named, quote, in_tools), found);
    }
}

#[test]
fn quotes_beyond_the_budget_are_not_verified() {
    let turns = sample_transcript();
    let mut index = QuoteIndex::new(&turns, false, Budget::of_bytes(20_000));
    assert_eq!(index.find(1, "Let me look that up", false), Some(1));
    let mut index = QuoteIndex::new(&turns, false, Budget::of_bytes(100));
    assert_eq!(index.find(1, "Let me look that up", false), None);
}

#[test]
fn quote_of_user_turn_is_rejected_although_agent_repeats_it() {
    let turns = transcript(vec![
        user("I was promised a refund"),
        says("You were: I was promised a refund?"),
    ]);
    assert_eq!(find(&turns, 0, "I was promised a refund"), None);
    assert_eq!(find(&turns, 1, "I was promised a refund"), Some(1));
}

#[test]
fn blank_turn_verifies_nothing() {
    let turns = transcript(vec![user("x"), says("")]);
    assert_eq!(find(&turns, 1, ""), None);
    assert_eq!(find(&turns, 1, "..."), None);
}

proptest! {
    #[test]
    fn user_text_never_verifies(words in "[a-m ]{0,60}", from in 0usize..60, to in 0usize..60, named in 0u32..4) {
        // Agent and user turns have no letter in common.
        let turns = transcript(vec![user(&words), says("nopq rstu vwxyz"), user(&words), says("zzz")]);
        let (from, to) = (from.min(to).min(words.len()), from.max(to).min(words.len()));
        prop_assert_eq!(find(&turns, named, &words[from..to]), None);
    }

    #[test]
    fn found_turn_contains_quote(quote in "[a-d ]{0,20}", named in 0u32..5, texts in prop::collection::vec("[a-d ]{0,40}", 1..5)) {
        let turns: Vec<_> = texts.iter().enumerate()
            .map(|(i, text)| if i % 2 == 0 { user(text) } else { says(text) }).collect();
        if let Some(turn) = find(&transcript(turns), named, &quote) {
            prop_assert!(turn % 2 == 1);
            let words = |text: &str| format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" "));
            let (text, quote) = (words(&texts[turn as usize]), words(&quote));
            prop_assert!(!quote.trim().is_empty() && text.contains(&quote));
        }
    }
}
