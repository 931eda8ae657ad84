//! Failure mode: an unreadable judge reply counts as "score 50, failed". The judge gets
//! a second request; a second unreadable reply is an error that keeps the raw
//! text and has no score or verdict: 200 malformed replies, 0 verdicts.

use super::support::{assert_outcomes, new_server, outcomes, rule_for_role};
use fault_injection::base_url;
use mock_provider::{Action, Role, Rule, Script, When};
use serde_json::{Value, json};
use std::collections::HashSet;

const REPLIES: usize = 200;

fn valid_reply() -> Value {
    mock_provider::judge_reply(true, "I can help with that")
}

/// The valid reply with one value replaced.
fn with(pointer: &str, wrong: Value) -> String {
    let mut reply = valid_reply();
    *reply.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = wrong;
    reply.to_string()
}

fn without(field: &str) -> String {
    let mut reply = valid_reply();
    reply.as_object_mut().unwrap().remove(field).expect("was there");
    reply.to_string()
}

/// The item as an entry of a list, with this index.
fn listed(index: Value) -> Value {
    let mut item = valid_reply()["items"]["item_0"].clone();
    item["index"] = index;
    item
}

/// Distinct malformed replies.
fn malformed() -> Vec<String> {
    let valid = valid_reply().to_string();
    let mut all: Vec<String> = vec![
        String::new(),
        "I would say 50.".into(),
        "50".into(),
        "null".into(),
        "true".into(),
        "\"passed\"".into(),
        "[]".into(),
        "{}".into(),
        format!("[{valid}]"),
        format!("{valid}{valid}"),
        format!("Here you are: {valid}"),
        format!("{valid} I hope this helps."),
        format!("```yaml\n{valid}\n```"),
        format!("```json\n{valid}"),
        valid.replace('"', "'"),
        valid.replace('}', ",}"),
        valid.replace("true", "True"),
        json!({"score": 100, "passed": true}).to_string(),
        with("/items", json!([])),
        with("/items", json!({})),
        with("/items", Value::Null),
        with("/items", json!([listed(json!(0)), listed(json!(0))])),
        with("/items", json!([listed(json!(1))])),
        with("/items", json!([listed(json!(-1))])),
        with("/items", json!([listed(json!("0"))])),
        with("/items", json!([listed(json!(0.5))])),
        valid.replace("item_0", "item_1"),
        valid.replace("item_0", "first"),
        with("/items/item_0/met", json!("true")),
        with("/items/item_0/met", json!(1)),
        with("/items/item_0/basis", Value::Null),
        with("/items/item_0/basis", json!("feeling")),
        with("/items/item_0/evidence", json!("I can help with that")),
        with("/items/item_0/evidence/0/turn", json!(-1)),
        with("/items/item_0/evidence/0/turn", json!("one")),
        with("/items/item_0/evidence/0/quote", Value::Null),
        with("/items/item_0/reason", json!(["because"])),
        with("/score", json!(101)),
        with("/score", json!(-0.5)),
        with("/score", json!("90")),
        with("/issues", json!("none")),
        with("/recommendations", json!([7])),
        with("/opinion", json!({"text": "Good."})),
        without("items"),
        without("issues"),
        without("recommendations"),
        valid.replacen('{', "{\"verdict\": \"passed\", ", 1),
        valid.replace("\"score\":90", "\"score\":1e999"),
    ];
    // The rest are truncations of the valid reply.
    let cuts = (1..valid.len()).filter(|at| valid.is_char_boundary(*at));
    all.extend(cuts.map(|at| valid[..at].to_owned()).take(REPLIES - all.len()));
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), REPLIES);
    all
}

#[tokio::test]
async fn malformed_replies_never_give_a_verdict() {
    let once = |text: String| Rule {
        when: When { role: Some(Role::Judge), ..When::default() },
        ..Rule::first(1, Action::Reply(text))
    };
    let half = REPLIES / 2;
    let (first, second) = (malformed(), malformed());
    let server = new_server().with_env("REHEARSAL_RUNS_PER_USER", 20).started().await;
    let user = server.create_user("judge@example.org");
    let all = user.create_scenarios("S", 5, 1).await;
    let mut seen = HashSet::new();
    let halves = [("openai", &first[..half]), ("anthropic", &second[half..])];
    for (kind, replies) in halves {
        let provider =
            mock_provider::start(Script::of(replies.iter().cloned().map(once))).await.unwrap();
        let agent = user.create_agent(kind, &base_url(kind, &provider)).await;
        // Each run takes two replies: that to the first and that to the second request.
        let more = json!({"repeats": half / 2 / all.len(), "concurrency": 20});
        let suite = user.start_suite(&agent, &all, more).await;
        let suite = user.wait_for_suite(&suite).await;
        let counts = outcomes(&suite);
        assert_outcomes(&suite, &[("error/evaluation_unparseable", half / 2)]);
        assert!(suite["pass_rate"].is_null(), "{counts:?}");
        for run in user.fetch_runs(&suite).await {
            assert!(run["score"].is_null() && run["passed"].is_null(), "{run}");
            let judging = &run["evaluations"][0];
            assert!(judging["score"].is_null() && judging["verdict"].is_null(), "{judging}");
            seen.insert(judging["raw_reply"].as_str().expect("the raw reply is kept").to_owned());
            assert_eq!(run["transcript"].as_array().unwrap().len(), 2);
        }
        let judge_calls =
            provider.request_log().iter().filter(|entry| entry.role == Role::Judge).count();
        assert_eq!(judge_calls, half, "every reply is used, without a third request");
    }
    assert!(seen.len() >= REPLIES / 4, "different replies: {}", seen.len());
}

#[tokio::test]
async fn valid_reply_gives_a_verdict() {
    // Otherwise the test above would pass with a parser that rejects everything.
    let rule = rule_for_role(Role::Judge, Action::Reply(valid_reply().to_string()));
    let provider = mock_provider::start(Script::of([rule])).await.unwrap();
    let server = new_server().started().await;
    let user = server.create_user("judge@example.org");
    let one = user.create_scenarios("S", 1, 1).await;
    for kind in ["openai", "anthropic"] {
        let agent = user.create_agent(kind, &base_url(kind, &provider)).await;
        let suite = user.start_suite(&agent, &one, json!({})).await;
        assert_outcomes(&user.wait_for_suite(&suite).await, &[("passed", 1)]);
    }
}
