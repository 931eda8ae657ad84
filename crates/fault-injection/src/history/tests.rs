//! Each promise is broken on purpose in a history that keeps all the others.

use super::*;

const RULES: Rules = Rules { most_repeated: 1, max_calls: 2, runs_per_user: 2 };

fn words(index: u64, message: &str) -> Words {
    let speaker = if index.is_multiple_of(2) { "user" } else { "agent" };
    Words { index, speaker: speaker.into(), message: message.into() }
}

fn status(run: &str, status: &str) -> Told {
    Told::Run { run: run.into(), status: status.into() }
}

fn turn(run: &str, index: u64, message: &str) -> Told {
    Told::Turn(Announced { run: run.into(), words: words(index, message) })
}

fn suite(told: Vec<Told>) -> Vec<Event> {
    (1..).zip(told).map(|(seq, what)| Event { seq, what }).collect()
}

fn run(id: &str) -> RunSeen {
    RunSeen {
        id: id.into(),
        status: "passed".into(),
        transcript: vec![words(0, "hello"), words(1, "good day")],
        ..RunSeen::default()
    }
}

fn intent(id: &str, run: &str, role: &str, turn: i64) -> Intent {
    let outcome = Some("ok".to_owned());
    Intent { id: id.into(), run: run.into(), role: role.into(), turn, outcome, ..Intent::default() }
}

fn call(call: &str, from: i64, until: i64) -> Heard {
    Heard { call: call.into(), from, until: Some(until), dropped: false }
}

/// Two runs of one suite; nothing is wrong with them.
fn true_history() -> History {
    let told = vec![
        status("a", "running"),
        turn("a", 0, "hello"),
        status("b", "running"),
        turn("b", 0, "hello"),
        turn("a", 1, "good day"),
        turn("b", 1, "good day"),
        status("a", "passed"),
        status("b", "passed"),
        Told::Finished { status: "finished".into() },
    ];
    History {
        suites: vec![SuiteSeen {
            id: "s".into(),
            user: "ada".into(),
            status: "finished".into(),
            concurrency: 2,
            requested: vec!["a".into(), "b".into()],
            runs: vec![run("a"), run("b")],
            events: suite(told),
        }],
        intents: vec![
            intent("a1", "a", "agent", 1),
            intent("a2", "a", "judge", 2),
            intent("b1", "b", "agent", 1),
            intent("b2", "b", "judge", 2),
        ],
        heard: vec![
            call("a1", 0, 50),
            call("b1", 10, 60),
            call("a2", 50, 100),
            call("b2", 60, 110),
        ],
        announced: vec![Announced { run: "a".into(), words: words(1, "good day") }],
    }
}

fn promises(history: &History) -> Vec<&'static str> {
    let mut found: Vec<_> =
        check(history, &RULES).iter().map(|violation| violation.promise).collect();
    found.dedup();
    found
}

/// What is found when this is done to a true history.
fn falsified(falsify: impl FnOnce(&mut History)) -> Vec<&'static str> {
    let mut history = true_history();
    falsify(&mut history);
    promises(&history)
}

#[test]
fn a_true_history_breaks_nothing() {
    assert_eq!(check(&true_history(), &RULES), []);
}

#[test]
fn a_run_that_is_missing_stuck_or_final_twice_is_found() {
    let missing = |history: &mut History| history.suites[0].requested.push("c".into());
    assert_eq!(falsified(missing), ["one final status"]);
    let stuck = |history: &mut History| history.suites[0].runs[0].status = "running".into();
    assert_eq!(falsified(stuck), ["one final status"]);
    let twice = |history: &mut History| {
        history.suites[0].events[2].what = status("a", "error");
    };
    assert_eq!(falsified(twice), ["one final status"]);
    let other = |history: &mut History| history.suites[0].runs[1].status = "failed".into();
    assert_eq!(falsified(other), ["one final status"]);
    let double = |history: &mut History| {
        let again = history.suites[0].runs[0].clone();
        history.suites[0].runs.push(again);
    };
    assert_eq!(falsified(double), ["one final status"]);
    let endless = |history: &mut History| {
        history.suites[0].events.pop();
    };
    assert_eq!(falsified(endless), ["one final status"]);
}

#[test]
fn events_with_a_gap_a_double_or_a_sequel_are_found() {
    let gap = |history: &mut History| history.suites[0].events[4].seq = 6;
    assert_eq!(falsified(gap), ["events without gap or double"]);
    let double = |history: &mut History| history.suites[0].events[4].seq = 4;
    assert_eq!(falsified(double), ["events without gap or double"]);
    let sequel = |history: &mut History| {
        let what = status("a", "running");
        history.suites[0].events.push(Event { seq: 10, what });
    };
    assert_eq!(falsified(sequel), ["events without gap or double"]);
}

#[test]
fn a_turn_that_is_lost_doubled_untold_or_changed_is_found() {
    let lost = |history: &mut History| {
        history.suites[0].runs[0].transcript.pop();
    };
    assert_eq!(falsified(lost), ["no turn lost or double", "what was announced stays"]);
    let doubled = |history: &mut History| {
        let again = words(1, "good day");
        history.suites[0].runs[0].transcript.push(again);
    };
    assert_eq!(falsified(doubled), ["no turn lost or double"]);
    let untold = |history: &mut History| {
        history.suites[0].runs[0].transcript.push(words(2, "and?"));
    };
    assert_eq!(falsified(untold), ["no turn lost or double"]);
    let changed = |history: &mut History| {
        history.suites[0].runs[0].transcript[1].message = "good night".into();
    };
    assert_eq!(falsified(changed), ["what was announced stays"]);
    let seen_only_live = |history: &mut History| {
        history.announced[0].words.message = "good morning".into();
    };
    assert_eq!(falsified(seen_only_live), ["what was announced stays"]);
}

#[test]
fn a_call_without_an_intent_is_found() {
    let unknown = |history: &mut History| history.heard[0].call = "x".into();
    assert_eq!(falsified(unknown), ["every call has an intent"]);
}

/// The agent of `a` is asked twice more for the same turn.
fn repeat(history: &mut History, times: usize) {
    for n in 0..times {
        let id = format!("again{n}");
        history.intents.push(intent(&id, "a", "agent", 1));
        let at = 200 + 100 * i64::try_from(n).unwrap();
        history.heard.push(call(&id, at, at + 50));
    }
}

#[test]
fn repeated_calls_are_counted() {
    assert_eq!(falsified(|history| repeat(history, 1)), [""; 0]);
    assert_eq!(falsified(|history| repeat(history, 2)), ["few calls are repeated"]);
    let mut history = true_history();
    repeat(&mut history, 2);
    assert_eq!([repeated(&true_history()), repeated(&history)], [0, 2]);
    // Attempts under one intent are no repetition: the provider failed them.
    let attempts = |history: &mut History| {
        history.heard.extend((0..5).map(|n| call("a1", 200 + 100 * n, 250 + 100 * n)));
    };
    assert_eq!(falsified(attempts), [""; 0]);
    // Nor is the repair of a judge's reply; one that was lost is.
    let judge = |history: &mut History, outcome: Option<&str>| {
        for n in 0..2 {
            let id = format!("judge{n}");
            let outcome = outcome.map(str::to_owned);
            history.intents.push(Intent { outcome, ..intent(&id, "a", "judge", 2) });
            history.heard.push(call(&id, 200 + 100 * n, 250 + 100 * n));
        }
    };
    assert_eq!(falsified(|history| judge(history, Some("ok"))), [""; 0]);
    assert_eq!(falsified(|history| judge(history, None)), ["few calls are repeated"]);
}

#[test]
fn a_call_after_a_cancel_is_found() {
    let cancel = |history: &mut History, at| history.suites[0].runs[0].cancelled_at = Some(at);
    assert_eq!(falsified(|history| cancel(history, -950)), [""; 0]);
    assert_eq!(falsified(|history| cancel(history, -951)), ["cancel means now"]);
    let judged_again = |history: &mut History| {
        cancel(history, -5_000);
        for intent in &mut history.intents {
            intent.judging_again = true;
        }
    };
    assert_eq!(falsified(judged_again), [""; 0]);
}

#[test]
fn too_much_at_once_is_found() {
    let server = |history: &mut History| {
        history.intents.push(intent("z1", "z", "agent", 1));
        history.heard.push(call("z1", 20, 30));
    };
    assert_eq!(falsified(server), ["nobody over the limits"]);
    let suite = |history: &mut History| history.suites[0].concurrency = 1;
    assert_eq!(falsified(suite), ["nobody over the limits"]);
    let run = |history: &mut History| history.heard[2].from = 40;
    assert_eq!(falsified(run), ["nobody over the limits"]);
    let user = |history: &mut History| {
        let mut other = history.suites[0].clone();
        other.id = "t".into();
        other.requested = vec!["c".into()];
        other.runs = vec![RunSeen { id: "c".into(), ..run_done() }];
        other.events = suite_of("c");
        history.suites.push(other);
        history.intents.push(intent("c1", "c", "agent", 1));
        history.heard.push(call("c1", 20, 30));
    };
    let mut history = true_history();
    user(&mut history);
    let rules = Rules { max_calls: 9, ..RULES };
    let found: Vec<_> = check(&history, &rules).iter().map(|v| v.to_string()).collect();
    assert_eq!(found, ["nobody over the limits: calls of user ada: 3 at once, 2 allowed"]);
    // The provider needs a moment to notice that a client has gone.
    let dropped = |history: &mut History| {
        history.heard[0].until = Some(140);
        history.heard[0].dropped = true;
    };
    assert_eq!(falsified(dropped), [""; 0]);
    // One that was dropped at once does not stay open.
    let dropped_at_once = |history: &mut History| {
        history.heard[0].until = Some(30);
        history.heard[0].dropped = true;
    };
    assert_eq!(falsified(dropped_at_once), [""; 0]);
    let still_open = |history: &mut History| history.heard[0].until = None;
    assert_eq!(falsified(still_open), ["nobody over the limits"]);
}

fn run_done() -> RunSeen {
    RunSeen { status: "passed".into(), ..RunSeen::default() }
}

fn suite_of(run: &str) -> Vec<Event> {
    suite(vec![status(run, "passed"), Told::Finished { status: "finished".into() }])
}
