//! Malformed bodies of both protocols and the expected result of each.

use super::{BOTH, Client, check_result, judge_request, raw_body, request};
use domain::ConnectionKind;
use llm::Decision;
use mock_provider::{Rule, Script};
use serde_json::Value;

/// The expected result of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A retryable error.
    Unreadable,
    /// A reply with this text.
    Text(&'static str),
    /// A reply with this number of tool calls.
    Calls(usize),
}
use Expected::{Calls, Text, Unreadable};

/// A complete body with this message and usage.
fn body_with(kind: ConnectionKind, message: &str, usage: &str) -> String {
    match kind {
        ConnectionKind::Anthropic => format!(
            r#"{{"type":"message","content":{message},"stop_reason":"end_turn","usage":{usage}}}"#
        ),
        _ => format!(
            r#"{{"choices":[{{"message":{message},"finish_reason":"stop"}}],"usage":{usage}}}"#
        ),
    }
}

fn nest(open: &str, close: &str, depth: usize, middle: &str) -> String {
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
}

/// Bodies that are malformed in both protocols.
fn malformed_in_both() -> Vec<(&'static str, String, Expected)> {
    let same = [
        "",
        " \n ",
        "null",
        "true",
        "0",
        "-1",
        "\"words\"",
        "[]",
        "{}",
        "{\"a\":",
        "nan",
        "{\"choices\":null,\"content\":null}",
        "{\"choices\":{},\"content\":{}}",
        "{\"choices\":\"x\",\"content\":\"x\"}",
        "{\"choices\":[],\"content\":7}",
        "\u{FEFF}{\"choices\":[{\"message\":{}}],\"content\":[]}",
        "data: {\"choices\":[]}\n\n",
    ];
    let mut all: Vec<_> =
        same.map(|body| ("malformed in both protocols", body.to_owned(), Unreadable)).into();
    all.push(("a deep list", nest("[", "]", 200_000, ""), Unreadable));
    all.push(("a deep list, truncated", "[".repeat(1_000_000), Unreadable));
    all.push(("a deep object", nest("{\"a\":", "}", 100_000, "1"), Unreadable));
    all
}

fn openai() -> Vec<(&'static str, String, Expected)> {
    let with = |message: &str| body_with(ConnectionKind::OpenAi, message, "{}");
    let calls = |calls: &str| with(&format!(r#"{{"content":null,"tool_calls":{calls}}}"#));
    let look = r#"{"id":"x","type":"function","function":{"name":"look","arguments":"{}"}}"#;
    let arguments = |text: &str| {
        let text = Value::String(text.to_owned());
        calls(&format!(r#"[{{"id":"x","function":{{"name":"look","arguments":{text}}}}}]"#))
    };
    vec![
        ("a choice that is a number", r#"{"choices":[7]}"#.into(), Unreadable),
        ("a choice without a message", r#"{"choices":[{}]}"#.into(), Unreadable),
        ("a message that is null", with("null"), Unreadable),
        ("a message that is text", with("\"hi\""), Unreadable),
        ("a message that is a list", with("[{}]"), Unreadable),
        ("a lone surrogate", with(r#"{"content":"\ud800"}"#), Unreadable),
        ("swapped surrogates", with(r#"{"content":"\udc00\ud800"}"#), Unreadable),
        ("a number out of range", with(r#"{"content":"hi","n":1e999}"#), Unreadable),
        ("an error in a success", r#"{"error":{"code":7,"message":"no"}}"#.into(), Unreadable),
        ("no content", with("{}"), Text("")),
        ("content that is a number", with(r#"{"content":7}"#), Text("")),
        ("content that is an object", with(r#"{"content":{"text":"hi"}}"#), Text("")),
        (
            "parts, some malformed",
            with(r#"{"content":[{"text":"a"},{"text":7},null,5]}"#),
            Text("a"),
        ),
        ("U+0000", with(r#"{"content":"a\u0000b"}"#), Text("a\u{FFFD}b")),
        ("a duplicate key", with(r#"{"content":"a","content":"b"}"#), Text("b")),
        ("a refusal that is a number", with(r#"{"content":"hi","refusal":7}"#), Text("hi")),
        ("calls that are text", with(r#"{"content":"hi","tool_calls":"look"}"#), Text("hi")),
        ("calls that are an object", with(r#"{"content":"hi","tool_calls":{}}"#), Text("hi")),
        ("calls without names", calls(r#"[null,7,{},{"id":"a"},{"function":{}}]"#), Text("")),
        ("a duplicate id", calls(&format!("[{look},{look}]")), Calls(2)),
        ("numeric ids", calls(&format!("[{0},{0}]", look.replace("\"x\"", "7"))), Calls(2)),
        ("arguments that are not JSON", arguments("{oops"), Calls(1)),
        ("arguments that are a number", arguments("1e999"), Calls(1)),
        ("arguments with a lone surrogate", arguments(r#"{"a":"\ud800"}"#), Calls(1)),
        ("arguments with U+0000", arguments(r#"{"a\u0000":"\u0000"}"#), Calls(1)),
        ("deep arguments", arguments(&nest("{\"a\":", "}", 127, "1")), Calls(1)),
        ("arguments nested too deeply", arguments(&nest("[", "]", 100_000, "")), Calls(1)),
        (
            "a name of a megabyte",
            calls(&format!("[{}]", look.replace("look", &"n".repeat(1 << 20)))),
            Calls(1),
        ),
        (
            "ten thousand calls",
            calls(&format!("[{}]", vec![look; 10_000].join(","))),
            Calls(10_000),
        ),
    ]
}

fn anthropic() -> Vec<(&'static str, String, Expected)> {
    let with = |content: &str| body_with(ConnectionKind::Anthropic, content, "{}");
    let input = |input: &str| {
        with(&format!(r#"[{{"type":"tool_use","id":"x","name":"look","input":{input}}}]"#))
    };
    let look = r#"{"type":"tool_use","id":"x","name":"look","input":{}}"#;
    vec![
        ("a lone surrogate", with(r#"[{"type":"text","text":"\ud800"}]"#), Unreadable),
        ("a number out of range", with(r#"[{"type":"text","text":"a","n":-1e999}]"#), Unreadable),
        (
            "an error in a success",
            r#"{"type":"error","error":{"message":"no"}}"#.into(),
            Unreadable,
        ),
        ("no blocks", with("[]"), Text("")),
        ("blocks that are none", with(r#"[null,7,"text",[],{},{"type":7}]"#), Text("")),
        ("text that is a number", with(r#"[{"type":"text","text":7},{"type":"text"}]"#), Text("")),
        (
            "a block of another kind",
            with(r#"[{"type":"new"},{"type":"text","text":"a"}]"#),
            Text("a"),
        ),
        ("U+0000", with(r#"[{"type":"text","text":"a\u0000b"}]"#), Text("a\u{FFFD}b")),
        ("input that is text", input("\"hi\""), Calls(1)),
        ("input that is null", input("null"), Calls(1)),
        ("input with U+0000", input(r#"{"a\u0000":"\u0000"}"#), Calls(1)),
        ("deep input", input(&nest("{\"a\":", "}", 122, "1")), Calls(1)),
        ("a call without a name", with(r#"[{"type":"tool_use"}]"#), Calls(1)),
        ("a duplicate id", with(&format!("[{look},{look}]")), Calls(2)),
        ("ten thousand calls", with(&format!("[{}]", vec![look; 10_000].join(","))), Calls(10_000)),
    ]
}

pub(super) fn table(kind: ConnectionKind) -> Vec<(&'static str, String, Expected)> {
    let mut all = if kind == ConnectionKind::Anthropic { anthropic() } else { openai() };
    let hi = match kind {
        ConnectionKind::Anthropic => r#"[{"type":"text","text":"hi"}]"#,
        _ => r#"{"content":"hi"}"#,
    };
    let usages = [
        "null",
        "7",
        "[]",
        r#"{"prompt_tokens":-5,"input_tokens":-5}"#,
        r#"{"prompt_tokens":"7","input_tokens":1.5,"output_tokens":[],"completion_tokens":null}"#,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615,
            "input_tokens":18446744073709551615,"output_tokens":18446744073709551615,
            "cache_read_input_tokens":18446744073709551615}"#,
        r#"{"prompt_tokens":99999999999999999999999,"input_tokens":1e300}"#,
    ];
    all.extend(usages.map(|usage| ("malformed usage", body_with(kind, hi, usage), Text("hi"))));
    all.extend(malformed_in_both());
    all
}

#[tokio::test]
async fn malformed_bodies_have_the_expected_result() {
    for kind in BOTH {
        let provider = mock_provider::start(Script::default()).await.unwrap();
        let client = Client::for_provider(kind, &provider);
        for (name, body, expected) in table(kind) {
            provider.set_script(Script::of([Rule::always(raw_body(&body))]));
            let result = client.complete(&request()).await;
            check_result(&result);
            let actual = match &result {
                Ok(reply) if !reply.tool_calls.is_empty() => Calls(reply.tool_calls.len()),
                Ok(reply) if matches!(expected, Text(text) if text == reply.text) => expected,
                Ok(reply) => panic!("{kind:?}, {name}: text {:?}", reply.text),
                Err(error) => {
                    assert_eq!(error.decision, Decision::Retry, "{kind:?}, {name}: {error}");
                    Unreadable
                }
            };
            assert_eq!(actual, expected, "{kind:?}, {name}");
            // None of the bodies is a valid judge reply.
            let judge_reply = client.complete(&judge_request()).await;
            check_result(&judge_reply);
            if let Ok(reply) = judge_reply {
                assert!(judge::parse_reply(&reply.text, 1).is_err(), "{kind:?}, {name}");
            }
        }
    }
}
