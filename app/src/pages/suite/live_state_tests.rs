use super::{Changes, LiveState, StatusLine, worth_following};
use crate::domain::{
    Counts, Finished, HeldRuns, Progress, Run, RunEvent, RunId, RunStatus, Suite, SuiteEvent,
    SuiteSnapshot, SuiteStatus, Timestamp, Turn, TurnEvent, Waiting, WaitingOn,
};
use serde_json::json;
use std::collections::BTreeSet;

fn id(n: u32) -> String {
    format!("0190a000-0000-7000-8000-{n:012}")
}

fn run_id(n: u32) -> RunId {
    id(n).parse().expect("id")
}

fn run(n: u32, status: RunStatus) -> Run {
    let usage = json!({"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": null});
    let at = "2026-11-23T06:38:38.123Z";
    serde_json::from_value(json!({
        "id": id(n), "suite_id": id(0), "repetition": 1, "status": status, "attempt": 1,
        "agent": {"id": id(100), "revision": 1, "name": "A"},
        "scenario": {"id": id(200 + n), "revision": 1, "name": format!("S{n}")},
        "recoveries": 0, "created_at": at, "user_turns": 0, "user_turns_planned": 3,
        "usage": {"agent": usage, "simulated_user": usage, "judge": usage},
    }))
    .expect("run")
}

fn snapshot(seq: i64, runs: Vec<Run>) -> SuiteSnapshot {
    let counts = Counts::from_statuses(runs.iter().map(|run| run.status));
    let mut suite: Suite = serde_json::from_value(json!({
        "id": id(0), "agent": {"id": id(100), "revision": 1, "name": "A"}, "status": "running",
        "total": runs.len(), "counts": counts, "pass_rate": null, "concurrency": 3, "repeats": 1,
        "progress": {"done": counts.done(), "total": runs.len(), "eta_seconds": null},
        "parent_id": null, "note": "", "created_at": "2026-11-23T06:38:38.123Z",
        "started_at": null, "finished_at": null, "cancel_requested_at": null,
    }))
    .expect("suite");
    suite.runs = Some(runs);
    SuiteSnapshot { seq, suite }
}

fn run_event(n: u32, status: RunStatus) -> SuiteEvent {
    SuiteEvent::Run(Box::new(RunEvent { run_id: run_id(n), run: run(n, status) }))
}

fn turn_event(n: u32, index: u32) -> SuiteEvent {
    let turn: Turn = serde_json::from_value(json!({
        "index": index, "speaker": "user", "message": format!("m{index}"), "tool_calls": [],
        "tool": null, "finish": null, "latency_ms": null, "input_tokens": null,
        "output_tokens": null, "at": "2026-11-23T06:38:38.123Z",
    }))
    .expect("turn");
    SuiteEvent::Turn(Box::new(TurnEvent { run_id: run_id(n), turn }))
}

fn start() -> LiveState {
    let runs = vec![run(1, RunStatus::Running), run(2, RunStatus::Pending)];
    LiveState::new(snapshot(10, runs), Some(run(1, RunStatus::Running)))
}

fn events() -> Vec<(i64, SuiteEvent)> {
    let counts = Counts { passed: 1, failed: 1, ..Counts::default() };
    vec![
        (11, turn_event(1, 0)),
        (12, turn_event(1, 1)),
        (13, run_event(1, RunStatus::Passed)),
        (14, run_event(2, RunStatus::Running)),
        (15, run_event(2, RunStatus::Failed)),
        (16, SuiteEvent::Finished(Finished { status: SuiteStatus::Finished, counts })),
    ]
}

fn play(state: &mut LiveState, events: impl IntoIterator<Item = (i64, SuiteEvent)>) {
    for (id, event) in events {
        state.apply(Some(id), event);
    }
}

#[test]
fn replayed_twice_is_once() {
    let (mut once, mut twice) = (start(), start());
    play(&mut once, events());
    play(&mut twice, events());
    play(&mut twice, events());
    assert_eq!(once, twice);
    assert_eq!(once.seq, 16);
    assert_eq!(once.suite.counts, Counts { passed: 1, failed: 1, ..Counts::default() });
    assert_eq!(once.suite.pass_rate, Some(0.5));
    assert_eq!(once.turns.len(), 2);
}

#[test]
fn a_stream_that_starts_over_in_the_middle_loses_and_doubles_nothing() {
    let (mut whole, mut broken) = (start(), start());
    play(&mut whole, events());
    play(&mut broken, events().into_iter().take(3));
    play(&mut broken, events().into_iter().skip(1));
    assert_eq!(whole, broken);
}

#[test]
fn what_is_older_than_the_page_changes_nothing() {
    let mut state = start();
    let before = state.clone();
    assert_eq!(state.apply(Some(10), run_event(1, RunStatus::Failed)), Changes::default());
    assert_eq!(state, before);
}

#[test]
fn final_is_final() {
    let mut state = start();
    state.apply(Some(11), run_event(1, RunStatus::Cancelled));
    let changes = state.apply(Some(12), run_event(1, RunStatus::Running));
    assert_eq!(changes, Changes::default());
    assert_eq!(state.runs[0].status, RunStatus::Cancelled);
}

#[test]
fn the_end_of_a_run_is_told_once() {
    let mut state = start();
    let changes = state.apply(Some(11), run_event(2, RunStatus::Failed));
    assert_eq!(changes.ended, [(1, RunStatus::Failed)]);
    let changes = state.apply(Some(12), run_event(2, RunStatus::Failed));
    assert!(changes.ended.is_empty());
}

#[test]
fn a_newer_snapshot_replaces_and_an_older_one_does_not() {
    let mut state = start();
    let older = snapshot(9, vec![run(1, RunStatus::Pending), run(2, RunStatus::Pending)]);
    state.apply(Some(9), SuiteEvent::Snapshot(Box::new(older)));
    assert_eq!(state.runs[0].status, RunStatus::Running);
    let newer = snapshot(20, vec![run(1, RunStatus::Passed), run(2, RunStatus::Running)]);
    let changes = state.apply(Some(20), SuiteEvent::Snapshot(Box::new(newer)));
    assert!(changes.all);
    assert_eq!(changes.ended, [(0, RunStatus::Passed)]);
    assert_eq!(state.seq, 20);
    assert_eq!(state.followed, Some(run_id(1)), "the reader keeps their place");
}

#[test]
fn what_came_between_two_frames_is_drawn_once() {
    let mut one_by_one = start();
    let mut at_once = start();
    let events = || {
        let finished = Finished { status: SuiteStatus::Finished, counts: Counts::default() };
        vec![
            (Some(11), turn_event(1, 0)),
            (Some(12), run_event(1, RunStatus::Passed)),
            (Some(12), run_event(1, RunStatus::Passed)),
            (Some(13), run_event(2, RunStatus::Failed)),
            (Some(14), SuiteEvent::Finished(finished)),
        ]
    };
    for (id, event) in events() {
        one_by_one.apply(id, event);
    }
    let changes = at_once.apply_all(events());
    assert_eq!(at_once, one_by_one);
    assert_eq!(changes.runs, BTreeSet::from([0, 1]));
    assert_eq!(changes.ended, [(0, RunStatus::Passed), (1, RunStatus::Failed)]);
    assert!(changes.suite && changes.turns && !changes.all);
}

#[test]
fn turns_of_other_runs_do_not_mix_in() {
    let mut state = start();
    let changes = state.apply(Some(11), turn_event(2, 0));
    assert!(!changes.turns);
    assert!(state.turns.is_empty());
    // Followed later, read from the server while one more arrives.
    state.follow(run_id(2));
    state.apply(Some(12), turn_event(2, 1));
    let turns = [0, 1].map(|i| match turn_event(2, i) {
        SuiteEvent::Turn(event) => event.turn,
        _ => unreachable!("a turn"),
    });
    state.merge_turns(run_id(2), turns.to_vec());
    assert_eq!(state.turns.keys().copied().collect::<Vec<_>>(), [0, 1]);
    state.merge_turns(run_id(1), turns.to_vec());
    assert_eq!(state.turns.len(), 2);
}

#[test]
fn progress_never_goes_back() {
    let mut state = start();
    state.apply(Some(11), run_event(1, RunStatus::Passed));
    let late = Progress {
        done: 0,
        total: 2,
        by_status: Counts::default(),
        eta_seconds: Some(99),
        current: vec![],
        waiting: vec![],
        held: None,
    };
    state.apply(None, SuiteEvent::Progress(late.clone()));
    assert_eq!((state.suite.progress.done, state.suite.progress.eta_seconds), (1, None));
    state.apply(None, SuiteEvent::Progress(Progress { done: 1, eta_seconds: Some(8), ..late }));
    assert_eq!(state.suite.progress.eta_seconds, Some(8));
}

#[test]
fn what_runs_wait_for_is_told_once_each_and_until_the_first() {
    let waits = |n, what, until| {
        let waiting_on = Some(Waiting { what, until });
        Run { waiting_on, ..run(n, RunStatus::Running) }
    };
    let runs = [
        waits(1, WaitingOn::RateLimit, None),
        waits(2, WaitingOn::Circuit, Some(Timestamp(9))),
        run(3, RunStatus::Running),
        waits(4, WaitingOn::RateLimit, Some(Timestamp(7))),
        waits(5, WaitingOn::RateLimit, Some(Timestamp(8))),
    ];
    let held = HeldRuns::of(runs.iter().filter_map(|run| run.waiting_on));
    let limit = HeldRuns { what: WaitingOn::RateLimit, until: Some(Timestamp(7)), runs: 3 };
    let circuit = HeldRuns { what: WaitingOn::Circuit, until: Some(Timestamp(9)), runs: 1 };
    assert_eq!(held, [limit, circuit]);
    let mut state = start();
    let counts = Counts::default();
    let told = Progress {
        done: 0,
        total: 2,
        by_status: counts,
        eta_seconds: None,
        current: vec![],
        waiting: vec![circuit],
        held: None,
    };
    assert!(state.apply(None, SuiteEvent::Progress(told)).suite);
    assert_eq!(state.waiting, [circuit]);
    let status = SuiteStatus::Cancelled;
    state.apply(Some(12), SuiteEvent::Finished(Finished { status, counts }));
    assert_eq!(state.waiting, [], "nothing waits when all is over");
}

#[test]
fn that_a_queue_waits_for_its_turn_is_nothing_to_speak_of() {
    let snapshot = |what, status| {
        let waiting_on = Some(Waiting { what, until: None });
        let mut suite = start().suite;
        suite.runs = Some(vec![Run { waiting_on, ..run(1, status) }]);
        LiveState::new(SuiteSnapshot { seq: 1, suite }, None).waiting.len()
    };
    assert_eq!(snapshot(WaitingOn::Slot, RunStatus::Pending), 0);
    assert_eq!(snapshot(WaitingOn::Circuit, RunStatus::Pending), 1);
    assert_eq!(snapshot(WaitingOn::Slot, RunStatus::Running), 1);
}

#[test]
fn a_wait_that_no_event_tells_of_comes_and_goes_with_the_progress() {
    let mut state = start();
    state.apply(Some(11), run_event(1, RunStatus::Running));
    let counts = Counts::default();
    let until = Some(Timestamp(9));
    let held = Some(Waiting { what: WaitingOn::Circuit, until });
    let (eta_seconds, current, waiting) = (None, vec![], vec![]);
    let told =
        Progress { done: 0, total: 2, by_status: counts, eta_seconds, current, waiting, held };
    let waits = |state: &LiveState| state.runs.iter().map(|run| run.waiting_on).collect::<Vec<_>>();
    let changes = state.apply(None, SuiteEvent::Progress(told.clone()));
    assert_eq!(waits(&state), [None, held], "a run that has begun tells of its own");
    assert_eq!(changes.runs, BTreeSet::from([1]));
    let changes = state.apply(None, SuiteEvent::Progress(told.clone()));
    assert!(changes.runs.is_empty(), "nothing is drawn twice: {changes:?}");
    let changes = state.apply(None, SuiteEvent::Progress(Progress { held: None, ..told }));
    assert_eq!(waits(&state), [None, None]);
    assert_eq!(changes.runs, BTreeSet::from([1]));
}

#[test]
fn one_that_talks_is_followed_first_then_a_failure() {
    let runs = [run(1, RunStatus::Passed), run(2, RunStatus::Failed), run(3, RunStatus::Running)];
    assert_eq!(worth_following(&runs), Some(run_id(3)));
    assert_eq!(worth_following(&runs[..2]), Some(run_id(2)));
    assert_eq!(worth_following(&runs[..1]), Some(run_id(1)));
    assert_eq!(worth_following(&[]), None);
}

#[test]
fn whoever_follows_what_runs_goes_on_when_the_next_begins() {
    let mut state = start();
    assert_eq!(state.followed, Some(run_id(1)));
    assert_eq!(state.follow_next(), None, "it still talks");
    state.apply(Some(11), run_event(1, RunStatus::Passed));
    assert_eq!(state.follow_next(), None, "nothing else talks yet");
    state.apply(Some(12), run_event(2, RunStatus::Running));
    assert_eq!(state.follow_next(), Some(run_id(2)));
}

#[test]
fn the_status_line_ends_each_sentence_once() {
    let mut line = StatusLine::starting_at(0, 8);
    line.say("Could not cancel: sign in again.");
    line.say("Back");
    assert_eq!(line.flush(1000).as_deref(), Some("Could not cancel: sign in again. Back."));
}

#[test]
fn the_status_line_speaks_at_most_every_five_seconds() {
    let mut line = StatusLine::starting_at(0, 8);
    line.say("Started");
    assert_eq!(line.flush(1000).as_deref(), Some("Started."));
    line.say("S1 failed");
    line.progress(1, 8);
    line.progress(2, 8);
    line.progress(3, 8);
    assert_eq!(line.flush(5999), None);
    assert_eq!(line.flush(6000).as_deref(), Some("S1 failed. 25 % done."));
    assert_eq!(line.flush(20_000), None);
    line.progress(8, 8);
    assert_eq!(line.flush(30_000), None, "the end is said by whoever knows how it ended");
    for n in 0..9 {
        line.say(format!("S{n} failed"));
    }
    let said = line.flush(40_000).expect("a sentence");
    assert!(said.ends_with("S2 failed. and 6 more."), "{said}");
}
