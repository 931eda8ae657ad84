//! Each test violates one guarantee in a history that satisfies all others.

use super::*;

const LIMITS: Limits = Limits { repeated_calls: 1, max_calls: 2, runs_per_user: 2 };

fn turn(index: u64, message: &str) -> TurnRecord {
    let speaker = if index.is_multiple_of(2) { "user" } else { "agent" };
    TurnRecord { index, speaker: speaker.into(), message: message.into() }
}

fn status(run: &str, status: &str) -> EventKind {
    EventKind::RunStatus { run: run.into(), status: status.into() }
}

fn turn_event(run: &str, index: u64, message: &str) -> EventKind {
    EventKind::Turn(ObservedTurn { run: run.into(), turn: turn(index, message) })
}

fn events(kinds: Vec<EventKind>) -> Vec<Event> {
    (1..).zip(kinds).map(|(seq, kind)| Event { seq, kind }).collect()
}

fn run(id: &str) -> RunRecord {
    RunRecord {
        id: id.into(),
        status: "passed".into(),
        transcript: vec![turn(0, "hello"), turn(1, "good day")],
        ..RunRecord::default()
    }
}

fn intent(id: &str, run: &str, role: &str, turn: i64) -> CallIntent {
    let outcome = Some("ok".to_owned());
    CallIntent {
        id: id.into(),
        run: run.into(),
        role: role.into(),
        turn,
        outcome,
        ..CallIntent::default()
    }
}

fn call(call: &str, from: i64, until: i64) -> ProviderRequest {
    ProviderRequest { call: call.into(), from, until: Some(until), disconnected: false }
}

/// Two correct runs of one suite.
fn valid_history() -> History {
    let kinds = vec![
        status("a", "running"),
        turn_event("a", 0, "hello"),
        status("b", "running"),
        turn_event("b", 0, "hello"),
        turn_event("a", 1, "good day"),
        turn_event("b", 1, "good day"),
        status("a", "passed"),
        status("b", "passed"),
        EventKind::SuiteFinished { status: "finished".into() },
    ];
    History {
        suites: vec![SuiteRecord {
            id: "s".into(),
            user: "ada".into(),
            status: "finished".into(),
            concurrency: 2,
            requested: vec!["a".into(), "b".into()],
            runs: vec![run("a"), run("b")],
            events: events(kinds),
        }],
        intents: vec![
            intent("a1", "a", "agent", 1),
            intent("a2", "a", "judge", 2),
            intent("b1", "b", "agent", 1),
            intent("b2", "b", "judge", 2),
        ],
        requests: vec![
            call("a1", 0, 50),
            call("b1", 10, 60),
            call("a2", 50, 100),
            call("b2", 60, 110),
        ],
        observed: vec![ObservedTurn { run: "a".into(), turn: turn(1, "good day") }],
    }
}

/// The guarantees that the valid history violates after `change`.
fn violated_after(change: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = valid_history();
    change(&mut history);
    let violations = check(&history, &LIMITS);
    let mut found: Vec<_> = violations.iter().map(|violation| violation.guarantee).collect();
    found.dedup();
    found
}

#[test]
fn valid_history_has_no_violations() {
    assert_eq!(check(&valid_history(), &LIMITS), []);
}

#[test]
fn finds_missing_stuck_and_twice_final_runs() {
    let missing = |history: &mut History| history.suites[0].requested.push("c".into());
    assert_eq!(violated_after(missing), ["one final status"]);
    let stuck = |history: &mut History| history.suites[0].runs[0].status = "running".into();
    assert_eq!(violated_after(stuck), ["one final status"]);
    let twice = |history: &mut History| {
        history.suites[0].events[2].kind = status("a", "error");
    };
    assert_eq!(violated_after(twice), ["one final status"]);
    let other = |history: &mut History| history.suites[0].runs[1].status = "failed".into();
    assert_eq!(violated_after(other), ["one final status"]);
    let duplicate = |history: &mut History| {
        let copy = history.suites[0].runs[0].clone();
        history.suites[0].runs.push(copy);
    };
    assert_eq!(violated_after(duplicate), ["one final status"]);
    let without_end = |history: &mut History| {
        history.suites[0].events.pop();
    };
    assert_eq!(violated_after(without_end), ["one final status"]);
}

#[test]
fn finds_event_gaps_duplicates_and_events_after_the_end() {
    let gap = |history: &mut History| history.suites[0].events[4].seq = 6;
    assert_eq!(violated_after(gap), ["events without gap or duplicate"]);
    let duplicate = |history: &mut History| history.suites[0].events[4].seq = 4;
    assert_eq!(violated_after(duplicate), ["events without gap or duplicate"]);
    let after_end = |history: &mut History| {
        let kind = status("a", "running");
        history.suites[0].events.push(Event { seq: 10, kind });
    };
    assert_eq!(violated_after(after_end), ["events without gap or duplicate"]);
}

#[test]
fn finds_lost_duplicate_unannounced_and_changed_turns() {
    let lost = |history: &mut History| {
        history.suites[0].runs[0].transcript.pop();
    };
    assert_eq!(violated_after(lost), ["no lost or duplicate turn", "observed turns stay"]);
    let duplicate = |history: &mut History| {
        let copy = turn(1, "good day");
        history.suites[0].runs[0].transcript.push(copy);
    };
    assert_eq!(violated_after(duplicate), ["no lost or duplicate turn"]);
    let unannounced = |history: &mut History| {
        history.suites[0].runs[0].transcript.push(turn(2, "and?"));
    };
    assert_eq!(violated_after(unannounced), ["no lost or duplicate turn"]);
    let changed = |history: &mut History| {
        history.suites[0].runs[0].transcript[1].message = "good night".into();
    };
    assert_eq!(violated_after(changed), ["observed turns stay"]);
    let changed_on_stream = |history: &mut History| {
        history.observed[0].turn.message = "good morning".into();
    };
    assert_eq!(violated_after(changed_on_stream), ["observed turns stay"]);
}

#[test]
fn finds_calls_without_intent() {
    let unknown = |history: &mut History| history.requests[0].call = "x".into();
    assert_eq!(violated_after(unknown), ["every call has an intent"]);
}

/// Repeats a call of run `a` for the same turn.
fn repeat(history: &mut History, times: usize) {
    for n in 0..times {
        let id = format!("repeated{n}");
        history.intents.push(intent(&id, "a", "agent", 1));
        let at = 200 + 100 * i64::try_from(n).unwrap();
        history.requests.push(call(&id, at, at + 50));
    }
}

#[test]
fn counts_repeated_calls() {
    assert_eq!(violated_after(|history| repeat(history, 1)), [""; 0]);
    assert_eq!(violated_after(|history| repeat(history, 2)), ["few repeated calls"]);
    let mut history = valid_history();
    repeat(&mut history, 2);
    assert_eq!([repeated_calls(&valid_history()), repeated_calls(&history)], [0, 2]);
    // Attempts of one intent are not repetitions: the provider failed them.
    let attempts = |history: &mut History| {
        history.requests.extend((0..5).map(|n| call("a1", 200 + 100 * n, 250 + 100 * n)));
    };
    assert_eq!(violated_after(attempts), [""; 0]);
    // The second request to the judge is not a repetition, a lost reply is.
    let judge = |history: &mut History, outcome: Option<&str>| {
        for n in 0..2 {
            let id = format!("judge{n}");
            let outcome = outcome.map(str::to_owned);
            history.intents.push(CallIntent { outcome, ..intent(&id, "a", "judge", 2) });
            history.requests.push(call(&id, 200 + 100 * n, 250 + 100 * n));
        }
    };
    assert_eq!(violated_after(|history| judge(history, Some("ok"))), [""; 0]);
    assert_eq!(violated_after(|history| judge(history, None)), ["few repeated calls"]);
}

#[test]
fn finds_calls_after_a_cancel() {
    let cancel = |history: &mut History, at| history.suites[0].runs[0].cancelled_at = Some(at);
    assert_eq!(violated_after(|history| cancel(history, -950)), [""; 0]);
    assert_eq!(violated_after(|history| cancel(history, -951)), ["no call after a cancel"]);
    let rejudged = |history: &mut History| {
        cancel(history, -5_000);
        for intent in &mut history.intents {
            intent.is_rejudge = true;
        }
    };
    assert_eq!(violated_after(rejudged), [""; 0]);
}

#[test]
fn finds_exceeded_limits() {
    let server = |history: &mut History| {
        history.intents.push(intent("z1", "z", "agent", 1));
        history.requests.push(call("z1", 20, 30));
    };
    assert_eq!(violated_after(server), ["limits hold"]);
    let suite = |history: &mut History| history.suites[0].concurrency = 1;
    assert_eq!(violated_after(suite), ["limits hold"]);
    let run = |history: &mut History| history.requests[2].from = 40;
    assert_eq!(violated_after(run), ["limits hold"]);
    let user = |history: &mut History| {
        let mut other = history.suites[0].clone();
        other.id = "t".into();
        other.requested = vec!["c".into()];
        other.runs = vec![RunRecord { id: "c".into(), ..run_done() }];
        other.events = one_run_events("c");
        history.suites.push(other);
        history.intents.push(intent("c1", "c", "agent", 1));
        history.requests.push(call("c1", 20, 30));
    };
    let mut history = valid_history();
    user(&mut history);
    let limits = Limits { max_calls: 9, ..LIMITS };
    let found: Vec<_> = check(&history, &limits).iter().map(|v| v.to_string()).collect();
    assert_eq!(found, ["limits hold: calls of user ada: 3 at once, 2 allowed"]);
    // The provider notices a disconnect with a delay.
    let disconnected = |history: &mut History| {
        history.requests[0].until = Some(140);
        history.requests[0].disconnected = true;
    };
    assert_eq!(violated_after(disconnected), [""; 0]);
    // A request that disconnects at once does not stay open.
    let disconnected_at_once = |history: &mut History| {
        history.requests[0].until = Some(30);
        history.requests[0].disconnected = true;
    };
    assert_eq!(violated_after(disconnected_at_once), [""; 0]);
    let still_open = |history: &mut History| history.requests[0].until = None;
    assert_eq!(violated_after(still_open), ["limits hold"]);
}

fn run_done() -> RunRecord {
    RunRecord { status: "passed".into(), ..RunRecord::default() }
}

fn one_run_events(run: &str) -> Vec<Event> {
    events(vec![status(run, "passed"), EventKind::SuiteFinished { status: "finished".into() }])
}
