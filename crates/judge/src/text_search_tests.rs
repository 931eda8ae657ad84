use super::budget::Budget;
use super::text_search::{Message, Term};
use domain::TextMatch::{self, Part, Word};
use rstest::rstest;

fn contains(message: &str, term: &str, matching: TextMatch) -> bool {
    let mut budget = Budget::new();
    let term = Term::new(term, matching, &mut budget);
    Message::new(message, &mut budget).contains(&term)
}

/// Only case, Unicode form, typographic marks and white space are folded, in both ways of
/// matching.
#[rstest]
#[case::case("FULL REFUND", "full refund", true)]
#[case::case_of_the_term("full refund", "FULL Refund", true)]
#[case::umlaut_case("GRÖSSE", "größe", false)]
#[case::typographic("It’s “final”—really", "it's \"final\" - really", true)]
#[case::typographic_term("It's \"final\"", "It’s «final»", true)]
#[case::other_apostrophe("it\u{02BC}s", "it's", true)]
#[case::missing_apostrophe("its final", "it's final", false)]
#[case::missing_quotation_mark("say final", "say \"final\"", false)]
#[case::dashes("9–5 today", "9-5 today", true)]
#[case::dash_and_space("yes — of course", "yes of course", true)]
#[case::dash_is_no_letter("co-operate", "cooperate", false)]
#[case::minus_counts("at −5 °C", "at 5 °C", false)]
#[case::minus_form("at −5 °C", "at -5 °C", true)]
#[case::unicode_form("cafe\u{301} Ａ１", "Café A1", true)]
#[case::ligature("the oﬃce", "the office", true)]
#[case::accent_counts("cafe", "café", false)]
#[case::white_space("full \n\t refund", "full refund", true)]
#[case::no_break_space("full\u{00A0}refund", "full refund", true)]
#[case::zero_width("re\u{200B}fund", "refund", true)]
#[case::soft_hyphen("re\u{00AD}fund", "refund", true)]
#[case::words_apart("fullrefund", "full refund", false)]
#[case::words_joined("full refund", "fullrefund", false)]
#[case::word_between("full and final refund", "full refund", false)]
#[case::order("refund full", "full refund", false)]
fn folded_differences_do_not_matter(
    #[case] message: &str,
    #[case] term: &str,
    #[case] found: bool,
) {
    for matching in [Word, Part] {
        assert_eq!(contains(message, term, matching), found, "{matching:?}");
    }
}

#[rstest]
#[case::sharp("I like C.", "C#", false)]
#[case::sharp_found("I like C#.", "C#", true)]
#[case::number_sign("Order 142", "#42", false)]
#[case::number_sign_found("Order #42.", "#42", true)]
#[case::underscore("your userid", "user_id", false)]
#[case::underscore_found("your user_id", "user_id", true)]
#[case::underscore_in_code("your `user_id`!", "user_id", true)]
#[case::asterisk("2 3", "2 * 3", false)]
#[case::asterisk_found("2 * 3", "2 * 3", true)]
#[case::product_is_no_emphasis("2*3*4", "234", false)]
#[case::greater_than("x 5", "x > 5", false)]
#[case::greater_than_found("x > 5", "x > 5", true)]
#[case::greater_than_in_a_line_start("> 5 items", "> 5 items", true)]
#[case::pipe("a b", "a | b", false)]
#[case::pipe_found("a | b", "a | b", true)]
#[case::pipe_is_no_space("a | b", "a b", false)]
#[case::tilde("5 days", "~5 days", false)]
#[case::tilde_found("~5 to ~10 days", "~5 to ~10 days", true)]
#[case::stars_of_the_item("Note", "**Note**", false)]
#[case::minus_is_no_dash("you get 10 back", "-10", false)]
#[case::only_a_dash("a — b", "—", true)]
#[case::only_a_dash_missing("a - b", "—", false)]
#[case::only_markup("plain", "**", false)]
// Markdown around a phrase is ignored.
#[case::bold("Your **total** is `$40`", "total is $40", true)]
#[case::bold_phrase("It is **not a** _real_ offer", "not a real offer", true)]
#[case::strike("~~free~~ cheap", "free cheap", true)]
#[case::heading("## Your order\nis here", "your order is here", true)]
#[case::block_quote("> quoted\n> lines", "quoted lines", true)]
#[case::bullet("* one\n* two", "one two", true)]
#[case::escaped("5 \\* 3", "5 * 3", true)]
fn word_search_is_literal(#[case] message: &str, #[case] term: &str, #[case] found: bool) {
    assert_eq!(contains(message, term, Word), found);
}

#[rstest]
#[case::prefix("unable", "able", false)]
#[case::suffix("discounts", "discount", false)]
#[case::possessive("Lena's order", "Lena", true)]
#[case::typographic_possessive("Lena’s order", "Lena", true)]
#[case::punctuation("(able).", "able", true)]
#[case::hyphen("re-able", "able", true)]
#[case::second_occurrence("unable, able", "able", true)]
#[case::overlapping("xa a a", "a a", true)]
#[case::overlapping_inside("xa a ax", "a a", false)]
#[case::identifier("not_able", "able", false)]
#[case::emphasis_with_underscores("_able_", "able", true)]
#[case::more_digits("It costs $50", "$5", false)]
#[case::same_digits("It costs $5.", "$5", true)]
#[case::decimals("It costs $5.50", "$5", false)]
#[case::decimals_found("It costs $5.50", "$5.50", true)]
#[case::fraction("It is 3.14", "14", false)]
#[case::before_comma("5, or 6", "5", true)]
#[case::comma_between_digits("5,6", "5", false)]
#[case::in_a_group("$1,628", "628", false)]
#[case::grouped("$1,628", "1628", true)]
#[case::grouped_twice("It is 1,234,567.", "1234567", true)]
#[case::grouped_in_bold("**1,628** in all", "1628", true)]
#[case::no_group("12,34", "1234", false)]
#[case::part_of_a_group("1,234,567", "1234", false)]
#[case::four_digits_first("1234,567", "1234567", false)]
#[case::not_only_digits("$1,628", "$1628", false)]
#[case::ungrouped_for_grouped_item("$1628", "1,628", false)]
#[case::time("at 11:30", "11:30", true)]
#[case::cyrillic("небольшой", "большой", false)]
#[case::cyrillic_found("большой дом", "Большой", true)]
#[case::greek("ΟΔΟΣ", "οδος", true)]
#[case::greek_part("οδοσ", "δος", false)]
#[case::combining_mark("n\u{0308}x", "x", false)]
#[case::japanese("全額返金します", "返金", true)]
#[case::latin_in_japanese("返金ABC返金", "abc", true)]
#[case::japanese_beside_latin("ABC返金", "返金", true)]
#[case::arabic("\u{fdfa}", "\u{fdfa}", true)]
#[case::thai("ขอบคุณครับ", "ครับ", true)]
fn word_search_needs_boundaries(#[case] message: &str, #[case] term: &str, #[case] found: bool) {
    assert_eq!(contains(message, term, Word), found);
}

#[rstest]
#[case::inside("discounts", "discount", true)]
#[case::prefix("unable", "able", true)]
#[case::digits("$50", "$5", true)]
#[case::grouped("$1,628", "1628", true)]
#[case::case("DISCOUNTED", "discount", true)]
#[case::emphasized("a **disc**ount", "discount", false)]
#[case::bold("**discount**s", "discount", true)]
#[case::sharp("C", "C#", false)]
#[case::number_sign("142", "#42", false)]
#[case::underscore("userid", "user_id", false)]
#[case::other("refund", "discount", false)]
#[case::spaces("dis count", "discount", false)]
#[case::japanese("全額返金します", "返金", true)]
fn part_search_ignores_boundaries(#[case] message: &str, #[case] term: &str, #[case] found: bool) {
    assert_eq!(contains(message, term, Part), found);
}
