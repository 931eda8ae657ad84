//! The adapters over real HTTP, against the stand: what goes over the wire,
//! and what is made of everything that can come back.

use super::anthropic::Anthropic;
use super::http::{HttpClient, HttpOptions};
use super::openai::OpenAi;
use super::outbound::{CallLimits, CallTimes, Outbound, Scope, Unwatched};
use super::testing::{ask, endpoint};
use super::types::{
    CallError, ChatReply, ChatRequest, Decision, Endpoint, Message, OutputSchema, Provider,
    ToolSpec,
};
use crate::clock::{Clock, SharedClock, SystemClock};
use app::domain::{ConnectionKind, ErrorKind, Finish, Timestamp, ToolCall, UserId};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rstest::rstest;
use serde_json::{Value, json};
use stand::{Action, Call, Outcome, RateLimit, RetryAfter, Role, Rule, Script, Stand, When};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const OPTIONS: HttpOptions = HttpOptions {
    connect_timeout: Duration::from_secs(5),
    idle_timeout: Duration::from_secs(5),
    max_body: 1024 * 1024,
    allow_private_urls: true,
};

fn http(options: HttpOptions) -> HttpClient {
    HttpClient::new(options, Arc::new(SystemClock)).expect("a client")
}

struct Rig {
    stand: Stand,
    provider: Arc<dyn Provider>,
    endpoint: Endpoint,
}

async fn rig(kind: ConnectionKind, script: Script) -> Rig {
    rig_with(kind, script, OPTIONS).await
}

async fn rig_with(kind: ConnectionKind, script: Script, options: HttpOptions) -> Rig {
    let stand = stand::start(script).await.expect("a stand");
    let (provider, url): (Arc<dyn Provider>, String) = match kind {
        ConnectionKind::Anthropic => {
            (Arc::new(Anthropic::new(http(options))), stand.anthropic_url())
        }
        _ => (Arc::new(OpenAi::new(http(options))), stand.openai_url()),
    };
    let endpoint = Endpoint { kind, ..endpoint(&url) };
    Rig { stand, provider, endpoint }
}

impl Rig {
    async fn ask(&self, request: &ChatRequest) -> Result<ChatReply, CallError> {
        self.provider.complete(&self.endpoint, request).await
    }

    async fn error(&self) -> CallError {
        self.ask(&ask("hi")).await.expect_err("an error")
    }

    fn outbound(&self) -> Outbound {
        Outbound::new(Arc::clone(&self.provider), Arc::new(SystemClock), SmallRng::seed_from_u64(1))
    }

    async fn call(
        &self,
        outbound: &Outbound,
        call_timeout: Duration,
    ) -> Result<ChatReply, CallError> {
        let scope = Scope { user_id: UserId(Uuid::from_u128(1)), probe: false };
        let minute = Duration::from_secs(60);
        let limits = CallLimits {
            call_timeout,
            active_left: minute,
            max_wait: minute,
            circuit_wait: minute,
        };
        let mut times = CallTimes::default();
        outbound.call(&scope, &self.endpoint, &ask("hi"), &limits, &Unwatched, &mut times).await
    }
}

const BOTH: [ConnectionKind; 2] = [ConnectionKind::Anthropic, ConnectionKind::OpenAi];

fn form() -> OutputSchema {
    let schema = json!({ "type": "object", "additionalProperties": false,
        "properties": { "message": { "type": "string" }, "done": { "type": "string", "enum": ["no", "goal_reached", "gave_up"] } },
        "required": ["message", "done"] });
    OutputSchema { name: "simulated_user".into(), schema }
}

fn after_a_tool() -> ChatRequest {
    let call = ToolCall { id: "c1".into(), name: "look_up".into(), arguments: json!({ "id": 7 }) };
    let mut request = ask("Where is my order 7?");
    request.messages.extend([
        Message::Assistant { text: "One moment.".into(), tool_calls: vec![call] },
        Message::Tool { call_id: "c1".into(), content: "shipped".into(), is_error: false },
    ]);
    request.tools = vec![ToolSpec {
        name: "look_up".into(),
        description: "An order".into(),
        parameters: json!({ "type": "object", "properties": {} }),
    }];
    request.temperature = Some(0.25);
    request
}

#[tokio::test]
async fn anthropic_on_the_wire() {
    let mut rig = rig(ConnectionKind::Anthropic, Script::default()).await;
    rig.endpoint.headers.insert("anthropic-beta".into(), "x-1".into());
    let reply = rig.ask(&after_a_tool()).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("I can help with that: Where is my order 7?", Finish::Stop)
    );
    assert!(reply.input_tokens > 0 && reply.output_tokens > 0);
    let entry = rig.stand.journal().remove(0);
    let header =
        |name: &str| entry.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!((entry.path.as_str(), entry.call_id.as_str()), ("/v1/messages", "call-1"));
    assert_eq!(
        (header("anthropic-version"), header("anthropic-beta")),
        (Some("2023-06-01"), Some("x-1"))
    );
    assert_eq!(header("accept-encoding"), None, "nothing is asked for compressed");
    assert!(!entry.key_hash.is_empty(), "the key came as x-api-key");
    let text = |text: &str| json!({ "type": "text", "text": text });
    let expected = json!({
        "model": "m-1", "max_tokens": 256, "system": "You help.", "temperature": 0.25,
        "tools": [{ "name": "look_up", "description": "An order", "input_schema": { "type": "object", "properties": {} } }],
        "messages": [
            { "role": "user", "content": [text("Where is my order 7?")] },
            { "role": "assistant", "content": [text("One moment."), { "type": "tool_use", "id": "c1", "name": "look_up", "input": { "id": 7 } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": "shipped", "is_error": false }] },
        ],
    });
    assert_eq!(entry.body, expected);
}

#[tokio::test]
async fn openai_on_the_wire() {
    let rig = rig(ConnectionKind::OpenAi, Script::default()).await;
    let reply = rig.ask(&after_a_tool()).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("I can help with that: Where is my order 7?", Finish::Stop)
    );
    let entry = rig.stand.journal().remove(0);
    assert_eq!((entry.path.as_str(), entry.call_id.as_str()), ("/v1/chat/completions", "call-1"));
    assert!(!entry.key_hash.is_empty(), "the key came as a bearer token");
    let expected = json!({
        "model": "m-1", "max_tokens": 256, "temperature": 0.25,
        "tools": [{ "type": "function", "function": { "name": "look_up", "description": "An order", "parameters": { "type": "object", "properties": {} } } }],
        "messages": [
            { "role": "system", "content": "You help." },
            { "role": "user", "content": "Where is my order 7?" },
            { "role": "assistant", "content": "One moment.", "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "look_up", "arguments": "{\"id\":7}" } }] },
            { "role": "tool", "tool_call_id": "c1", "content": "shipped" },
        ],
    });
    assert_eq!(entry.body, expected);
}

#[tokio::test]
async fn a_server_without_a_key_gets_none() {
    for kind in BOTH {
        let mut rig = rig(kind, Script::default()).await;
        rig.endpoint.key = None;
        rig.ask(&ask("hi")).await.expect("a reply");
        assert_eq!(rig.stand.journal()[0].key_hash, "", "{kind:?}");
    }
}

#[tokio::test]
async fn tools_are_called_over_both_protocols() {
    let calls = vec![
        Call { name: "look_up".into(), arguments: json!({ "b": [1, { "c": null }], "a": "ü" }) },
        Call { name: "look_up".into(), arguments: json!({}) },
    ];
    for kind in BOTH {
        let rig = rig(kind, Script::of([Rule::always(Action::ToolCalls(calls.clone()))])).await;
        let reply = rig.ask(&after_a_tool()).await.expect("a reply");
        assert_eq!((reply.finish, reply.tool_calls.len()), (Finish::ToolCalls, 2), "{kind:?}");
        assert_eq!(reply.tool_calls[0].arguments, calls[0].arguments);
        assert_ne!(reply.tool_calls[0].id, reply.tool_calls[1].id);
    }
}

#[rstest]
#[case(ConnectionKind::Anthropic, "max_tokens", Finish::Length)]
#[case(ConnectionKind::Anthropic, "refusal", Finish::Refusal)]
#[case(ConnectionKind::OpenAi, "length", Finish::Length)]
#[case(ConnectionKind::OpenAi, "content_filter", Finish::ContentFilter)]
#[tokio::test]
async fn endings_are_told_apart(
    #[case] kind: ConnectionKind,
    #[case] reason: &str,
    #[case] finish: Finish,
) {
    let action = Action::Ending { text: "So".into(), reason: reason.into() };
    let reply =
        rig(kind, Script::of([Rule::always(action)])).await.ask(&ask("hi")).await.expect("a reply");
    assert_eq!((reply.text.as_str(), reply.finish), ("So", finish));
}

#[tokio::test]
async fn structured_answers_over_both_protocols() {
    for kind in BOTH {
        let rig = rig(kind, Script::default()).await;
        let reply =
            rig.ask(&ChatRequest { output: Some(form()), ..ask("hi") }).await.expect("a reply");
        let answer: Value = serde_json::from_str(&reply.text).expect("JSON");
        assert_eq!((&answer["done"], reply.finish), (&json!("no"), Finish::Stop), "{kind:?}");
        assert_eq!(rig.stand.journal()[0].role, Role::SimulatedUser);
    }
}

#[tokio::test]
async fn a_refused_response_format_is_asked_for_in_words_and_remembered() {
    let script =
        Script { refuse_response_format: true, refuse_max_tokens: true, ..Script::default() };
    let rig = rig(ConnectionKind::OpenAi, script).await;
    let request = ChatRequest { output: Some(form()), ..ask("hi") };
    let reply = rig.ask(&request).await.expect("a reply");
    assert!(serde_json::from_str::<Value>(&reply.text).is_ok());
    let tried = rig.stand.journal();
    assert_eq!(tried.len(), 3, "with both, without the one, without either");
    assert!(tried.iter().all(|entry| entry.call_id == "call-1"));
    let last = &tried[2].body;
    assert_eq!((last.get("response_format"), last.get("max_tokens")), (None, None));
    assert_eq!(last["max_completion_tokens"], 256);
    assert!(
        last["messages"][0]["content"].as_str().is_some_and(|system| system
            .starts_with("You help.")
            && system.contains("goal_reached"))
    );

    rig.ask(&request).await.expect("a reply");
    assert_eq!(rig.stand.journal().len(), 4, "what was learned is kept");
    rig.ask(&ChatRequest { model: "m-2".into(), ..request }).await.expect("a reply");
    assert_eq!(rig.stand.journal().len(), 7, "another model is another matter");
}

#[tokio::test]
async fn a_request_that_is_wrong_anyway_is_not_asked_for_ever_and_teaches_nothing() {
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::first(2, Action::status(400))])).await;
    let request = ChatRequest { output: Some(form()), ..ask("hi") };
    let error = rig.ask(&request).await.expect_err("rejected");
    assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected));
    assert_eq!(rig.stand.journal().len(), 2);
    rig.ask(&request).await.expect("a reply");
    assert!(rig.stand.journal()[2].body.get("response_format").is_some());
}

#[rstest]
#[case(Action::status(503))]
#[case(Action::Raw(json!({ "error": { "code": 502 } })))]
#[tokio::test]
async fn an_answer_that_is_no_success_teaches_nothing(#[case] second: Action) {
    let rules = [Rule::first(1, Action::status(400)), Rule::first(1, second)];
    let rig = rig(ConnectionKind::OpenAi, Script::of(rules)).await;
    let request = ChatRequest { output: Some(form()), ..ask("hi") };
    let error = rig.ask(&request).await.expect_err("an outage");
    assert_eq!((error.decision, rig.stand.journal().len()), (Decision::Retry, 2));
    rig.ask(&request).await.expect("a reply");
    assert!(rig.stand.journal()[2].body.get("response_format").is_some());
}

#[rstest]
#[case(Action::status(503), Decision::Retry)]
#[case(Action::status(401), Decision::GiveUp(ErrorKind::CredentialInvalid))]
#[case(Action::status(402), Decision::GiveUp(ErrorKind::QuotaExhausted))]
#[case(Action::status(403), Decision::GiveUp(ErrorKind::ProviderRejected))]
#[case(Action::status(404), Decision::GiveUp(ErrorKind::ProviderRejected))]
#[case(Action::status(429), Decision::Wait { until: None, overloaded: false })]
#[case(Action::status(529), Decision::Wait { until: None, overloaded: true })]
#[case(Action::Redirect("/elsewhere".into()), Decision::GiveUp(ErrorKind::ProviderRejected))]
#[case(Action::Garbage, Decision::Retry)]
#[case(Action::Cut, Decision::Retry)]
#[case(Action::Raw(json!({ "object": "list" })), Decision::Retry)]
#[tokio::test]
async fn whatever_comes_back_is_decided(#[case] action: Action, #[case] decision: Decision) {
    for kind in BOTH {
        let rig = rig(kind, Script::of([Rule::always(action.clone())])).await;
        let error = rig.error().await;
        assert_eq!(error.decision, decision, "{kind:?}: {}", error.message);
        assert_eq!(rig.stand.journal().len(), 1, "one attempt is one request");
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    let body = json!({ "error": { "message": "slow down", "code": 429 } });
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Raw(body))])).await;
    let error = rig.error().await;
    assert_eq!(error.decision, Decision::Wait { until: None, overloaded: false });
    assert!(error.message.contains("slow down"), "{}", error.message);
}

/// A machine's clock that can be set.
struct Wall(AtomicI64);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_latch_outlives_no_clock_that_is_set_back() {
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::always(Action::status(401))])).await;
    let start = Timestamp(7_200_000);
    let wall = Arc::new(Wall(AtomicI64::new(start.0)));
    let clock: SharedClock = wall.clone();
    let outbound = crate::commands::outbound(&clock, true).expect("a path");
    wall.0.store(3_600_000, Ordering::SeqCst);
    rig.call(&outbound, Duration::from_secs(10)).await.expect_err("no valid key");
    let circuit = outbound.circuit(UserId(Uuid::from_u128(1)), rig.endpoint.connection_id);
    assert!(circuit.until >= Some(start.plus(Duration::from_secs(300))), "{circuit:?}");
}

#[tokio::test]
async fn no_message_holds_the_key() {
    for kind in BOTH {
        for status in [400, 401, 403, 429, 500] {
            let body = json!({ "error": { "message": "Incorrect API key provided: test-key" } });
            let action = Action::Status { status, body, headers: [].into() };
            let rig = rig(kind, Script::of([Rule::always(action)])).await;
            let error = rig.error().await;
            assert!(
                error.message.contains("[key]") && !error.message.contains("test-key"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_stops_coming_is_given_up() {
    let options = HttpOptions { idle_timeout: Duration::from_millis(100), ..OPTIONS };
    for kind in BOTH {
        let drip = Script::of([Rule::always(Action::Drip { every_ms: 2_000 })]);
        let rig = rig_with(kind, drip, options).await;
        let error = rig.error().await;
        assert_eq!(error.decision, Decision::Retry);
        assert!(error.message.contains("stopped in the middle"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_model_may_think_for_longer_than_it_may_pause() {
    let options = HttpOptions { idle_timeout: Duration::from_millis(100), ..OPTIONS };
    let slow = Script { latency_ms: 400, ..Script::default() };
    let rig = rig_with(ConnectionKind::OpenAi, slow, options).await;
    assert!(rig.ask(&ask("hi")).await.is_ok());
}

#[tokio::test]
async fn a_trickle_that_never_pauses_ends_at_the_call_s_own_limit() {
    let drip = Action::Drip { every_ms: 30 }; // some 300 bytes: 9 s
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::first(1, drip)])).await;
    let (outbound, began) = (rig.outbound(), Instant::now());
    let reply =
        rig.call(&outbound, Duration::from_millis(300)).await.expect("the second attempt answers");
    assert_eq!(reply.attempts, 2);
    assert!(reply.latency < Duration::from_millis(300) && began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_hanging_server_is_left_and_sees_it() {
    let rig = rig(ConnectionKind::Anthropic, Script::of([Rule::first(1, Action::Hang)])).await;
    let outbound = rig.outbound();
    let reply =
        rig.call(&outbound, Duration::from_millis(200)).await.expect("the second attempt answers");
    assert_eq!(reply.attempts, 2);
    assert_eq!(outcomes(&rig.stand).await, [Outcome::Dropped, Outcome::Answered(200)]);
}

#[tokio::test]
async fn dropping_a_call_ends_it_at_the_server() {
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Hang)])).await;
    let outbound = rig.outbound();
    let call = rig.call(&outbound, Duration::from_secs(60));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    assert_eq!(outcomes(&rig.stand).await, [Outcome::Dropped]);
}

/// The outcomes, once none is open: the server hears of a drop a moment later.
async fn outcomes(stand: &Stand) -> Vec<Outcome> {
    for _ in 0..200 {
        let outcomes: Vec<Outcome> = stand.journal().iter().map(|entry| entry.outcome).collect();
        if !outcomes.contains(&Outcome::Open) {
            return outcomes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stand.journal().iter().map(|entry| entry.outcome).collect()
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    for kind in BOTH {
        let began = Instant::now();
        let rig = rig(kind, Script::of([Rule::always(Action::Huge(500 * 1024 * 1024))])).await;
        let error = rig.error().await;
        assert_eq!(error.decision, Decision::Retry);
        assert!(error.message.contains("larger than 1 MiB"), "{}", error.message);
        assert!(began.elapsed() < Duration::from_secs(2), "500 MB were not sent");
    }
}

#[tokio::test]
async fn a_cut_answer_is_tried_again() {
    for kind in BOTH {
        let rig = rig(kind, Script::of([Rule::first(2, Action::Cut)])).await;
        let reply = rig.call(&rig.outbound(), Duration::from_secs(10)).await.expect("a reply");
        assert_eq!((reply.attempts, rig.stand.journal().len()), (3, 3));
    }
}

#[rstest]
#[case(RetryAfter::Millis, 200)]
#[case(RetryAfter::Seconds, 200)]
#[case(RetryAfter::Date, 200)]
#[tokio::test]
async fn rate_limits_are_kept_in_every_spelling(
    #[case] retry_after: RetryAfter,
    #[case] window_ms: u64,
) {
    let limit = RateLimit { requests: 1, window_ms, retry_after };
    let rig =
        rig(ConnectionKind::OpenAi, Script { rate_limit: Some(limit), ..Script::default() }).await;
    rig.call(&rig.outbound(), Duration::from_secs(10)).await.expect("the first is free");
    // A path that has learned nothing yet.
    let outbound = rig.outbound();
    let reply = rig.call(&outbound, Duration::from_secs(10)).await.expect("the second waits");
    assert_eq!(reply.attempts, 2, "one 429, then not before it was told");
    assert_eq!(refused(&rig.stand), 1);
}

fn refused(stand: &Stand) -> usize {
    stand.journal().iter().filter(|entry| entry.outcome == Outcome::Answered(429)).count()
}

#[tokio::test]
async fn a_limit_that_was_told_is_kept_without_being_refused() {
    let limit = RateLimit { requests: 3, window_ms: 400, retry_after: RetryAfter::Seconds };
    let rig =
        rig(ConnectionKind::OpenAi, Script { rate_limit: Some(limit), ..Script::default() }).await;
    let (outbound, began) = (rig.outbound(), Instant::now());
    for _ in 0..7 {
        rig.call(&outbound, Duration::from_secs(10)).await.expect("a reply");
    }
    assert_eq!(refused(&rig.stand), 0);
    assert!(began.elapsed() >= Duration::from_millis(800), "3 + 3 + 1: {:?}", began.elapsed());
}

#[tokio::test]
async fn limits_are_told_by_good_and_bad_answers() {
    for kind in BOTH {
        let limit = RateLimit { requests: 1, window_ms: 60_000, retry_after: RetryAfter::None };
        let rig = rig(kind, Script { rate_limit: Some(limit), ..Script::default() }).await;
        let told = rig.ask(&ask("hi")).await.expect("a reply").told.expect("limits");
        assert_eq!(told.requests.map(|limit| (limit.limit, limit.remaining)), Some((1, 0)));
        let told = rig.error().await.told.expect("limits");
        assert!(told.requests.is_some_and(|limit| limit.reset.is_some()), "{kind:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure() {
    let rig = rig(ConnectionKind::OpenAi, Script::default()).await;
    let gone = rig.stand.addr;
    drop(rig.stand);
    let provider = OpenAi::new(http(OPTIONS));
    // The port is free again once the task has let go of it.
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(gone).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = provider.complete(&rig.endpoint, &ask("hi")).await.expect_err("nobody");
    assert_eq!((error.decision, error.status), (Decision::Retry, None));
    assert!(error.message.starts_with("The provider cannot be reached"), "{}", error.message);
}

#[tokio::test]
async fn private_addresses_are_never_dialled_unless_allowed() {
    let options = HttpOptions { allow_private_urls: false, ..OPTIONS };
    for kind in BOTH {
        let mut rig = rig_with(kind, Script::default(), options).await;
        let port = rig.stand.addr.port();
        for host in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"] {
            rig.endpoint.base_url = format!("http://{host}:{port}/v1");
            let error = rig.error().await;
            assert_eq!(error.decision, Decision::GiveUp(ErrorKind::ProviderRejected), "{host}");
            assert!(error.message.contains("private network"), "{host}: {}", error.message);
        }
        assert!(rig.stand.journal().is_empty());
    }
}

#[tokio::test]
async fn rules_apply_to_what_they_name() {
    let rule = Rule {
        when: When { contains: Some("magic".into()), ..When::default() },
        ..Rule::always(Action::Answer("abracadabra".into()))
    };
    let rig = rig(ConnectionKind::OpenAi, Script::of([rule])).await;
    assert_eq!(rig.ask(&ask("magic word")).await.expect("a reply").text, "abracadabra");
    assert_eq!(
        rig.ask(&ask("plain word")).await.expect("a reply").text,
        "I can help with that: plain word"
    );
}

#[tokio::test]
async fn the_stand_judges_and_plays_in_forms_that_can_be_read() {
    use crate::conversation::{Done, fixtures, parse_simulated_user, simulated_user_request};
    use crate::judge::{Case, evaluate, judge_request, parse};
    let agent = fixtures::agent(json!({}));
    let scenario = fixtures::scenario(json!({
        "expected_behaviors": [{ "text": "Helps" }, { "text": "Listens", "evidence": "required" }],
        "failure_conditions": ["Shouts"], "success_criteria": { "criteria": ["Is brief"] } }));
    let turns = fixtures::transcript(vec![
        fixtures::user("Hello?"),
        fixtures::says("Yes.\nI can help with that: Hello?"),
    ]);
    let case = Case { agent: &agent, scenario: &scenario, transcript: &turns, end_reason: None };
    for (kind, refuse_response_format) in [(BOTH[0], false), (BOTH[1], false), (BOTH[1], true)] {
        let script = Script { refuse_response_format, ..Script::default() };
        let rig = rig(kind, script).await;
        let raw = rig.ask(&judge_request(&case, "m")).await.expect("a reply").text;
        let outcome = evaluate(&case, parse(&raw, 4).expect("a judgement"));
        assert_eq!(
            (outcome.verdict, outcome.score),
            (app::domain::Verdict::Passed, 100.0),
            "{outcome:#?}"
        );
        let simulated = fixtures::simulated(json!({}));
        let raw =
            rig.ask(&simulated_user_request(&simulated, "m", &[])).await.expect("a reply").text;
        assert_eq!(parse_simulated_user(&raw).map(|(_, done)| done), Ok(Done::No));
        let roles: Vec<Role> = rig
            .stand
            .journal()
            .iter()
            .filter(|entry| entry.outcome == Outcome::Answered(200))
            .map(|entry| entry.role)
            .collect();
        assert_eq!(roles, [Role::Judge, Role::SimulatedUser]);
    }
}

#[test]
fn answers_are_cut_off_at_four_mebibytes() {
    use super::http::Transport;
    let options = HttpOptions::default();
    assert_eq!(options.max_body, 4 * 1024 * 1024);
    let said = Transport::TooLarge(options.max_body).to_string();
    assert!(said.contains("4 MiB"), "{said}");
}

#[tokio::test]
async fn metrics_tell_what_came_back() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let rules = [
        Rule::first(1, Action::Ending { text: "No.".into(), reason: "content_filter".into() }),
        Rule::first(1, Action::status(503)),
        Rule::first(1, Action::Cut),
    ];
    let rig = rig(ConnectionKind::OpenAi, Script::of(rules)).await;
    let outbound = rig.outbound();
    for _ in 0..2 {
        rig.call(&outbound, Duration::from_secs(10)).await.expect("a reply");
    }
    let shown = recorder.handle().render();
    for line in [
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"content_filter\"} 1",
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"server_error\"} 1",
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"cut\"} 1",
        "rehearsal_provider_answers_total{kind=\"openai\",class=\"ok\"} 1",
        "rehearsal_retries_total{kind=\"openai\"} 2",
        "rehearsal_retry_budget_least 8.2",
        "rehearsal_call_duration_seconds_count{kind=\"openai\"} 4",
        "rehearsal_limiter_wait_seconds_count 4",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}
