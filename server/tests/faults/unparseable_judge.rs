//! A judge that could not be read was "score 50, failed". Here a reply that
//! does not fit is asked for once more and then is an error, with the words
//! kept and without score or verdict: 200 malformed replies, 0 verdicts.

use super::outside::{assert_endings, binary, endings, scenarios, start, whole_runs};
use serde_json::{Value, json};
use fault_injection::house::House;
use mock_provider::{Action, Role, Rule, Script, When};
use std::collections::HashSet;

const REPLIES: usize = 200;

/// A reply that is right in every way, for a scenario of one item.
fn sound() -> Value {
    mock_provider::judged(true, "I can help with that")
}

/// The sound reply with one thing in it put wrong.
fn with(pointer: &str, wrong: Value) -> String {
    let mut reply = sound();
    *reply.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = wrong;
    reply.to_string()
}

fn without(field: &str) -> String {
    let mut reply = sound();
    reply.as_object_mut().unwrap().remove(field).expect("was there");
    reply.to_string()
}

/// Malformed replies, no two the same.
fn malformed() -> Vec<String> {
    let right = sound().to_string();
    let mut all: Vec<String> = vec![
        String::new(),
        "I would say 50.".into(),
        "50".into(),
        "null".into(),
        "true".into(),
        "\"passed\"".into(),
        "[]".into(),
        "{}".into(),
        format!("[{right}]"),
        format!("{right}{right}"),
        format!("Here you are: {right}"),
        format!("{right} I hope this helps."),
        format!("```yaml\n{right}\n```"),
        format!("```json\n{right}"),
        right.replace('"', "'"),
        right.replace('}', ",}"),
        right.replace("true", "True"),
        json!({"score": 100, "passed": true}).to_string(),
        with("/items", json!([])),
        with("/items", json!({})),
        with("/items", Value::Null),
        with("/items", json!([sound()["items"][0], sound()["items"][0]])),
        with("/items/0/index", json!(1)),
        with("/items/0/index", json!(-1)),
        with("/items/0/index", json!("0")),
        with("/items/0/index", json!(0.5)),
        with("/items/0/met", json!("true")),
        with("/items/0/met", json!(1)),
        with("/items/0/basis", Value::Null),
        with("/items/0/basis", json!("feeling")),
        with("/items/0/evidence", json!("I can help with that")),
        with("/items/0/evidence/0/turn", json!(-1)),
        with("/items/0/evidence/0/turn", json!("one")),
        with("/items/0/evidence/0/quote", Value::Null),
        with("/items/0/reason", json!(["because"])),
        with("/score", json!(101)),
        with("/score", json!(-0.5)),
        with("/score", json!("90")),
        with("/issues", json!("none")),
        with("/recommendations", json!([7])),
        with("/opinion", json!({"text": "Good."})),
        without("items"),
        without("issues"),
        without("recommendations"),
        right.replacen('{', "{\"verdict\": \"passed\", ", 1),
        right.replace("\"score\":90", "\"score\":1e999"),
    ];
    // And cut off, at as many places as are wanted.
    let cuts = (1..right.len()).filter(|at| right.is_char_boundary(*at));
    all.extend(cuts.map(|at| right[..at].to_owned()).take(REPLIES - all.len()));
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), REPLIES);
    all
}

#[tokio::test]
async fn two_hundred_malformed_replies_are_no_verdict() {
    let once = |text: String| Rule {
        when: When { role: Some(Role::Judge), ..When::default() },
        ..Rule::first(1, Action::Answer(text))
    };
    let half = REPLIES / 2;
    let (first, second) = (malformed(), malformed());
    let house = House::of(&binary()).with("REHEARSAL_RUNS_PER_USER", 20).started().await;
    let user = house.user("judge@example.org");
    let all = scenarios(&user, "S", 5, 1).await;
    let mut seen = HashSet::new();
    let halves = [("openai", &first[..half]), ("anthropic", &second[half..])];
    for (kind, replies) in halves {
        let stand = mock_provider::start(Script::of(replies.iter().cloned().map(once))).await.unwrap();
        let url = if kind == "openai" { stand.openai_url() } else { stand.anthropic_url() };
        let agent = user.agent(kind, &url).await;
        // Two replies a run: the first, and the one that was asked for again.
        let more = json!({"repeats": half / 2 / all.len(), "concurrency": 20});
        let suite = start(&user, &agent, &all, more).await;
        let suite = user.finished(&suite).await;
        let counts = endings(&suite);
        assert_endings(&suite, &[("error/evaluation_unparseable", half / 2)]);
        assert!(suite["pass_rate"].is_null(), "{counts:?}");
        for run in whole_runs(&user, &suite).await {
            assert!(run["score"].is_null() && run["passed"].is_null(), "{run}");
            let judging = &run["evaluations"][0];
            assert!(judging["score"].is_null() && judging["verdict"].is_null(), "{judging}");
            seen.insert(judging["raw_reply"].as_str().expect("its words are kept").to_owned());
            assert_eq!(run["transcript"].as_array().unwrap().len(), 2);
        }
        let asked = stand.journal().iter().filter(|entry| entry.role == Role::Judge).count();
        assert_eq!(asked, half, "every reply was given, and none asked for a third time");
    }
    assert!(seen.len() >= REPLIES / 4, "different words: {}", seen.len());
}

#[tokio::test]
async fn the_same_reply_unspoilt_is_a_verdict() {
    // Without this, the test above would pass with a judge that reads nothing.
    let rule = super::outside::of_role(Role::Judge, Action::Answer(sound().to_string()));
    let stand = mock_provider::start(Script::of([rule])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("judge@example.org");
    let one = scenarios(&user, "S", 1, 1).await;
    for (kind, url) in [("openai", stand.openai_url()), ("anthropic", stand.anthropic_url())] {
        let agent = user.agent(kind, &url).await;
        let suite = start(&user, &agent, &one, json!({})).await;
        assert_endings(&user.finished(&suite).await, &[("passed", 1)]);
    }
}
