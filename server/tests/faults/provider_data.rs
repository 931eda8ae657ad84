//! Whatever a provider sends is data: huge numbers, deep nests, wrong types,
//! lone surrogates, U+0000, ten thousand calls of tools, negative tokens, ids
//! twice, nothing at all. No panic, no memory without end, and never a verdict
//! out of nothing.

use super::outside::{SOON, assert_endings, binary, ending, runs, said, start, whole_runs};
use app::domain::{ConnectionId, ConnectionKind, RoleUsage, limits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use server::clock::SystemClock;
use server::llm::{
    CallError, ChatReply, ChatRequest, Connector, Decision, Demo, Endpoint, HttpClient,
    HttpOptions, Message, OutputSchema, Provider,
};
use soak::house::{House, id};
use stand::{Action, Manners, Role, Rule, Script, Stand, When};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BOTH: [ConnectionKind; 2] = [ConnectionKind::OpenAi, ConnectionKind::Anthropic];

/// What is made of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
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

fn table(kind: ConnectionKind) -> Vec<(&'static str, String, Read)> {
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

/// Answers 200 with exactly this body.
fn exactly(body: &str) -> Action {
    Action::Status { status: 200, body: json!(body), headers: [].into() }
}

struct Rig {
    connector: Connector,
    endpoint: Endpoint,
}

impl Rig {
    fn new(kind: ConnectionKind, openai_url: String, anthropic_url: String) -> Self {
        let options = HttpOptions { allow_private_urls: true, ..HttpOptions::default() };
        let http = HttpClient::new(options, Arc::new(SystemClock)).unwrap();
        let base_url = if kind == ConnectionKind::OpenAi { openai_url } else { anthropic_url };
        let endpoint = Endpoint {
            connection_id: ConnectionId(uuid::Uuid::from_u128(1)),
            kind,
            base_url,
            headers: [].into(),
            key: None,
        };
        Self { connector: Connector::new(http, Demo::default()), endpoint }
    }

    fn over(kind: ConnectionKind, stand: &Stand) -> Self {
        Self::new(kind, stand.openai_url(), stand.anthropic_url())
    }

    async fn ask(&self, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.connector.complete(&self.endpoint, request).await
    }
}

fn question() -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![Message::User("hi".into())],
        max_tokens: 16,
        ..ChatRequest::default()
    }
}

/// The question of a judge.
fn question_in_a_form() -> ChatRequest {
    let schema = server::judge::reply_schema(1);
    let output = OutputSchema { name: server::judge::EVALUATION.into(), schema };
    ChatRequest { output: Some(output), ..question() }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What holds of everything that is read.
fn check(answer: &Result<ChatReply, CallError>) {
    match answer {
        Ok(reply) => {
            assert!(!reply.text.contains('\0'));
            for call in &reply.tool_calls {
                assert!(!format!("{}{}{}", call.id, call.name, call.arguments).contains("\\u0000"));
                let deep = depth(&call.arguments);
                assert!(deep <= limits::DEPTH, "what is stored must be readable again: {deep}");
            }
            let mut usage = RoleUsage::default();
            usage.add(reply.input_tokens, reply.output_tokens);
            usage.add(reply.input_tokens, reply.output_tokens);
            let counted = usage.input_tokens.max(usage.output_tokens);
            assert!(counted < 1 << 40, "what no answer has is not counted: {counted}");
        }
        Err(error) => {
            assert!(error.message.ends_with(['.', '!', '?', '…']), "{}", error.message);
            assert!(error.message.chars().count() < 2_000, "{}", error.message.len());
        }
    }
}

#[tokio::test]
async fn every_odd_body_is_read_for_what_it_is() {
    for kind in BOTH {
        let stand = stand::start(Script::default()).await.unwrap();
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
                assert!(server::judge::parse(&reply.text, 1).is_err(), "{kind:?}, {name}");
            }
        }
    }
}

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
        let stand = stand::start(Script::default()).await.unwrap();
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
                assert!(server::judge::parse(&reply.text, 1).is_err(), "{}", reply.text);
            }
        }
        Ok(())
    });
    asked.unwrap();
}

/// A server that answers everybody with these bytes and hangs up.
async fn bytes(answer: Vec<u8>) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    addr
}

#[tokio::test]
async fn what_is_no_http_or_no_text_is_an_error_that_is_tried_again() {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let with = |rest: &[u8]| [ok, rest].concat();
    let odd: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        vec![0xFF; 4096],
        b"HTTP/1.1 200\r\n".to_vec(),
        b"HTTP/9.9 200 OK\r\n\r\n{}".to_vec(),
        b"HTTP/1.1 99999 OK\r\n\r\n{}".to_vec(),
        with(b"content-length: 99999999999999999999999\r\n\r\n{}"),
        with(b"content-length: -1\r\n\r\n{}"),
        with(b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        with(b"content-length: 100\r\n\r\n{\"choices\":"),
        with(b"transfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"),
        with(b"transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"),
        with(b"\r\n\xFF\xFE{\"choices\":[]}"),
        with(b"\r\n{\"choices\":[{\"message\":{\"content\":\"\xC3\x28\"}}],\"content\":[{\"type\":\"text\",\"text\":\"\xC3\"}]}"),
        [with(b"x: "), vec![b'a'; 2 << 20]].concat(),
    ];
    for answer in odd {
        let addr = bytes(answer.clone()).await;
        for kind in BOTH {
            let rig = Rig::new(kind, format!("http://{addr}/v1"), format!("http://{addr}"));
            let asked = tokio::time::timeout(SOON, rig.ask(&question())).await;
            let answer = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
            let error = asked.expect("in time").expect_err(&answer);
            assert_eq!(error.decision, Decision::Retry, "{answer:?}: {error}");
        }
    }
    for manners in [Manners::HangsUp, Manners::Noise] {
        let rough = stand::rough(manners).await.unwrap();
        let rig = Rig::new(BOTH[0], rough.openai_url(), rough.anthropic_url());
        let asked = tokio::time::timeout(SOON, rig.ask(&question())).await;
        let error = asked.expect("in time").expect_err("nobody speaks HTTP");
        assert_eq!(error.decision, Decision::Retry, "{manners:?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_over_four_megabytes_is_cut_off_and_says_so() {
    let stand = stand::start(Script::of([Rule::always(Action::Huge(400 << 20))])).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("huge@example.org");
    let agent = user.agent("openai", &stand.openai_url()).await;
    let one = [id(&user.scenario("S", 1).await)];
    let before = peak_megabytes(&house);
    let suite = start(&user, &agent, &one, json!({})).await;
    let suite = user.finished_within(&suite, SOON).await;
    let run = &runs(&suite)[0];
    assert_eq!(ending(run), "error/provider_unavailable");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains("larger than 4 MiB"), "{message}");
    if let (Some(before), Some(after)) = (before, peak_megabytes(&house)) {
        assert!(after < before + 64, "from {before} MB to {after} MB, for answers of 400");
    }

    // Just below it is an answer.
    let most = (4 << 20) - 10_000;
    stand.play(Script::of([Rule {
        when: When { role: Some(Role::Agent), ..When::default() },
        ..Rule::always(Action::Answer("x".repeat(most)))
    }]));
    let suite = start(&user, &agent, &one, json!({})).await;
    let suite = user.finished_within(&suite, SOON).await;
    let run = whole_runs(&user, &suite).await.remove(0);
    assert!(run["error"].is_null(), "{}", run["error"]);
    assert_eq!(said(&run)[1].len(), most);
}

/// The most memory that the server has used, where the system tells.
fn peak_megabytes(house: &House) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.pid()?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

#[tokio::test]
async fn no_odd_answer_takes_a_run_or_the_server_down_and_none_is_a_verdict() {
    let in_role = |role, words: String, body: &str| Rule {
        when: When { role: Some(role), contains: Some(words), ..When::default() },
        ..Rule::always(exactly(body))
    };
    let house = House::of(&binary()).with("REHEARSAL_RUNS_PER_USER", 16).started().await;
    let user = house.user("odd@example.org");
    for kind in BOTH {
        // What cannot be read is a failure of the provider, and told above.
        let bodies: Vec<_> =
            table(kind).into_iter().filter(|(_, _, read)| *read != Unreadable).collect();
        let (mut all, mut rules) = (Vec::new(), Vec::new());
        for (i, (_, body, _)) in bodies.iter().enumerate() {
            // Once: ten thousand calls in each of eight rounds take their time.
            let first = in_role(Role::Agent, format!("Agent{i} question 0"), body);
            rules.push(Rule { times: Some(1), ..first });
            rules.push(in_role(Role::Judge, format!("Judge{i} question 0"), body));
            for name in [format!("Agent{i}"), format!("Judge{i}")] {
                all.push(id(&user.scenario(&name, 2).await));
            }
        }
        // Asked once more, they say nothing better.
        let once_more = in_role(Role::Judge, "This reply could not be used.".into(), &bodies[0].1);
        rules.push(once_more);
        let stand = stand::start(Script::of(rules)).await.unwrap();
        let (protocol, url) = match kind {
            ConnectionKind::OpenAi => ("openai", stand.openai_url()),
            _ => ("anthropic", stand.anthropic_url()),
        };
        let agent = user.agent(protocol, &url).await;
        let suite = start(&user, &agent, &all, json!({"concurrency": 16})).await;
        let suite = user.finished_within(&suite, Duration::from_secs(60)).await;
        let whole = whole_runs(&user, &suite).await;
        for (run, (name, _, _)) in whole.iter().zip(bodies.iter().flat_map(|body| [body, body])) {
            let of_judge = run["scenario"]["name"].as_str().unwrap().starts_with("Judge");
            let (end, kind) = (ending(run), &run["error"]["kind"]);
            assert_ne!(kind, "internal", "{protocol}, {name}: {run:#}");
            if of_judge {
                assert_eq!(end, "error/evaluation_unparseable", "{protocol}, {name}");
                assert!(run["score"].is_null() && run["passed"].is_null());
            } else {
                // A conversation that goes on to its end, and is judged.
                assert_eq!(run["end_reason"], "script_finished", "{protocol}, {name}: {end}");
                assert!(["passed", "failed"].contains(&end.as_str()), "{protocol}, {name}: {end}");
            }
        }
    }
    let log = house.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(house.is_ready().await);

    // And it still does its work.
    let stand = stand::start(Script::default()).await.unwrap();
    let agent = user.agent("openai", &stand.openai_url()).await;
    let one = [id(&user.scenario("After", 1).await)];
    let suite = start(&user, &agent, &one, json!({})).await;
    assert_endings(&user.finished_within(&suite, SOON).await, &[("passed", 1)]);
}
