//! Any JSON at all, also in the places where an adapter looks.

use super::{BOTH, Rig, check, question, question_in_a_form};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use mock_provider::{Action, Rule, Script};

/// Any JSON, out of the words of both protocols and of whatever else.
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

/// Any JSON by itself, or in the places where an adapter looks.
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
fn whatever_json_comes_it_is_an_answer_or_an_error_and_no_verdict() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (stand, rigs) = runtime.block_on(async {
        let stand = mock_provider::start(Script::default()).await.unwrap();
        let rigs = BOTH.map(|kind| Rig::over(kind, &stand));
        (stand, rigs)
    });
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let asked = runner.run(&any_body(), |body| {
        stand.play(Script::of([Rule::always(Action::Raw(body))]));
        for rig in &rigs {
            check(&runtime.block_on(rig.ask(&question())));
            let in_form = runtime.block_on(rig.ask(&question_in_a_form()));
            check(&in_form);
            if let Ok(reply) = in_form {
                assert!(judge::parse(&reply.text, 1).is_err(), "{}", reply.text);
            }
        }
        Ok(())
    });
    asked.unwrap();
}
