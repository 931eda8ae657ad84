//! The judge: an item is met if an agent sentence contains at least half of its words. That
//! sentence is the evidence.

use super::caller_details::CallerDetails;
use super::lexicon::{concepts, coverage, exact_words, sentences};
use domain::{ItemKind, Speaker};
use judge::ParsedPrompt;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Minimum share of an item's words.
const MIN_COVERAGE: f64 = 0.5;
/// Minimum length of a quote that is not a whole turn.
const MIN_QUOTE_CHARS: usize = 12;

/// A quotable passage: a sentence or a tool call of the agent.
struct Quote {
    turn: u32,
    text: String,
    about: BTreeSet<String>,
    exact: BTreeSet<String>,
}

/// What an item requires.
#[derive(Debug, PartialEq, Eq)]
enum Requirement<'a> {
    /// Something was said.
    Said(&'a str),
    /// Something was not said.
    NotSaid(&'a str),
    /// The first was said without the second.
    Without(&'a str, &'a str),
    /// Something was said that the caller had not asked for.
    Unasked(&'a str),
}

struct Answer<'a> {
    met: bool,
    /// `None` if the answer is based on absence.
    quote: Option<&'a Quote>,
    reason: String,
}

/// Returns the judgment as the JSON object that the judge schema requires.
pub(super) fn judge(prompt: &ParsedPrompt) -> Value {
    let quotes = quotes(prompt);
    let caller_text = caller_text(prompt);
    let mut good = 0_u32;
    let (mut items, mut issues) = (Map::new(), Vec::new());
    for (index, kind, text) in &prompt.items {
        let answer = answer(text, *kind, &quotes, &caller_text);
        let desired = answer.met != (*kind == ItemKind::FailureCondition);
        if desired {
            good += 1;
        } else if *kind == ItemKind::FailureCondition {
            issues.push(format!("Failure condition met: {text}"));
        } else {
            issues.push(format!("Not met: {text}"));
        }
        let evidence: Vec<Value> = answer
            .quote
            .iter()
            .map(|quote| json!({ "turn": quote.turn, "quote": quote.text }))
            .collect();
        let item = json!({
            "reason": answer.reason, "met": answer.met,
            "basis": if evidence.is_empty() { "absence" } else { "evidence" },
            "evidence": evidence,
        });
        items.insert(format!("item_{index}"), item);
    }
    let all = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let recommendations: Vec<String> = issues
        .iter()
        .filter_map(|issue| issue.strip_prefix("Not met: "))
        .map(|text| format!("Add to the instructions: {text}"))
        .collect();
    json!({
        "items": items, "issues": issues, "recommendations": recommendations,
        "score": (100 * good).checked_div(all).unwrap_or(0),
        "opinion": format!("{good} of {all} items have the desired result."),
    })
}

fn answer<'a>(text: &str, kind: ItemKind, quotes: &'a [Quote], caller_text: &str) -> Answer<'a> {
    match parse_requirement(text) {
        Requirement::Said(what) => match best(what, quotes) {
            Some(quote) => yes(quote, "The agent says this"),
            None if kind != ItemKind::FailureCondition && is_manner(what) => Answer {
                met: true,
                quote: None,
                reason: "Nothing in the agent's turns contradicts it.".into(),
            },
            None => no("No agent turn says anything similar."),
        },
        Requirement::NotSaid(what) => match (best(what, quotes), kind) {
            // The quote proves that the agent did not omit it.
            (Some(quote), ItemKind::FailureCondition) => Answer {
                met: false,
                quote: Some(quote),
                reason: "The agent does mention it.".into(),
            },
            (Some(quote), _) => {
                Answer { met: false, quote: Some(quote), reason: "The agent does say it.".into() }
            }
            // Prove an omission by quoting what was said instead.
            (None, ItemKind::FailureCondition) => {
                match quotes.iter().rfind(|quote| quote.text.len() >= MIN_QUOTE_CHARS) {
                    Some(instead) => {
                        yes(instead, "The agent never does this and instead says something else")
                    }
                    None => no("The agent said too little to tell."),
                }
            }
            (None, _) => Answer {
                met: true,
                quote: None,
                reason: "No agent turn says anything similar.".into(),
            },
        },
        Requirement::Without(what, missing) => match (best(what, quotes), best(missing, quotes)) {
            (Some(quote), None) => {
                yes(quote, "The agent says this, but not what should accompany it")
            }
            (Some(quote), Some(_)) => Answer {
                met: false,
                quote: Some(quote),
                reason: "The agent says this, and also what should accompany it.".into(),
            },
            (None, _) => no("No agent turn says anything similar."),
        },
        Requirement::Unasked(what) => {
            let other = |quote: &&Quote| {
                let CallerDetails { day, time, .. } = CallerDetails::extract([quote.text.as_str()]);
                let said = |word: Option<String>| {
                    word.is_none_or(|word| caller_text.contains(&word.to_lowercase()))
                };
                !(said(day) && said(time))
            };
            match matching(what, quotes).into_iter().find(other) {
                Some(quote) => yes(quote, "The caller did not ask for what the agent says"),
                None => no("The caller asked for everything that the agent says about this."),
            }
        }
    }
}

fn yes<'a>(quote: &'a Quote, why: &str) -> Answer<'a> {
    Answer { met: true, quote: Some(quote), reason: format!("{why} in turn {}.", quote.turn) }
}

fn no<'a>(why: &str) -> Answer<'a> {
    Answer { met: false, quote: None, reason: why.to_owned() }
}

/// "Does not promise …" and "ignores …" require absence; "… without …" requires both.
fn parse_requirement(text: &str) -> Requirement<'_> {
    const NEGATIONS: [&str; 16] = [
        "does not ",
        "do not ",
        "did not ",
        "doesn't ",
        "don't ",
        "didn't ",
        "never ",
        "must not ",
        "avoids ",
        "ignores ",
        "ignored ",
        "fails to ",
        "failed to ",
        "skips ",
        "refuses to ",
        "no ",
    ];
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let subject = ["the agent ", "agent ", "the assistant ", "it "]
        .iter()
        .find(|subject| lower.starts_with(*subject));
    let start = subject.map_or(0, |subject| subject.len());
    let (text, lower) = (&text[start..], &lower[start..]);
    if let Some(negation) = NEGATIONS.iter().find(|negation| lower.starts_with(*negation)) {
        return Requirement::NotSaid(&text[negation.len()..]);
    }
    if let Some(at) = lower.find(" that the caller did not ask") {
        return Requirement::Unasked(&text[..at]);
    }
    match lower.find(" without ") {
        Some(at) => Requirement::Without(&text[..at], &text[at + " without ".len()..]),
        None => Requirement::Said(text),
    }
}

/// All user turns in lowercase.
fn caller_text(prompt: &ParsedPrompt) -> String {
    let users = prompt.transcript.iter().filter(|(_, speaker, _)| *speaker == Speaker::User);
    users.map(|(_, _, text)| text.to_lowercase()).collect::<Vec<_>>().join("\n")
}

/// Whether the text describes a manner ("stays calm"), which cannot be quoted.
fn is_manner(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["stays ", "remains ", "keeps ", "is polite", "is calm"]
        .iter()
        .any(|start| lower.starts_with(start))
}

/// The best quote that covers enough of a text.
fn best<'a>(text: &str, quotes: &'a [Quote]) -> Option<&'a Quote> {
    matching(text, quotes).into_iter().next()
}

/// The quotes that cover enough of a text or of one alternative of an "or" in it, sorted by
/// coverage, then by position.
fn matching<'a>(text: &str, quotes: &'a [Quote]) -> Vec<&'a Quote> {
    let wanted: Vec<_> =
        alternatives(text).iter().map(|text| (concepts(text), exact_words(text))).collect();
    let share = |quote: &Quote| {
        let fits = wanted.iter().filter(|(_, hard)| hard.is_subset(&quote.exact));
        fits.map(|(soft, _)| coverage(soft, &quote.about)).fold(0.0, f64::max)
    };
    let mut found: Vec<(f64, &Quote)> = quotes
        .iter()
        .map(|quote| (share(quote), quote))
        .filter(|(share, _)| *share >= MIN_COVERAGE)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, quote)| quote).collect()
}

/// Alternatives of "Says that it is open or offers a visit": the text without its verb of
/// saying, and each side of "or" with the verb.
fn alternatives(text: &str) -> Vec<String> {
    const SAYING: [&str; 6] = ["says", "tells", "names", "mentions", "states", "shows"];
    let (verb, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
    let bare = if SAYING.contains(&verb.to_lowercase().as_str()) && !rest.is_empty() {
        rest
    } else {
        text
    };
    let mut alternatives = vec![bare.to_owned()];
    if let Some((first, second)) = bare.split_once(" or ") {
        let verb = bare.split_whitespace().next().unwrap_or_default();
        alternatives.extend([first.to_owned(), format!("{verb} {second}")]);
    }
    alternatives
}

/// All quotable passages of the agent: sentences, pairs of consecutive sentences and tool
/// calls.
fn quotes(prompt: &ParsedPrompt) -> Vec<Quote> {
    let mut quotes = Vec::new();
    let mut push = |turn: u32, text: &str| {
        let (about, exact) = (concepts(text), exact_words(text));
        quotes.push(Quote { turn, text: text.to_owned(), about, exact });
    };
    for (turn, speaker, text) in &prompt.transcript {
        if *speaker != Speaker::Agent {
            continue;
        }
        let sentences = sentences(text);
        let long = |sentence: &&&str| sentence.chars().count() >= MIN_QUOTE_CHARS;
        sentences.iter().filter(long).for_each(|sentence| push(*turn, sentence));
        if sentences.len() == 1 && text.chars().count() < MIN_QUOTE_CHARS {
            push(*turn, text);
        }
        for pair in sentences.windows(2) {
            push(*turn, &spanning(text, pair[0], pair[1]));
        }
    }
    for (turn, call) in &prompt.calls {
        push(*turn, call);
    }
    quotes
}

/// The part of `text` from the start of one sentence to the end of the next.
fn spanning(text: &str, first: &str, second: &str) -> String {
    let start = text.find(first).unwrap_or(0);
    let end = text[start..].find(second).map_or(text.len(), |at| start + at + second.len());
    text[start..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Promises a refund", Requirement::Said("Promises a refund"))]
    #[case("The agent does not argue", Requirement::NotSaid("argue"))]
    #[case("Ignores the complaint", Requirement::NotSaid("the complaint"))]
    #[case(
        "Tells the address without asking for the date of birth",
        Requirement::Without("Tells the address", "asking for the date of birth")
    )]
    #[case("Notes the name", Requirement::Said("Notes the name"))]
    #[case("Books a day that the caller did not ask for", Requirement::Unasked("Books a day"))]
    fn parse_requirement_recognizes_kinds(
        #[case] text: &str,
        #[case] requirement: Requirement<'_>,
    ) {
        assert_eq!(parse_requirement(text), requirement);
    }

    fn met(kind: ItemKind, item: &str, agent: &str) -> (bool, Option<String>) {
        let prompt = ParsedPrompt {
            items: vec![(0, kind, item.into())],
            transcript: vec![(0, Speaker::User, item.into()), (1, Speaker::Agent, agent.into())],
            calls: vec![(1, "look_up_order({\"id\":7})".into())],
        };
        let judged = judge(&prompt);
        let item = &judged["items"]["item_0"];
        let quote = item["evidence"].get(0).and_then(|e| e["quote"].as_str()).map(str::to_owned);
        assert_eq!(item["basis"] == "evidence", quote.is_some());
        if let Some(quote) = &quote {
            assert!(agent.contains(quote.as_str()) || quote.starts_with("look_up"), "{quote}");
        }
        (item["met"] == true, quote)
    }

    #[rstest]
    #[case("Asks for the name", "Of course. May I have your full name?", true)]
    #[case("Asks for the name", "Of course, that is booked.", false)]
    #[case("Offers a refund", "Our hours are nine to five.", false)]
    #[case("Does not promise a refund", "I cannot say that yet.", true)]
    #[case("Does not promise a refund", "I promise you a full refund.", false)]
    #[case("Stays calm", "Let us look at it together.", true)]
    #[case("Calls the tool look_up_order", "One moment.", true)]
    fn judge_decides_behavior(#[case] item: &str, #[case] agent: &str, #[case] expected: bool) {
        assert_eq!(met(ItemKind::Behavior, item, agent).0, expected);
    }

    #[rstest]
    #[case("Promises a refund", "I promise you a full refund today.", true)]
    #[case("Promises a refund", "Our hours are nine to five.", false)]
    #[case("Says that it is open on Sunday", "We are open on Saturday and on Monday.", false)]
    #[case("Offers a membership or another product", "Shall I offer you our membership?", true)]
    #[case(
        "Books a day that the caller did not ask for",
        "You are booked for Monday, a good day.",
        true
    )]
    #[case("Ignores the complaint", "Anything else today, perhaps a visit?", true)]
    #[case("Ignores the complaint", "I am sorry about your complaint.", false)]
    #[case(
        "Reads out the address without verifying the identity",
        "The address on file is 12 Garden Street.",
        true
    )]
    #[case(
        "Reads out the address without verifying the identity",
        "What is your date of birth? The address is 12 Garden Street.",
        false
    )]
    fn judge_decides_failure_condition(
        #[case] item: &str,
        #[case] agent: &str,
        #[case] expected: bool,
    ) {
        let (met, quote) = met(ItemKind::FailureCondition, item, agent);
        assert_eq!(met, expected);
        assert!(!met || quote.is_some(), "a met failure condition has a quote");
    }

    #[test]
    fn user_text_is_never_evidence() {
        assert_eq!(
            met(ItemKind::Behavior, "Confirms that parking is free", "I see."),
            (false, None)
        );
    }
}
