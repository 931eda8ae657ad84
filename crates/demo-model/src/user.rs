//! The stand-in's simulated user: says what it wants, answers what it is asked
//! from its facts, and is content after a few turns.

use llm_types::Message;
use super::lexicon::{concepts, coverage, words};
use conversation::SimulatedRole;
use serde_json::{Value, json};

/// Turns after which it has had enough, one way or the other.
const PATIENCE: usize = 4;

/// Words of an agent that has done something.
const SETTLED: [&str; 9] = [
    "booked",
    "confirmed",
    "cancelled",
    "moved your",
    "put you through",
    "refunded",
    "is reset",
    "arranged",
    "have a good day",
];

/// The next turn, in the words of the simulated user's form.
pub(super) fn turn(role: &SimulatedRole, messages: &[Message]) -> Value {
    let said: Vec<&str> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Assistant { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let heard = messages.iter().rev().find_map(|message| match message {
        Message::User(text) => Some(text.to_lowercase()),
        _ => None,
    });
    let heard = heard.unwrap_or_default();
    let settled = SETTLED.iter().any(|word| heard.contains(word));
    let (message, done) = match said.len() {
        0 => (opening(&role.goal), "no"),
        turns if turns >= 2 && settled => {
            ("Great, thank you. That is all I needed. Goodbye.".into(), "goal_reached")
        }
        PATIENCE.. if heard.contains("did not understand") => {
            ("This leads nowhere, I will try elsewhere. Goodbye.".into(), "gave_up")
        }
        PATIENCE.. => ("Thank you, that answers it. Goodbye.".into(), "goal_reached"),
        turns => (reply(role, &heard, &said, turns), "no"),
    };
    json!({ "message": message, "done": done })
}

/// "Book a cleaning" → "Hello. I would like to book a cleaning."
fn opening(goal: &str) -> String {
    let goal = goal.trim().trim_end_matches('.');
    let lower = goal.to_lowercase();
    let starts = ["you want to ", "wants to ", "the caller wants to ", "i want to ", "to "];
    let start =
        starts.iter().find(|start| lower.starts_with(*start)).map_or(0, |start| start.len());
    let goal = goal.get(start..).unwrap_or(goal);
    let noun = ["a ", "an ", "the ", "my ", "help "].iter().any(|start| lower.starts_with(start));
    let mut chars = goal.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    match (goal.is_empty(), noun) {
        (true, _) => "Hello. I have a question, can you help me?".to_owned(),
        (_, true) => format!("Hello. It is about {first}{}.", chars.as_str()),
        (_, false) => format!("Hello. I would like to {first}{}.", chars.as_str()),
    }
}

/// The fact that is asked for, else one that was not told yet.
fn reply(role: &SimulatedRole, heard: &str, said: &[&str], turns: usize) -> String {
    let asked = concepts(heard);
    let told =
        |fact: &str| said.iter().any(|text| text.contains(spoken(fact).trim_end_matches('.')));
    let fresh: Vec<&String> = role.facts.iter().filter(|fact| !told(fact)).collect();
    let fitting = fresh
        .iter()
        .map(|fact| (coverage(&concepts(fact), &asked), *fact))
        .filter(|(share, _)| *share > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match (fitting, fresh.first()) {
        (Some((_, fact)), _) => spoken(fact),
        (None, Some(fact)) if heard.contains('?') => spoken(fact),
        (None, _) if heard.contains('?') => {
            "I do not know that, I am afraid. Can we go on without it?".to_owned()
        }
        (None, _) if turns == 1 => {
            "Yes, that is what I mean. Can you do that for me now?".to_owned()
        }
        (None, _) => "All right. Is there anything else that I should know?".to_owned(),
    }
}

/// "Name: Dana Reed" → "My name is Dana Reed."
fn spoken(fact: &str) -> String {
    let fact = fact.trim().trim_end_matches('.');
    match fact.split_once(": ") {
        Some((label, value)) if words(label).count() <= 3 => {
            format!("My {} is {value}.", label.to_lowercase())
        }
        _ => format!("{fact}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Book a cleaning for Tuesday.", "Hello. I would like to book a cleaning for Tuesday.")]
    #[case("You want to know the price", "Hello. I would like to know the price.")]
    #[case("A refund for order 7", "Hello. It is about a refund for order 7.")]
    #[case("", "Hello. I have a question, can you help me?")]
    fn openings(#[case] goal: &str, #[case] said: &str) {
        assert_eq!(
            turn(&SimulatedRole { name: String::new(), goal: goal.into(), facts: vec![] }, &[])["message"],
            said
        );
    }

    fn answer(text: &str) -> Message {
        Message::Assistant {
            text: json!({ "message": text, "done": "no" }).to_string(),
            tool_calls: vec![],
        }
    }

    #[test]
    fn tells_what_it_is_asked_and_each_fact_once() {
        let facts = vec!["Phone: 555 0199".into(), "Name: Dana Reed".into()];
        let role = SimulatedRole { name: String::new(), goal: "Book a visit".into(), facts };
        let mut talk = vec![
            Message::User("(seed)".into()),
            answer("Hello."),
            Message::User("May I have your name?".into()),
        ];
        assert_eq!(turn(&role, &talk)["message"], "My name is Dana Reed.");
        talk.extend([answer("My name is Dana Reed."), Message::User("And your name?".into())]);
        assert_eq!(turn(&role, &talk)["message"], "My phone is 555 0199.");
    }

    #[test]
    fn ends_when_it_is_settled_or_patience_is_used_up() {
        let role =
            SimulatedRole { name: String::new(), goal: "Book a visit".into(), facts: vec![] };
        let mut talk = vec![Message::User("(seed)".into())];
        for _ in 0..2 {
            talk.extend([answer("x"), Message::User("Sure.".into())]);
            assert_eq!(turn(&role, &talk)["done"], "no");
        }
        talk.push(Message::User("You are booked for Tuesday.".into()));
        assert_eq!(turn(&role, &talk)["done"], "goal_reached");
        talk.extend([answer("x"), answer("x"), Message::User("I did not understand that.".into())]);
        assert_eq!(turn(&role, &talk)["done"], "gave_up");
    }
}
