//! Tests of prompt and evidence check with recorded conversations, if they are available.

use super::budget::Budget;
use super::evidence::QuoteIndex;
use super::prompt::{JudgedConversation, judge_request, parse_prompt};
use conversation::fixtures::{agent, call, says, scenario, transcript, user};
use domain::{EndReason, Speaker, ToolResult, Turn};
use llm_types::Message;
use serde_json::{Value, json};
use std::path::PathBuf;

fn recordings() -> Vec<Vec<Turn>> {
    let folder = std::env::var_os("REHEARSAL_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        return Vec::new();
    }
    let file = folder.join("tau-bench-airline-transcripts/transcripts.json");
    let text = std::fs::read_to_string(file).expect("the recordings");
    let records: Vec<Value> = serde_json::from_str(&text).expect("a list");
    let turns = |record: &Value| {
        let spoken = record["traj"].as_array().expect("turns");
        transcript(spoken.iter().filter(|turn| turn["role"] != "system").map(turn).collect())
    };
    records.iter().map(turns).collect()
}

fn turn(recorded: &Value) -> Turn {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let said = text(&recorded["content"]);
    match recorded["role"].as_str() {
        Some("user") => user(&said),
        Some("tool") => Turn {
            speaker: Speaker::Tool,
            tool: Some(ToolResult {
                call_id: text(&recorded["tool_call_id"]),
                name: text(&recorded["name"]),
                is_error: false,
                mocked: true,
                reported: false,
            }),
            ..user(&said)
        },
        _ => {
            let made = recorded["tool_calls"].as_array().into_iter().flatten().map(|made| {
                let arguments = text(&made["function"]["arguments"]);
                let arguments = serde_json::from_str(&arguments).unwrap_or(Value::Null);
                call(&text(&made["id"]), &text(&made["function"]["name"]), arguments)
            });
            Turn { tool_calls: made.collect(), ..says(&said) }
        }
    }
}

/// Rewrites a sentence as judges often quote it: typographic marks, no Markdown, one line.
fn as_quoted_by_judge(sentence: &str) -> String {
    let marks = sentence.replace('\'', "’").replace(" - ", " – ").replace("...", "…");
    marks.replace("**", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn parse_prompt_returns_recorded_conversations() {
    let (agent, spec) = (agent(json!({})), scenario(json!({"expected_behaviors": ["Helps"]})));
    for turns in recordings() {
        let end_reason = Some(EndReason::ScriptFinished);
        let case =
            JudgedConversation { agent: &agent, scenario: &spec, transcript: &turns, end_reason };
        let request = judge_request(&case, "m");
        let Message::User(text) = &request.messages[0] else { unreachable!("a question") };
        let read = parse_prompt(text).expect("a prompt of ours");
        let shown = |turn: &&Turn| turn.tool_calls.is_empty() || !turn.message.trim().is_empty();
        let expected: Vec<_> = turns
            .iter()
            .filter(shown)
            .map(|turn| (turn.index, turn.speaker, turn.message.clone()))
            .collect();
        assert_eq!(read.transcript, expected);
        assert_eq!(read.calls.len(), turns.iter().map(|turn| turn.tool_calls.len()).sum::<usize>());
    }
}

#[test]
fn recorded_agent_sentences_verify_and_user_sentences_do_not() {
    let (mut verified, mut refused) = (0, 0);
    for turns in recordings() {
        let mut index = QuoteIndex::new(&turns, true, Budget::new());
        for turn in &turns {
            let sentences = turn.message.split(". ").filter(|s| s.chars().count() >= 20);
            for sentence in sentences.map(as_quoted_by_judge) {
                let found = index.find(turn.index, &sentence, true);
                if turn.speaker == Speaker::User {
                    assert_eq!(found, None, "the user said: {sentence}");
                    refused += 1;
                } else {
                    assert_eq!(found, Some(turn.index), "not found: {sentence}");
                    verified += 1;
                }
            }
        }
    }
    assert!(recordings().is_empty() || (verified > 300 && refused > 100), "{verified} {refused}");
}
