//! Every call of a conversation × every fault, once and for good: what passes
//! is retried within bounds and ends well; what stays ends as the error that
//! says so, with all that was said before; and running the errors again does
//! the missing work only.

use crate::history::{Rules, check, gather};
use crate::house::{Binary, House, User, id};
use crate::report::{Dose, Report};
use crate::world::{PATIENCE, owned};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use mock_provider::{Action, RetryAfter, Rule, Script, Stand};
use std::time::Duration;

/// User turns of the conversation; the judge's call follows.
const TURNS: u64 = 3;
const CALLS: u64 = TURNS + 1;
/// Attempts of one call, at most.
const ATTEMPTS: u64 = 4;
/// What the provider asks to wait.
const LATER_MS: u64 = 1_500;
const AT_ONCE: usize = 200;

/// How a run takes a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Tried again, and in the end the provider is unavailable.
    Retried,
    /// Waited for, and in the end rate limited.
    Waited,
    /// The end at once, as this error; a judge's, as that.
    Final(&'static str, &'static str),
}

struct Fault {
    name: &'static str,
    action: Action,
    taken: Taken,
}

fn faults() -> Vec<Fault> {
    use Taken::{Final, Retried, Waited};
    let later = |spelled| Action::Later { status: 429, after_ms: LATER_MS, spelled };
    let unavailable = "evaluation_unavailable";
    let rejected = Final("provider_rejected", unavailable);
    let all = [
        ("408", Action::status(408), Retried),
        ("500", Action::status(500), Retried),
        ("503", Action::status(503), Retried),
        ("hang", Action::Hang, Retried),
        ("stall", Action::Stall, Retried),
        ("drip", Action::Drip { every_ms: 10_000 }, Retried),
        ("cut", Action::Cut, Retried),
        ("gone", Action::Gone, Retried),
        ("garbage", Action::Garbage, Retried),
        ("other JSON", Action::Raw(json!({"hello": "world"})), Retried),
        ("huge", Action::Huge(50 * 1024 * 1024), Retried),
        ("429, seconds", later(RetryAfter::Seconds), Waited),
        ("429, date", later(RetryAfter::Date), Waited),
        ("429, milliseconds", later(RetryAfter::Millis), Waited),
        ("529", Action::status(529), Waited),
        ("400", Action::status(400), rejected),
        ("403", Action::status(403), rejected),
        ("404", Action::status(404), rejected),
        ("307", Action::Redirect("http://127.0.0.1:1/".into()), rejected),
        ("401", Action::status(401), Final("credential_invalid", "credential_invalid")),
        ("402", Action::status(402), Final("quota_exhausted", "quota_exhausted")),
    ];
    all.map(|(name, action, taken)| Fault { name, action, taken }).into()
}

/// One fault at one call.
struct Case {
    fault: Fault,
    call: u64,
    for_good: bool,
    stand: Stand,
    agent: Value,
    suite: Value,
}

pub(super) async fn run(binary: &Binary, dose: &Dose) -> Report {
    let mut report = Report::new("faults", dose);
    let mut rng = SmallRng::seed_from_u64(dose.seed);
    let house = House::of(binary)
        .with("REHEARSAL_CALL_TIMEOUT", "2s")
        .with("REHEARSAL_CIRCUIT_WAIT", "5s")
        .with("REHEARSAL_MAX_WAIT", "9s")
        .with("REHEARSAL_RUNS_PER_USER", AT_ONCE)
        .with("REHEARSAL_MAX_CALLS", AT_ONCE)
        .started()
        .await;
    let user = house.user("faults@example.org");
    let turns = usize::try_from(TURNS).unwrap();
    let scenario = user.scenario("Faults", turns).await;
    let mut cases = Vec::new();
    for place in 0..faults().len() {
        // The short form takes one call of each fault, the long form all.
        let one = rng.random_range(1..=CALLS);
        let calls = if dose.long { 1..=CALLS } else { one..=one };
        for call in calls {
            for for_good in [false, true] {
                let fault = faults().swap_remove(place);
                cases.push(begin(&user, &scenario, fault, call, for_good).await);
            }
        }
    }

    let mut wrong = Vec::new();
    let (mut retries, mut reruns) = (0, 0);
    for case in &cases {
        let suite = user.finished_within(&id(&case.suite), PATIENCE).await;
        let run = user.get(&format!("/runs/{}", suite["runs"][0]["id"].as_str().unwrap())).await;
        retries += case.stand.requests() as u64;
        wrong.extend(judge(case, &run));
    }
    let ended: Vec<_> = cases.iter().map(|case| case.suite.clone()).collect();
    for case in cases.iter().filter(|case| !ends_well(case)) {
        reruns += 1;
        wrong.extend(again(&user, case).await);
    }
    report.count("faults", faults().len());
    report.count("cases: fault × call × once or for good", cases.len());
    report.count("requests that the provider saw", retries);
    report.count("errors run again", reruns);
    report.none("cases that went another way than they should", wrong.len());
    for problem in wrong.iter().take(20) {
        report.promise("went another way", problem, "", false);
    }
    let suites = owned(&user, ended);
    let stands: Vec<_> = cases.iter().map(|case| &case.stand).collect();
    let mut history = gather(&house, &suites, &stands).await;
    // Tests of a connection belong to no run.
    history.heard.retain(|heard| !heard.call.is_empty());
    let rules = Rules { most_repeated: 0, max_calls: AT_ONCE, runs_per_user: AT_ONCE };
    report.violations(&check(&history, &rules));
    report
}

/// A connection, an agent and a provider of its own, so that no case can be
/// disturbed by another's circuit.
async fn begin(user: &User, scenario: &Value, fault: Fault, call: u64, for_good: bool) -> Case {
    let action = fault.action.clone();
    let rule = if for_good { Rule::from(call, action) } else { Rule::at(call, action) };
    let script = Script { forget_bodies: true, ..Script::of([rule]) };
    let stand = mock_provider::start(script).await.unwrap();
    let kind = if call.is_multiple_of(2) { "anthropic" } else { "openai" };
    let url = if kind == "openai" { stand.openai_url() } else { stand.anthropic_url() };
    let agent = user.agent(kind, &url).await;
    let body = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]]});
    let suite = user.make("/suites", &body).await;
    Case { fault, call, for_good, stand, agent, suite }
}

/// Whether the run ends with a verdict.
fn ends_well(case: &Case) -> bool {
    !case.for_good && !matches!(case.fault.taken, Taken::Final(..))
}

/// What is wrong with how a run took its fault.
fn judge(case: &Case, run: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, is: Value, should: Value| {
        if is != should {
            let often = if case.for_good { "for good" } else { "once" };
            let Case { fault, call, .. } = case;
            wrong.push(format!(
                "{} at call {call}, {often}: {what} is {is}, should be {should}; {}",
                fault.name, run["error"]
            ));
        }
    };
    let judging = case.call > TURNS;
    let kind = match case.fault.taken {
        _ if ends_well(case) => Value::Null,
        Taken::Retried if judging => json!("evaluation_unavailable"),
        Taken::Retried => json!("provider_unavailable"),
        Taken::Waited => json!("rate_limited"),
        Taken::Final(_, kind) if judging => json!(kind),
        Taken::Final(kind, _) => json!(kind),
    };
    expect("the error", run["error"]["kind"].clone(), kind.clone());
    let status = if kind.is_null() { "passed" } else { "error" };
    expect("the status", run["status"].clone(), json!(status));
    // All that was said before is kept: every turn up to the one that failed.
    let turns = if kind.is_null() || judging { 2 * TURNS } else { 2 * case.call - 1 };
    expect(
        "the number of turns",
        json!(run["transcript"].as_array().map_or(0, Vec::len)),
        json!(turns),
    );
    expect("a score", json!(run["score"].is_null()), json!(!kind.is_null()));
    let requests = case.stand.requests() as u64;
    let within = match (case.fault.taken, case.for_good) {
        (Taken::Final(..), _) => case.call..=case.call,
        (_, false) => CALLS + 1..=CALLS + 1,
        (Taken::Retried, true) => case.call - 1 + ATTEMPTS..=case.call - 1 + ATTEMPTS,
        // As often as the wait allows.
        (Taken::Waited, true) => case.call..=case.call + 9_000 / LATER_MS,
    };
    if !within.contains(&requests) {
        expect("the number of requests", json!(requests), json!(format!("{within:?}")));
    }
    if let Action::Later { .. } = case.fault.action {
        let journal = case.stand.journal();
        let place = usize::try_from(case.call).unwrap();
        let waited = journal.get(place).map_or(LATER_MS, |next| {
            next.at_ms - journal[place - 1].ended_ms.unwrap_or(journal[place - 1].at_ms)
        });
        if waited < LATER_MS {
            expect("the wait in ms", json!(waited), json!(format!("at least {LATER_MS}")));
        }
    }
    wrong
}

/// The provider is well again, and the errors are run again.
async fn again(user: &User, case: &Case) -> Option<String> {
    let before = case.stand.requests();
    case.stand.play(Script::default());
    let mut tests = 0;
    if matches!(case.fault.taken, Taken::Final(..)) {
        // What a person has to repair is tried by hand.
        let path = format!("/connections/{}/test", case.agent["connection_id"].as_str().unwrap());
        let test = user.post(&path, &json!({"model": "m"})).await;
        let _ = test.text().await;
        tests = case.stand.requests() - before;
    }
    let path = format!("/suites/{}/rerun", id(&case.suite));
    let suite = user.make(&path, &json!({"which": "errors"})).await;
    let suite = user.finished_within(&id(&suite), Duration::from_secs(60)).await;
    let made = (case.stand.requests() - before - tests) as u64;
    let should = if case.call > TURNS { 1 } else { CALLS };
    let passed = suite["counts"]["passed"] == 1;
    (!passed || made != should).then(|| {
        format!(
            "{} at call {}, run again: {}, {made} calls and should be {should}",
            case.fault.name, case.call, suite["counts"]
        )
    })
}
