//! The simulated user: states its goal, answers questions with its facts and ends after a
//! few turns.

use super::lexicon::{concepts, coverage, words};
use conversation::SimulatedRole;
use llm_types::Message;
use serde_json::{Value, json};

/// Number of turns after which the user ends the conversation.
const MAX_TURNS: usize = 4;

/// Phrases of an agent that has fulfilled a request.
const FULFILLED_PHRASES: [&str; 9] = [
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

/// Returns the next turn as the JSON object that the simulated-user schema requires.
pub(super) fn turn(role: &SimulatedRole, messages: &[Message]) -> Value {
    let said: Vec<&str> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Assistant { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let agent_text = messages.iter().rev().find_map(|message| match message {
        Message::User(text) => Some(text.to_lowercase()),
        _ => None,
    });
    let agent_text = agent_text.unwrap_or_default();
    let fulfilled = FULFILLED_PHRASES.iter().any(|word| agent_text.contains(word));
    let (message, done) = match said.len() {
        0 => (opening(&role.goal), "no"),
        turns if turns >= 2 && fulfilled => {
            ("Great, thank you. That is all I needed. Goodbye.".into(), "goal_reached")
        }
        MAX_TURNS.. if agent_text.contains("did not understand") => {
            ("This leads nowhere, I will try elsewhere. Goodbye.".into(), "gave_up")
        }
        MAX_TURNS.. => ("Thank you, that answers it. Goodbye.".into(), "goal_reached"),
        turns => (reply(role, &agent_text, &said, turns), "no"),
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

/// Answers with the fact asked for, or else with a fact not mentioned yet.
fn reply(role: &SimulatedRole, agent_text: &str, said: &[&str], turns: usize) -> String {
    let asked = concepts(agent_text);
    let mentioned =
        |fact: &str| said.iter().any(|text| text.contains(sentence(fact).trim_end_matches('.')));
    let fresh: Vec<&String> = role.facts.iter().filter(|fact| !mentioned(fact)).collect();
    let fitting = fresh
        .iter()
        .map(|fact| (coverage(&concepts(fact), &asked), *fact))
        .filter(|(share, _)| *share > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match (fitting, fresh.first()) {
        (Some((_, fact)), _) => sentence(fact),
        (None, Some(fact)) if agent_text.contains('?') => sentence(fact),
        (None, _) if agent_text.contains('?') => {
            "I do not know that, I am afraid. Can we go on without it?".to_owned()
        }
        (None, _) if turns == 1 => {
            "Yes, that is what I mean. Can you do that for me now?".to_owned()
        }
        (None, _) => "All right. Is there anything else that I should know?".to_owned(),
    }
}

/// "Name: Dana Reed" → "My name is Dana Reed."
fn sentence(fact: &str) -> String {
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
            provider_state: None,
        }
    }

    #[test]
    fn reply_mentions_each_fact_once() {
        let facts = vec!["Phone: 555 0199".into(), "Name: Dana Reed".into()];
        let role = SimulatedRole { name: String::new(), goal: "Book a visit".into(), facts };
        let mut messages = vec![
            Message::User("(seed)".into()),
            answer("Hello."),
            Message::User("May I have your name?".into()),
        ];
        assert_eq!(turn(&role, &messages)["message"], "My name is Dana Reed.");
        messages.extend([answer("My name is Dana Reed."), Message::User("And your name?".into())]);
        assert_eq!(turn(&role, &messages)["message"], "My phone is 555 0199.");
    }

    #[test]
    fn turn_ends_when_fulfilled_or_after_max_turns() {
        let role =
            SimulatedRole { name: String::new(), goal: "Book a visit".into(), facts: vec![] };
        let mut messages = vec![Message::User("(seed)".into())];
        for _ in 0..2 {
            messages.extend([answer("x"), Message::User("Sure.".into())]);
            assert_eq!(turn(&role, &messages)["done"], "no");
        }
        messages.push(Message::User("You are booked for Tuesday.".into()));
        assert_eq!(turn(&role, &messages)["done"], "goal_reached");
        messages.extend([
            answer("x"),
            answer("x"),
            Message::User("I did not understand that.".into()),
        ]);
        assert_eq!(turn(&role, &messages)["done"], "gave_up");
    }
}
