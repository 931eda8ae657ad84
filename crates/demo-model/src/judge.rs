//! The stand-in's judge: an item is shown when a sentence of the agent shares
//! at least half of its words, and then that sentence is the evidence. No
//! sentence, no yes.

use super::lexicon::{concepts, coverage, exact, sentences};
use super::notes::Notes;
use judge::JudgeQuestion;
use domain::{ItemKind, Speaker};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Least share of an item's words.
const ENOUGH: f64 = 0.5;
/// Shortest quote that counts if it is not a whole turn.
const SHORTEST: usize = 12;

/// Something that the agent said or did.
struct Quote {
    turn: u32,
    text: String,
    about: BTreeSet<String>,
    exact: BTreeSet<String>,
}

/// What an item asks for, taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Ask<'a> {
    /// That something was said.
    Said(&'a str),
    /// That something was not said.
    NotSaid(&'a str),
    /// That the one was said without the other.
    Without(&'a str, &'a str),
    /// That something was said that the caller had not asked for.
    Unasked(&'a str),
}

/// An answer to an item.
struct Answer<'a> {
    met: bool,
    /// Nothing to quote: it rests on absence.
    quote: Option<&'a Quote>,
    reason: String,
}

/// The judgement, in the words of the judge's form.
pub(super) fn judge(question: &JudgeQuestion) -> Value {
    let quotes = quotes(question);
    let wished = wished(question);
    let mut good = 0_u32;
    let (mut items, mut issues) = (Vec::new(), Vec::new());
    for (index, kind, text) in &question.items {
        let answer = answer(text, *kind, &quotes, &wished);
        let as_wished = answer.met != (*kind == ItemKind::FailureCondition);
        if as_wished {
            good += 1;
        } else if *kind == ItemKind::FailureCondition {
            issues.push(format!("It happened: {text}"));
        } else {
            issues.push(format!("Not shown: {text}"));
        }
        let evidence: Vec<Value> = answer
            .quote
            .iter()
            .map(|quote| json!({ "turn": quote.turn, "quote": quote.text }))
            .collect();
        items.push(json!({
            "index": index, "reason": answer.reason, "met": answer.met,
            "basis": if evidence.is_empty() { "absence" } else { "evidence" },
            "evidence": evidence,
        }));
    }
    let all = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let recommendations: Vec<String> = issues
        .iter()
        .filter_map(|issue| issue.strip_prefix("Not shown: "))
        .map(|text| format!("Say in the instructions that it must be done: {text}"))
        .collect();
    json!({
        "items": items, "issues": issues, "recommendations": recommendations,
        "score": (100 * good).checked_div(all).unwrap_or(0),
        "opinion": format!("{good} of {all} items are as they should be, by the agent's own words."),
    })
}

fn answer<'a>(text: &str, kind: ItemKind, quotes: &'a [Quote], wished: &str) -> Answer<'a> {
    match take_apart(text) {
        Ask::Said(what) => match best(what, quotes) {
            Some(quote) => yes(quote, "The agent says this"),
            None if kind != ItemKind::FailureCondition && is_manner(what) => Answer {
                met: true,
                quote: None,
                reason: "Nothing in the agent's turns speaks against it.".into(),
            },
            None => no("No sentence of the agent says anything like it."),
        },
        Ask::NotSaid(what) => match (best(what, quotes), kind) {
            // What should be absent is there: the quote shows it.
            (Some(quote), ItemKind::FailureCondition) => Answer {
                met: false,
                quote: Some(quote),
                reason: "The agent did not leave it out.".into(),
            },
            (Some(quote), _) => {
                Answer { met: false, quote: Some(quote), reason: "The agent does say it.".into() }
            }
            // An omission is shown by what was said in its place.
            (None, ItemKind::FailureCondition) => {
                match quotes.iter().rfind(|quote| quote.text.len() >= SHORTEST) {
                    Some(instead) => {
                        yes(instead, "It never comes; this is what the agent says in its place")
                    }
                    None => no("The agent said too little to tell."),
                }
            }
            (None, _) => Answer {
                met: true,
                quote: None,
                reason: "No sentence of the agent says anything like it.".into(),
            },
        },
        Ask::Without(what, missing) => match (best(what, quotes), best(missing, quotes)) {
            (Some(quote), None) => {
                yes(quote, "The agent says this, and nothing of what should go with it")
            }
            (Some(quote), Some(_)) => Answer {
                met: false,
                quote: Some(quote),
                reason: "The agent says this, and what should go with it as well.".into(),
            },
            (None, _) => no("No sentence of the agent says anything like it."),
        },
        Ask::Unasked(what) => {
            let other = |quote: &&Quote| {
                let Notes { day, time, .. } = Notes::take([quote.text.as_str()]);
                let said = |word: Option<String>| {
                    word.is_none_or(|word| wished.contains(&word.to_lowercase()))
                };
                !(said(day) && said(time))
            };
            match matching(what, quotes).into_iter().find(other) {
                Some(quote) => yes(quote, "The caller did not ask for what the agent says"),
                None => no("Everything of the kind that the agent says was asked for."),
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

/// "Does not promise …", "ignores …" ask for an absence; "… without …" for
/// both.
fn take_apart(text: &str) -> Ask<'_> {
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
        return Ask::NotSaid(&text[negation.len()..]);
    }
    if let Some(at) = lower.find(" that the caller did not ask") {
        return Ask::Unasked(&text[..at]);
    }
    match lower.find(" without ") {
        Some(at) => Ask::Without(&text[..at], &text[at + " without ".len()..]),
        None => Ask::Said(text),
    }
}

/// All that the callers said, in lower case.
fn wished(question: &JudgeQuestion) -> String {
    let users = question.transcript.iter().filter(|(_, speaker, _)| *speaker == Speaker::User);
    users.map(|(_, _, text)| text.to_lowercase()).collect::<Vec<_>>().join("\n")
}

/// "Stays calm": nothing that could be quoted.
fn is_manner(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["stays ", "remains ", "keeps ", "is polite", "is calm"]
        .iter()
        .any(|start| lower.starts_with(start))
}

/// The quote that covers most of a text, if one covers enough.
fn best<'a>(text: &str, quotes: &'a [Quote]) -> Option<&'a Quote> {
    matching(text, quotes).into_iter().next()
}

/// The quotes that cover enough of a text, or of what stands on one side of an
/// "or" in it; the best first, the earlier before the later.
fn matching<'a>(text: &str, quotes: &'a [Quote]) -> Vec<&'a Quote> {
    let wanted: Vec<_> = alternatives(text).iter().map(|way| (concepts(way), exact(way))).collect();
    let share = |quote: &Quote| {
        let fits = wanted.iter().filter(|(_, hard)| hard.is_subset(&quote.exact));
        fits.map(|(soft, _)| coverage(soft, &quote.about)).fold(0.0, f64::max)
    };
    let mut found: Vec<(f64, &Quote)> = quotes
        .iter()
        .map(|quote| (share(quote), quote))
        .filter(|(share, _)| *share >= ENOUGH)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, quote)| quote).collect()
}

/// "Says that it is open or offers a visit": the text without its verb of
/// saying, and each side of an "or" with the verb of the whole.
fn alternatives(text: &str) -> Vec<String> {
    const SAYING: [&str; 6] = ["says", "tells", "names", "mentions", "states", "shows"];
    let (verb, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
    let bare = if SAYING.contains(&verb.to_lowercase().as_str()) && !rest.is_empty() {
        rest
    } else {
        text
    };
    let mut ways = vec![bare.to_owned()];
    if let Some((first, second)) = bare.split_once(" or ") {
        let verb = bare.split_whitespace().next().unwrap_or_default();
        ways.extend([first.to_owned(), format!("{verb} {second}")]);
    }
    ways
}

/// Everything of the agent's that can be quoted: sentences, neighbours of two,
/// and calls of tools.
fn quotes(question: &JudgeQuestion) -> Vec<Quote> {
    let mut quotes = Vec::new();
    let mut push = |turn: u32, text: &str| {
        let (about, exact) = (concepts(text), exact(text));
        quotes.push(Quote { turn, text: text.to_owned(), about, exact });
    };
    for (turn, speaker, text) in &question.transcript {
        if *speaker != Speaker::Agent {
            continue;
        }
        let sentences = sentences(text);
        let long = |sentence: &&&str| sentence.chars().count() >= SHORTEST;
        sentences.iter().filter(long).for_each(|sentence| push(*turn, sentence));
        if sentences.len() == 1 && text.chars().count() < SHORTEST {
            push(*turn, text);
        }
        for pair in sentences.windows(2) {
            push(*turn, &spanning(text, pair[0], pair[1]));
        }
    }
    for (turn, call) in &question.calls {
        push(*turn, call);
    }
    quotes
}

/// The piece of `text` from one of its sentences to the end of the next.
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
    #[case("Promises a refund", Ask::Said("Promises a refund"))]
    #[case("The agent does not argue", Ask::NotSaid("argue"))]
    #[case("Ignores the complaint", Ask::NotSaid("the complaint"))]
    #[case(
        "Tells the address without asking for the date of birth",
        Ask::Without("Tells the address", "asking for the date of birth")
    )]
    #[case("Notes the name", Ask::Said("Notes the name"))]
    #[case("Books a day that the caller did not ask for", Ask::Unasked("Books a day"))]
    fn items_are_taken_apart(#[case] text: &str, #[case] ask: Ask<'_>) {
        assert_eq!(take_apart(text), ask);
    }

    fn met(kind: ItemKind, item: &str, agent: &str) -> (bool, Option<String>) {
        let question = JudgeQuestion {
            items: vec![(0, kind, item.into())],
            transcript: vec![(0, Speaker::User, item.into()), (1, Speaker::Agent, agent.into())],
            calls: vec![(1, "look_up_order({\"id\":7})".into())],
        };
        let judged = judge(&question);
        let item = &judged["items"][0];
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
    fn behaviours(#[case] item: &str, #[case] agent: &str, #[case] expected: bool) {
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
    fn failure_conditions(#[case] item: &str, #[case] agent: &str, #[case] expected: bool) {
        let (met, quote) = met(ItemKind::FailureCondition, item, agent);
        assert_eq!(met, expected);
        assert!(!met || quote.is_some(), "an accusation has a quote");
    }

    #[test]
    fn what_a_user_says_is_never_evidence() {
        assert_eq!(
            met(ItemKind::Behavior, "Confirms that parking is free", "I see."),
            (false, None)
        );
    }
}
