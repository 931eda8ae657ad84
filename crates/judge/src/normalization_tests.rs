use super::normalization::*;
use proptest::prelude::*;
use rstest::rstest;

#[rstest]
#[case::case("Your REFUND", "your refund")]
#[case::white_space(" a \t b\r\n\u{00A0}\u{3000}c ", "a b c")]
#[case::double_quotes("“one” „two“ «three» ‟four‟", "\"one\" \"two\" \"three\" \"four\"")]
#[case::single_quotes("it’s ‘so’ ‚low‘ ´acute´", "it's 'so' 'low' 'acute'")]
#[case::em_dash("yes—of course", "yes of course")]
#[case::spaced_dash("yes – of course", "yes of course")]
#[case::hyphen("24-hour", "24 hour")]
#[case::range("9–5", "9 5")]
#[case::minus("at −5 °C", "at -5 °c")]
#[case::double_hyphen("yes -- of course", "yes of course")]
#[case::bold("**Free** and __open__", "**free** and __open__")]
#[case::italic("*a* _b_ ~~c~~", "*a* _b_ ~~c~~")]
#[case::code("run `ls`", "run `ls`")]
#[case::code_block("```json\nx\n```", "```json x ```")]
#[case::heading("## Your order\nis here", "## your order is here")]
#[case::block_quote("> quoted\n> lines", "> quoted > lines")]
#[case::bullets("- one\n- two\n* three", "one two * three")]
#[case::table("| a | b |", "| a | b |")]
#[case::escaped("5 \\* 3 \\_ x", "5 \\* 3 \\_ x")]
#[case::fullwidth("ＡＢＣ１２３", "abc123")]
#[case::ligature("ﬁnd oﬃce", "find office")]
#[case::ellipsis("wait…", "wait...")]
#[case::decomposed("cafe\u{301}", "café")]
#[case::superscript("x²", "x2")]
#[case::zero_width("re\u{200B}fund\u{FEFF}", "refund")]
#[case::soft_hyphen("re\u{00AD}fund", "refund")]
#[case::sigma("ΟΔΟΣ", "οδοσ")]
#[case::backslash("C:\\temp", "c:\\temp")]
#[case::nothing(" \n—", "")]
fn normalize_text(#[case] text: &str, #[case] folded: &str) {
    assert_eq!(normalize(text), folded);
}

#[test]
fn text_without_markup_has_one_form() {
    assert_eq!(normalize_both("A — b"), ("a b".to_owned(), None));
    assert_eq!(normalize_both("2*3"), ("2*3".to_owned(), None));
    assert_eq!(normalize_both("**A** b"), ("**a** b".to_owned(), Some("a b".to_owned())));
}

proptest! {
    #[test]
    fn normalize_is_idempotent(text in "(?s)([-*_`~#>|\\\\ \n\u{2014}\u{2019}0-9a-zA-Z]|.){0,40}") {
        let once = normalize(&text);
        prop_assert_eq!(normalize(&once), once);
    }

    #[test]
    fn normalized_text_contains_normalized_words(words in prop::collection::vec("[*_a-zA-ZäÖé’“”.,!?0-9]{1,9}", 1..12), from in 0usize..12, to in 0usize..12) {
        let (from, to) = (from.min(words.len()), to.min(words.len()));
        prop_assume!(from < to);
        let text = words.join(" ");
        let part = words[from..to].join("\n");
        prop_assert!(normalize(&text).contains(&normalize(&part)), "{part:?} in {text:?}");
    }
}
