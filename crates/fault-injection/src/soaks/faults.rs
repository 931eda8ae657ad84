//! Every call of a conversation × every provider fault, transient and
//! permanent. Transient faults are retried within bounds and the run passes;
//! permanent ones end with the matching error and keep the conversation;
//! rerunning the errors makes only the missing calls.

use crate::history::{Limits, check, collect};
use crate::report::{Report, SoakOptions};
use crate::workload::TIMEOUT;
use crate::{ApiClient, Binary, TestServer, base_url, id};
use mock_provider::{Action, MockProvider, RetryAfter, Rule, Script};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;

/// User turns of the conversation. The judge's call follows.
const TURNS: u64 = 3;
const CALLS: u64 = TURNS + 1;
/// The maximum number of attempts of one call.
const ATTEMPTS: u64 = 4;
/// How often a rejected request is sent again in another form.
const MAX_ADJUSTMENTS: u64 = 4;
/// The `Retry-After` of the provider.
const RETRY_AFTER_MS: u64 = 1_500;
const CONCURRENCY: usize = 200;

/// The expected handling of a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handling {
    /// Retries; in the end the provider is unavailable.
    Retry,
    /// Waits; in the end the run is rate limited.
    Wait,
    /// Fails at once with this error, in a judge's call with the second.
    Fail(&'static str, &'static str),
}

struct Fault {
    name: &'static str,
    action: Action,
    handling: Handling,
}

fn faults() -> Vec<Fault> {
    use Handling::{Fail, Retry, Wait};
    let later = |format| Action::RetryLater { status: 429, after_ms: RETRY_AFTER_MS, format };
    let rejected = Fail("provider_rejected", "evaluation_unavailable");
    let all = [
        ("408", Action::status(408), Retry),
        ("500", Action::status(500), Retry),
        ("503", Action::status(503), Retry),
        ("hang", Action::Hang, Retry),
        ("stalled body", Action::StallBody, Retry),
        ("drip", Action::Drip { every_ms: 10_000 }, Retry),
        ("truncated body", Action::TruncateBody, Retry),
        ("reset before body", Action::ResetBeforeBody, Retry),
        ("HTML", Action::Html, Retry),
        ("other JSON", Action::Json(json!({"hello": "world"})), Retry),
        ("oversized body", Action::OversizedBody(50 * 1024 * 1024), Retry),
        ("429, seconds", later(RetryAfter::Seconds), Wait),
        ("429, date", later(RetryAfter::Date), Wait),
        ("429, milliseconds", later(RetryAfter::Millis), Wait),
        ("529", Action::status(529), Wait),
        ("400", Action::status(400), rejected),
        ("403", Action::status(403), rejected),
        ("404", Action::status(404), rejected),
        ("307", Action::Redirect("http://127.0.0.1:1/".into()), rejected),
        ("401", Action::status(401), Fail("credential_invalid", "credential_invalid")),
        ("402", Action::status(402), Fail("quota_exhausted", "quota_exhausted")),
    ];
    all.map(|(name, action, handling)| Fault { name, action, handling }).into()
}

/// One fault at one call.
struct Case {
    fault: Fault,
    call: u64,
    permanent: bool,
    provider: MockProvider,
    user: ApiClient,
    agent: Value,
    suite: Value,
}

pub(super) async fn run(binary: &Binary, options: &SoakOptions) -> Report {
    let mut report = Report::new("faults", options);
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let server = TestServer::new(binary)
        .with_env("REHEARSAL_CALL_TIMEOUT", "2s")
        .with_env("REHEARSAL_CIRCUIT_WAIT", "5s")
        .with_env("REHEARSAL_MAX_WAIT", "9s")
        .with_env("REHEARSAL_RUNS_PER_USER", CONCURRENCY)
        .with_env("REHEARSAL_MAX_CALLS", CONCURRENCY)
        .started()
        .await;
    let turns = usize::try_from(TURNS).unwrap();
    let mut cases = Vec::new();
    for index in 0..faults().len() {
        // Each case has a connection, and one user may not have that many.
        let user = server.create_user(&format!("faults-{index}@example.org"));
        let scenario = user.create_scenario("Faults", turns).await;
        // The short soak tests each fault at one random call.
        let random = rng.random_range(1..=CALLS);
        let calls = if options.long { 1..=CALLS } else { random..=random };
        for call in calls {
            for permanent in [false, true] {
                let fault = faults().swap_remove(index);
                cases.push(start_case(&user, &scenario, fault, call, permanent).await);
            }
        }
    }

    let mut problems = Vec::new();
    let (mut requests, mut reruns) = (0, 0);
    let mut suites = Vec::new();
    for case in &cases {
        let suite = case.user.wait_for_suite_within(&id(&case.suite), TIMEOUT).await;
        let run = case.user.get(&format!("/runs/{}", id(&suite["runs"][0]))).await;
        requests += case.provider.request_count() as u64;
        problems.extend(check_run(case, &run));
        suites.push((case.user.clone(), case.suite.clone()));
    }
    for case in cases.iter().filter(|case| !passes(case)) {
        reruns += 1;
        problems.extend(rerun(case).await);
    }
    report.record("faults", faults().len());
    report.record("cases: fault × call × transient or permanent", cases.len());
    report.record("requests to the providers", requests);
    report.record("rerun errors", reruns);
    report.require_zero("unexpected outcomes", problems.len());
    for problem in problems.iter().take(20) {
        report.require("unexpected outcome", problem, "", false);
    }
    let providers: Vec<_> = cases.iter().map(|case| &case.provider).collect();
    let mut history = collect(&server, &suites, &providers).await;
    // Connection tests do not belong to a run.
    history.requests.retain(|request| !request.call.is_empty());
    let limits = Limits { repeated_calls: 0, max_calls: CONCURRENCY, runs_per_user: CONCURRENCY };
    report.violations(&check(&history, &limits));
    report
}

/// Starts a case with its own connection, agent and provider, so that no other
/// case affects its circuit breaker.
async fn start_case(
    user: &ApiClient,
    scenario: &Value,
    fault: Fault,
    call: u64,
    permanent: bool,
) -> Case {
    let action = fault.action.clone();
    let rule = if permanent { Rule::from(call, action) } else { Rule::at(call, action) };
    let script = Script { discard_bodies: true, ..Script::of([rule]) };
    let provider = mock_provider::start(script).await.unwrap();
    let protocol = if call.is_multiple_of(2) { "anthropic" } else { "openai" };
    let agent = user.create_agent(protocol, &base_url(protocol, &provider)).await;
    let body = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let suite = user.create("/suites", &body).await;
    Case { fault, call, permanent, provider, user: user.clone(), agent, suite }
}

/// Whether the run is expected to pass.
fn passes(case: &Case) -> bool {
    !case.permanent && (!matches!(case.fault.handling, Handling::Fail(..)) || is_adjusted(case))
}

/// Whether the call is sent again in another form: servers reject structured output, which
/// only the judge's call has, in many ways.
fn is_adjusted(case: &Case) -> bool {
    case.fault.name == "400" && case.call > TURNS
}

/// Returns how the run differs from the expected outcome.
fn check_run(case: &Case, run: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let Case { fault, call, permanent, provider, .. } = case;
    let mut expect = |what: &str, actual: Value, expected: Value| {
        if actual != expected {
            let duration = if *permanent { "permanent" } else { "transient" };
            problems.push(format!(
                "{} at call {call}, {duration}: {what} is {actual}, expected {expected}; {}",
                fault.name, run["error"]
            ));
        }
    };
    let is_judge = *call > TURNS;
    let kind = match fault.handling {
        _ if passes(case) => Value::Null,
        Handling::Retry if is_judge => json!("evaluation_unavailable"),
        Handling::Retry => json!("provider_unavailable"),
        Handling::Wait => json!("rate_limited"),
        Handling::Fail(_, kind) if is_judge => json!(kind),
        Handling::Fail(kind, _) => json!(kind),
    };
    expect("the error", run["error"]["kind"].clone(), kind.clone());
    let status = if kind.is_null() { "passed" } else { "error" };
    expect("the status", run["status"].clone(), json!(status));
    // Every turn before the failed call is kept.
    let turns = if kind.is_null() || is_judge { 2 * TURNS } else { 2 * call - 1 };
    let transcript = run["transcript"].as_array().map_or(0, Vec::len);
    expect("the number of turns", json!(transcript), json!(turns));
    expect("a score", json!(run["score"].is_null()), json!(!kind.is_null()));
    let requests = provider.request_count() as u64;
    let exactly = |n: u64| n..=n;
    let expected = match (fault.handling, *permanent) {
        (_, true) if is_adjusted(case) => call + 1..=call + MAX_ADJUSTMENTS,
        (_, false) if is_adjusted(case) => exactly(CALLS + 1),
        (Handling::Fail(..), _) => exactly(*call),
        (_, false) => exactly(CALLS + 1),
        (Handling::Retry, true) => exactly(call - 1 + ATTEMPTS),
        // As often as the maximum wait allows.
        (Handling::Wait, true) => *call..=call + 9_000 / RETRY_AFTER_MS,
    };
    if !expected.contains(&requests) {
        expect("the number of requests", json!(requests), json!(format!("{expected:?}")));
    }
    if let Action::RetryLater { .. } = fault.action {
        let log = provider.request_log();
        let next = usize::try_from(*call).unwrap();
        let waited = log.get(next).map_or(RETRY_AFTER_MS, |request| {
            request.at_ms - log[next - 1].ended_ms.unwrap_or(log[next - 1].at_ms)
        });
        if waited < RETRY_AFTER_MS {
            let expected = json!(format!("at least {RETRY_AFTER_MS}"));
            expect("the wait in ms", json!(waited), expected);
        }
    }
    problems
}

/// Repairs the provider and reruns the errors. Returns an unexpected outcome.
async fn rerun(case: &Case) -> Option<String> {
    let user = &case.user;
    let before = case.provider.request_count();
    case.provider.set_script(Script::default());
    let mut tests = 0;
    if matches!(case.fault.handling, Handling::Fail(..)) {
        // A successful test ends the suspension of the connection.
        let path = format!("/connections/{}/test", case.agent["connection_id"].as_str().unwrap());
        let response = user.post(&path, &json!({"model": "m"})).await;
        let _ = response.text().await;
        tests = case.provider.request_count() - before;
    }
    let path = format!("/suites/{}/rerun", id(&case.suite));
    let suite = user.create(&path, &json!({"which": "errors"})).await;
    let suite = user.wait_for_suite_within(&id(&suite), Duration::from_secs(60)).await;
    let calls = (case.provider.request_count() - before - tests) as u64;
    // A conversation that stopped because the provider let no call through continues.
    let continues = match case.fault.handling {
        Handling::Retry | Handling::Wait => true,
        Handling::Fail(kind, _) => ["credential_invalid", "quota_exhausted"].contains(&kind),
    };
    let expected = if continues || case.call > TURNS { CALLS - (case.call - 1) } else { CALLS };
    let passed = suite["counts"]["passed"] == 1;
    (!passed || calls != expected).then(|| {
        format!(
            "{} at call {}, rerun: {}, {calls} calls, expected {expected}",
            case.fault.name, case.call, suite["counts"]
        )
    })
}
