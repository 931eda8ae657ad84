use super::*;
use crate::fixtures::agent;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[case::text("/reply", json!({"reply": "Hi"}), Ok("Hi"))]
#[case::number("/n", json!({"n": 7}), Ok("7"))]
#[case::list("/parts", json!({"parts": ["Hi", null, "you"]}), Ok("Hi\nyou"))]
#[case::every("/m/*[role=agent]/content", json!({"m": [{"role": "user", "content": "x"}, {"role": "agent", "content": "A"}, {"role": "agent", "content": "B"}]}), Ok("A\nB"))]
#[case::last("/m/-1/content", json!({"m": [{"content": "x"}, {"content": "y"}]}), Ok("y"))]
#[case::no_fitting_entry("/m/*[role=agent]/content", json!({"m": []}), Ok(""))]
#[case::null("/reply", json!({"reply": null}), Ok(""))]
#[case::missing("/a/reply", json!({"a": {"answer": "x", "b": 1}}), Err("it has nothing at /a/reply (response.text); /a has the fields answer, b"))]
#[case::missing_list("/m/*/content", json!({"x": 1}), Err("it has nothing at /m/*/content (response.text); the response has the fields x"))]
#[case::object("/reply", json!({"reply": {"a": 1}}), Err("/reply points to an object, not to text"))]
#[case::nested_list("/m/*", json!({"m": [["x"]]}), Ok("x"))]
fn text_is_read(
    #[case] pointer: &str,
    #[case] document: Value,
    #[case] expected: Result<&str, &str>,
) {
    let agent = agent(&json!({"response": {"text": pointer}}));
    let read = read_message(&agent, &document).map(|reply| reply.text);
    let expected =
        expected.map(str::to_owned).map_err(|message| ReadError::Unreadable(message.to_owned()));
    assert_eq!(read, expected);
}

#[test]
fn calls_end_and_usage_are_read() {
    let agent = agent(&json!({
        "tools": "in_response",
        "response": {"text": "/reply", "end": "/status", "end_value": "ended",
            "input_tokens": "/usage/in", "output_tokens": "/usage/out",
            "tool_calls": {"list": "/calls", "name": "/f/name", "arguments": "/f/args", "result": "/out"}},
    }));
    let document = json!({"status": "ended", "usage": {"in": 3, "out": 4}, "calls": [
        {"f": {"name": "book", "args": "{\"day\": 2}"}, "out": {"ok": true}},
        {"f": {"name": "note", "args": "plain"}},
        {"f": {"name": "ring"}, "out": "done"},
    ]});
    let reply = read_message(&agent, &document).expect("readable");
    assert_eq!((reply.text.as_str(), reply.ended), ("", true));
    assert_eq!((reply.input_tokens, reply.output_tokens), (3, 4));
    let calls: Vec<_> = reply
        .tool_calls
        .iter()
        .map(|(call, result)| {
            (call.id.as_str(), call.name.as_str(), &call.arguments, result.as_deref())
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("call-1", "book", &json!({"day": 2}), Some("{\"ok\":true}")),
            ("call-2", "note", &json!("plain"), None),
            ("call-3", "ring", &json!({}), Some("done")),
        ]
    );
}

#[test]
fn tool_call_without_name_is_unreadable() {
    let agent = agent(&json!({
        "tools": "in_response",
        "response": {"tool_calls": {"list": "/calls", "name": "/name"}},
    }));
    let error = read_message(&agent, &json!({"reply": "x", "calls": [{"fn": "a"}]})).unwrap_err();
    assert!(
        matches!(&error, ReadError::Unreadable(m) if m.contains("no name at /name")),
        "{error:?}"
    );
}

#[rstest]
#[case(json!({"end": true}), true)]
#[case(json!({"end": false}), false)]
#[case(json!({"end": "true"}), false)]
#[case(json!({}), false)]
fn without_a_value_only_true_ends(#[case] mut document: Value, #[case] expected: bool) {
    let agent = agent(&json!({"response": {"end": "/end"}}));
    document["reply"] = json!("x");
    assert_eq!(read_message(&agent, &document).expect("readable").ended, expected);
}

#[rstest]
#[case(json!({"reply": "x"}), None)]
#[case(json!({"reply": "x", "error": null}), None)]
#[case(json!({"reply": "x", "error": ""}), None)]
#[case(json!({"error": "no seats"}), Some("no seats"))]
#[case(json!({"reply": "x", "error": {"code": 3, "message": "busy"}}), Some("busy"))]
#[case(json!({"error": {"code": 3}}), Some("{\"code\":3}"))]
fn error_in_a_success_is_reported(#[case] document: Value, #[case] expected: Option<&str>) {
    let agent = agent(&json!({"response": {"error": "/error"}}));
    let expected = expected.map(|message| ReadError::Reported(message.to_owned()));
    assert_eq!(read_message(&agent, &document).err(), expected);
}

#[test]
fn greeting_is_read_from_the_start() {
    let mut agent = agent(&json!({}));
    agent.session.greeting = Some("/hello".to_owned());
    let greeting = |document| read_start(&agent, &document).map(|start| start.greeting);
    assert_eq!(greeting(json!({"hello": "Hi"})), Ok(Some("Hi".to_owned())));
    assert!(greeting(json!({"id": 1})).is_err());
}
