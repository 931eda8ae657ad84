//! Odd bodies of both protocols, and what is made of each.

use super::{BOTH, Rig, check, exactly, question, question_in_a_form};
use domain::ConnectionKind;
use serde_json::Value;
use llm::Decision;
use mock_provider::{Rule, Script};

/// What is made of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// No answer: something else than a model spoke.
    Unreadable,
    /// These words; nothing is the agent's silence.
    Words(&'static str),
    /// So many calls of tools.
    Calls(usize),
}
use Read::{Calls, Unreadable, Words};

/// A whole answer of either protocol around words or blocks as given.
fn around(kind: ConnectionKind, message: &str, usage: &str) -> String {
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

/// What neither protocol can be: the same for both.
fn of_no_protocol() -> Vec<(&'static str, String, Read)> {
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
    let mut all: Vec<_> = same.map(|body| ("of no protocol", body.to_owned(), Unreadable)).into();
    all.push(("a deep list", nest("[", "]", 200_000, ""), Unreadable));
    all.push(("a deep list, cut off", "[".repeat(1_000_000), Unreadable));
    all.push(("a deep object", nest("{\"a\":", "}", 100_000, "1"), Unreadable));
    all
}

/// Odd answers of an OpenAI-compatible server.
fn openai() -> Vec<(&'static str, String, Read)> {
    let with = |message: &str| around(ConnectionKind::OpenAi, message, "{}");
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
        ("surrogates the wrong way round", with(r#"{"content":"\udc00\ud800"}"#), Unreadable),
        ("a number beyond all numbers", with(r#"{"content":"hi","n":1e999}"#), Unreadable),
        ("an error in a success", r#"{"error":{"code":7,"message":"no"}}"#.into(), Unreadable),
        ("no content", with("{}"), Words("")),
        ("content that is a number", with(r#"{"content":7}"#), Words("")),
        ("content that is an object", with(r#"{"content":{"text":"hi"}}"#), Words("")),
        ("parts, some odd", with(r#"{"content":[{"text":"a"},{"text":7},null,5]}"#), Words("a")),
        ("U+0000", with(r#"{"content":"a\u0000b"}"#), Words("a\u{FFFD}b")),
        ("a key twice", with(r#"{"content":"a","content":"b"}"#), Words("b")),
        ("a refusal that is a number", with(r#"{"content":"hi","refusal":7}"#), Words("hi")),
        ("calls that are text", with(r#"{"content":"hi","tool_calls":"look"}"#), Words("hi")),
        ("calls that are an object", with(r#"{"content":"hi","tool_calls":{}}"#), Words("hi")),
        ("calls without names", calls(r#"[null,7,{},{"id":"a"},{"function":{}}]"#), Words("")),
        ("an id twice", calls(&format!("[{look},{look}]")), Calls(2)),
        ("ids that are none", calls(&format!("[{0},{0}]", look.replace("\"x\"", "7"))), Calls(2)),
        ("arguments that are no JSON", arguments("{oops"), Calls(1)),
        ("arguments that are a number", arguments("1e999"), Calls(1)),
        ("arguments with a lone surrogate", arguments(r#"{"a":"\ud800"}"#), Calls(1)),
        ("arguments with U+0000", arguments(r#"{"a\u0000":"\u0000"}"#), Calls(1)),
        ("deep arguments", arguments(&nest("{\"a\":", "}", 127, "1")), Calls(1)),
        ("arguments deeper than that", arguments(&nest("[", "]", 100_000, "")), Calls(1)),
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

/// Odd answers of a server of Anthropic's protocol.
fn anthropic() -> Vec<(&'static str, String, Read)> {
    let with = |content: &str| around(ConnectionKind::Anthropic, content, "{}");
    let input = |input: &str| {
        with(&format!(r#"[{{"type":"tool_use","id":"x","name":"look","input":{input}}}]"#))
    };
    let look = r#"{"type":"tool_use","id":"x","name":"look","input":{}}"#;
    vec![
        ("a lone surrogate", with(r#"[{"type":"text","text":"\ud800"}]"#), Unreadable),
        (
            "a number beyond all numbers",
            with(r#"[{"type":"text","text":"a","n":-1e999}]"#),
            Unreadable,
        ),
        (
            "an error in a success",
            r#"{"type":"error","error":{"message":"no"}}"#.into(),
            Unreadable,
        ),
        ("no blocks", with("[]"), Words("")),
        ("blocks that are none", with(r#"[null,7,"text",[],{},{"type":7}]"#), Words("")),
        ("text that is a number", with(r#"[{"type":"text","text":7},{"type":"text"}]"#), Words("")),
        (
            "a block of another kind",
            with(r#"[{"type":"new"},{"type":"text","text":"a"}]"#),
            Words("a"),
        ),
        ("U+0000", with(r#"[{"type":"text","text":"a\u0000b"}]"#), Words("a\u{FFFD}b")),
        ("input that is text", input("\"hi\""), Calls(1)),
        ("input that is null", input("null"), Calls(1)),
        ("input with U+0000", input(r#"{"a\u0000":"\u0000"}"#), Calls(1)),
        ("deep input", input(&nest("{\"a\":", "}", 122, "1")), Calls(1)),
        ("a call without a name", with(r#"[{"type":"tool_use"}]"#), Calls(1)),
        ("an id twice", with(&format!("[{look},{look}]")), Calls(2)),
        ("ten thousand calls", with(&format!("[{}]", vec![look; 10_000].join(","))), Calls(10_000)),
    ]
}

pub(super) fn table(kind: ConnectionKind) -> Vec<(&'static str, String, Read)> {
    let mut all = if kind == ConnectionKind::Anthropic { anthropic() } else { openai() };
    let hi = match kind {
        ConnectionKind::Anthropic => r#"[{"type":"text","text":"hi"}]"#,
        _ => r#"{"content":"hi"}"#,
    };
    let odd = [
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
    all.extend(odd.map(|usage| ("odd usage", around(kind, hi, usage), Words("hi"))));
    all.extend(of_no_protocol());
    all
}

#[tokio::test]
async fn every_odd_body_is_read_for_what_it_is() {
    for kind in BOTH {
        let stand = mock_provider::start(Script::default()).await.unwrap();
        let rig = Rig::over(kind, &stand);
        for (name, body, expected) in table(kind) {
            stand.play(Script::of([Rule::always(exactly(&body))]));
            let answer = rig.ask(&question()).await;
            check(&answer);
            let read = match &answer {
                Ok(reply) if !reply.tool_calls.is_empty() => Calls(reply.tool_calls.len()),
                Ok(reply) if matches!(expected, Words(words) if words == reply.text) => expected,
                Ok(reply) => panic!("{kind:?}, {name}: read as {:?}", reply.text),
                Err(error) => {
                    assert_eq!(error.decision, Decision::Retry, "{kind:?}, {name}: {error}");
                    Unreadable
                }
            };
            assert_eq!(read, expected, "{kind:?}, {name}");
            // Asked in a form, none of it is a judge's answer.
            let in_form = rig.ask(&question_in_a_form()).await;
            check(&in_form);
            if let Ok(reply) = in_form {
                assert!(judge::parse(&reply.text, 1).is_err(), "{kind:?}, {name}");
            }
        }
    }
}
