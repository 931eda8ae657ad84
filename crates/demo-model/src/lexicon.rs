//! Approximate word matching that tells, without a language model, whether a sentence is
//! about a topic.

use std::collections::BTreeSet;

/// Stop words.
const STOP_WORDS: &str = " a an the and or but of to in on at by for from with about into as is are was were be been \
 being it its this that these those there here i me my we us our you your he him his she her they them their \
 who whom do does did done has have had having will would can could should may might shall must not no nor so \
 if then than when while until before after very just also too any some all each every other another more most \
 agent assistant caller callers customer customers user users patient patients client clients person's somebody someone \
 please let lets get gets got make makes made give gives given clear clearly own out up down over again \
 call calls called calling tool tools how what which when where why much many \
 polite politely friendly calm calmly professional professionally properly correctly ";

/// Groups of synonyms; the first word represents the group.
const SYNONYMS: &[&[&str]] = &[
    &["greet", "hello", "hi", "welcome"],
    &[
        "apologise",
        "apologize",
        "apology",
        "sorry",
        "empathy",
        "acknowledge",
        "sympathy",
        "regret",
        "recognise",
    ],
    &["confirm", "book", "arrange", "reserve", "reservation"],
    &["appointment", "visit", "slot"],
    &["transfer", "colleague", "human", "person", "manager", "handover", "supervisor", "hand"],
    &["identity", "verify", "verification", "birth", "identify", "authenticate"],
    &["price", "cost", "euro", "fee"],
    &["refund", "reimburse"],
    &["hour", "open", "close"],
    &["ask", "request", "enquire", "question"],
    &["offer", "suggest", "propose"],
    &["refuse", "decline", "cannot"],
    &["instruction", "prompt"],
    &["disclose", "reveal", "share", "tell", "read"],
    &["address", "street"],
    &["cancel", "cancellation"],
    &["reschedule", "move"],
    &["explain", "step", "guide"],
    &["restart", "reboot"],
    &["day", "date", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    &["promise", "guarantee"],
    &["complaint", "complain", "frustration", "frustrating", "anger", "angry"],
];

/// Phrases and the words that they correspond to.
const PHRASES: &[(&str, &str)] = &[
    ("put you through", "transfer"),
    ("would you like", "offer"),
    ("how much", "price"),
    ("shall i", "offer"),
    ("i can offer", "offer"),
    ("good morning", "greet"),
    ("good afternoon", "greet"),
    ("you are welcome", "thank"),
    ("date of birth", "identity"),
    ("i do not know", "uncertain"),
    ("not sure", "uncertain"),
];

/// The stemmed words of a text, with synonyms merged.
pub(super) fn concepts(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    let mut found: BTreeSet<String> = words(&lower)
        .filter(|word| !STOP_WORDS.contains(&format!(" {word} ")))
        .map(canonical)
        .collect();
    let phrases = PHRASES.iter().filter(|(phrase, _)| lower.contains(phrase));
    found.extend(phrases.map(|(_, meaning)| canonical(meaning)));
    if text.contains('?') {
        found.insert(canonical("ask"));
    }
    found
}

/// The share of `wanted` that `found` contains, 0–1; 0 if `wanted` is empty.
pub(super) fn coverage(wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> f64 {
    if wanted.is_empty() {
        return 0.0;
    }
    let hits = wanted.intersection(found).count();
    #[allow(clippy::cast_precision_loss)] // a handful of words
    let share = hits as f64 / wanted.len() as f64;
    share
}

/// Splits at all other characters than letters and digits. Because `_` separates, tool
/// names consist of words.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The sentences of a text.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let ends =
            c == '\n' || (matches!(c, '.' | '!' | '?') && next.is_none_or(char::is_whitespace));
        if ends {
            found.push(text[start..at + c.len_utf8()].trim());
            start = at + c.len_utf8();
        }
    }
    found.push(text[start..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

fn stem(word: &str) -> String {
    let cut =
        |ending: &str, least: usize| word.strip_suffix(ending).filter(|rest| rest.len() >= least);
    if let Some(rest) = cut("ies", 2).or_else(|| cut("ied", 2)) {
        return format!("{rest}y");
    }
    for (ending, least) in [("ing", 3), ("ed", 3), ("es", 4), ("e", 3)] {
        if let Some(rest) = cut(ending, least) {
            return rest.to_owned();
        }
    }
    match cut("s", 3) {
        Some(rest) if !rest.ends_with('s') => rest.to_owned(),
        _ => word.to_owned(),
    }
}

/// The representative of the synonym group of a word.
fn canonical(word: &str) -> String {
    let wanted = stem(word);
    let same = |group: &&&[&str]| group.iter().any(|other| stem(other) == wanted);
    match SYNONYMS.iter().find(same).and_then(|group| group.first()) {
        Some(first) => stem(first),
        None => wanted,
    }
}

/// Words that have no synonyms: weekdays and numbers.
pub(super) fn exact_words(text: &str) -> BTreeSet<String> {
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let lower = text.to_lowercase();
    let is_exact = |word: &&str| DAYS.contains(word) || word.chars().any(|c| c.is_ascii_digit());
    words(&lower).filter(is_exact).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Confirms the appointment", "You are booked for Tuesday, your visit is at 3.", 1.0)]
    #[case("Apologizes for the delay", "I am sorry.", 0.5)]
    #[case("Asks for the name", "May I have your full name?", 1.0)]
    #[case("Verifies the identity", "What is your date of birth?", 1.0)]
    #[case("Offers a refund", "We open at eight.", 0.0)]
    #[case("Calls look_up_order", "look_up_order({\"id\":7})", 1.0)]
    fn coverage_of_item(#[case] wanted: &str, #[case] said: &str, #[case] share: f64) {
        let got = coverage(&concepts(wanted), &concepts(said));
        assert!(
            (got - share).abs() < 0.01,
            "{:?} in {:?}: {got}",
            concepts(wanted),
            concepts(said)
        );
    }

    #[test]
    fn exact_words_are_weekdays_and_numbers() {
        let found: Vec<String> = exact_words("On Tuesday at 11:30, table A4").into_iter().collect();
        assert_eq!(found, ["11", "30", "a4", "tuesday"]);
    }

    #[test]
    fn sentences_split_text() {
        let text = "Hello. It costs 3.50 euros!\nWhy? Ünd";
        assert_eq!(sentences(text), ["Hello.", "It costs 3.50 euros!", "Why?", "Ünd"]);
        assert_eq!(sentences(" \n"), Vec::<&str>::new());
    }
}
