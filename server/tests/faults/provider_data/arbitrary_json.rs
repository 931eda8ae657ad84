//! Arbitrary JSON, also in the fields that an adapter reads.

use super::{BOTH, Client, check_result, judge_request, request};
use mock_provider::{Action, Rule, Script};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// Arbitrary JSON with the field names of both protocols.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "choices",
            "message",
            "content",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "id",
            "finish_reason",
            "usage",
            "prompt_tokens",
            "completion_tokens",
            "type",
            "text",
            "tool_use",
            "input",
            "stop_reason",
            "input_tokens",
            "error",
            "code",
            "refusal",
            "items",
            "index",
            "met",
            "basis",
            "evidence",
            "evaluation",
            "\0",
            "",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(u64::MAX)),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| Value::from(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Arbitrary JSON as the body, or in the fields that an adapter reads.
fn any_body() -> impl Strategy<Value = Value> {
    (any_json(), any_json(), any_json(), 0..6).prop_map(|(a, b, c, place)| match place {
        0 => a,
        1 => json!({"choices": [{"message": a, "finish_reason": b}], "usage": c}),
        2 => json!({"choices": [{"message": {"content": a, "tool_calls": b}}], "usage": c}),
        3 => json!({"choices": [{"message": {"tool_calls": [{"id": a,
            "function": {"name": b, "arguments": c}}]}}]}),
        4 => json!({"content": a, "stop_reason": b, "usage": c}),
        _ => json!({"content": [{"type": "tool_use", "id": "x", "name": "evaluation", "input": a},
            {"type": b, "text": c}]}),
    })
}

#[test]
fn arbitrary_json_is_a_reply_or_an_error_and_never_a_verdict() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (provider, clients) = runtime.block_on(async {
        let provider = mock_provider::start(Script::default()).await.unwrap();
        let clients = BOTH.map(|kind| Client::for_provider(kind, &provider));
        (provider, clients)
    });
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let result = runner.run(&any_body(), |body| {
        provider.set_script(Script::of([Rule::always(Action::Json(body))]));
        for client in &clients {
            check_result(&runtime.block_on(client.complete(&request())));
            let judge_reply = runtime.block_on(client.complete(&judge_request()));
            check_result(&judge_reply);
            if let Ok(reply) = judge_reply {
                assert!(judge::parse_reply(&reply.text, 1).is_err(), "{}", reply.text);
            }
        }
        Ok(())
    });
    result.unwrap();
}
