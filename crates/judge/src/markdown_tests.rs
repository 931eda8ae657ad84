use super::markdown::strip_markup;
use proptest::prelude::*;
use rstest::rstest;

#[rstest]
#[case::bold("**a** b", "a b")]
#[case::italic("*a* _b_", "a b")]
#[case::both("***a***", "a")]
#[case::nested("**a *b* c**", "a b c")]
#[case::phrase("__a b__.", "a b.")]
#[case::strike("~~a~~", "a")]
#[case::code("run `ls` now", "run ls now")]
#[case::heading("# a\n### b", "a\nb")]
#[case::block_quote("> > a\n>b", "a\nb")]
#[case::bullet("* a\n  * b", "a\nb")]
#[case::table("| a | b |\n|---|---|", " a   b \n--- ---")]
#[case::escaped("\\*a\\*", "*a*")]
#[case::unpaired("**a b", "**a b")]
#[case::in_words("a*b*c user_id_x", "a*b*c user_id_x")]
#[case::multiplication("2 * 3 * 4", "2 * 3 * 4")]
#[case::arguments("f(*args, **kwargs)", "f(*args, **kwargs)")]
#[case::hash_tag("#42 and C#", "#42 and C#")]
#[case::about("~5 and ~6", "~5 and ~6")]
#[case::inline_pipe("a | b", "a | b")]
#[case::inline_greater("a > b", "a > b")]
#[case::over_a_blank_line("*a\n\nb*", "*a\n\nb*")]
#[case::over_a_line("*a\nb*", "a\nb")]
fn strip_markup_removes_pairs_around_words(#[case] text: &str, #[case] plain: &str) {
    assert_eq!(strip_markup(text).as_deref(), Some(plain));
}

#[test]
fn text_without_marks_is_not_copied() {
    assert_eq!(strip_markup("plain text, with 1 - 2 marks."), None);
}

proptest! {
    #[test]
    fn strip_markup_never_adds_text(text in "(?s)([*_~`#>|\\\\ \n a-c]|.){0,60}") {
        if let Some(plain) = strip_markup(&text) {
            prop_assert!(plain.chars().count() <= text.chars().count());
        }
    }
}
