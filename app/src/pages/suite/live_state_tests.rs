use super::{Changes, LiveState, StatusAnnouncer, default_run_to_follow};
use crate::domain::{
    Counts, FinishedEvent, ProgressEvent, Run, RunEvent, RunId, RunStatus, Suite, SuiteEvent,
    SuiteSnapshot, SuiteStatus, Timestamp, Turn, TurnEvent, WaitReason, Waiting, WaitingRuns,
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
        "total": runs.len(), "counts": counts, "pass_rate": null, "judged": counts.judged(),
        "judged_pass_rate": null, "part_of": null, "concurrency": 3, "repeats": 1,
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
        (16, SuiteEvent::Finished(FinishedEvent { status: SuiteStatus::Finished, counts })),
    ]
}

fn play(state: &mut LiveState, events: impl IntoIterator<Item = (i64, SuiteEvent)>) {
    for (id, event) in events {
        state.apply(Some(id), event);
    }
}

#[test]
fn events_applied_twice_change_nothing() {
    let (mut once, mut twice) = (start(), start());
    play(&mut once, events());
    play(&mut twice, events());
    play(&mut twice, events());
    assert_eq!(once, twice);
    assert_eq!(once.seq, 16);
    assert_eq!(once.suite.counts, Counts { passed: 1, failed: 1, ..Counts::default() });
    let suite = &once.suite;
    assert_eq!((suite.pass_rate, suite.judged_pass_rate), (Some(0.5), Some(0.5)));
    assert_eq!(suite.judged, 2);
    assert_eq!(once.turns.len(), 2);
}

#[test]
fn restarted_stream_loses_and_duplicates_nothing() {
    let (mut whole, mut broken) = (start(), start());
    play(&mut whole, events());
    play(&mut broken, events().into_iter().take(3));
    play(&mut broken, events().into_iter().skip(1));
    assert_eq!(whole, broken);
}

#[test]
fn event_older_than_the_snapshot_is_ignored() {
    let mut state = start();
    let before = state.clone();
    assert_eq!(state.apply(Some(10), run_event(1, RunStatus::Failed)), Changes::default());
    assert_eq!(state, before);
}

#[test]
fn final_status_never_changes() {
    let mut state = start();
    state.apply(Some(11), run_event(1, RunStatus::Cancelled));
    let changes = state.apply(Some(12), run_event(1, RunStatus::Running));
    assert_eq!(changes, Changes::default());
    assert_eq!(state.runs[0].status, RunStatus::Cancelled);
}

#[test]
fn end_of_a_run_is_reported_once() {
    let mut state = start();
    let changes = state.apply(Some(11), run_event(2, RunStatus::Failed));
    assert_eq!(changes.ended, [(1, RunStatus::Failed)]);
    let changes = state.apply(Some(12), run_event(2, RunStatus::Failed));
    assert!(changes.ended.is_empty());
}

#[test]
fn only_a_newer_snapshot_replaces_the_state() {
    let mut state = start();
    let older = snapshot(9, vec![run(1, RunStatus::Pending), run(2, RunStatus::Pending)]);
    state.apply(Some(9), SuiteEvent::Snapshot(Box::new(older)));
    assert_eq!(state.runs[0].status, RunStatus::Running);
    let newer = snapshot(20, vec![run(1, RunStatus::Passed), run(2, RunStatus::Running)]);
    let changes = state.apply(Some(20), SuiteEvent::Snapshot(Box::new(newer)));
    assert!(changes.all);
    assert_eq!(changes.ended, [(0, RunStatus::Passed)]);
    assert_eq!(state.seq, 20);
    assert_eq!(state.followed, Some(run_id(1)), "the followed run stays");
}

fn waiting(mut run: Run, what: WaitReason, until: Option<i64>) -> Run {
    run.waiting_on = Some(Waiting { what, until: until.map(Timestamp) });
    run
}

fn retries(state: &LiveState) -> Vec<Option<i64>> {
    let until = |run: &Run| run.waiting_on.and_then(|waiting| waiting.until).map(|at| at.0);
    state.runs.iter().map(until).collect()
}

#[test]
fn rows_and_notice_agree_on_the_next_retry() {
    let runs = vec![
        waiting(run(1, RunStatus::Running), WaitReason::Circuit, Some(15_000)),
        waiting(run(2, RunStatus::Running), WaitReason::Circuit, Some(30_000)),
        waiting(run(3, RunStatus::Running), WaitReason::RateLimit, Some(99_000)),
        run(4, RunStatus::Pending),
    ];
    let mut state = LiveState::new(snapshot(10, runs), None);
    let shown = |state: &LiveState| state.waiting[0].until.map(|at| at.0);
    assert_eq!(shown(&state), Some(15_000));
    assert_eq!(retries(&state), [Some(15_000), Some(15_000), Some(99_000), None]);

    // A run that waits again after a failed retry moves all of them.
    let again = waiting(run(1, RunStatus::Running), WaitReason::Circuit, Some(60_000));
    let event = SuiteEvent::Run(Box::new(RunEvent { run_id: run_id(1), run: again }));
    let changes = state.apply(Some(11), event);
    assert_eq!(shown(&state), Some(60_000));
    assert_eq!(retries(&state), [Some(60_000), Some(60_000), Some(99_000), None]);
    assert_eq!(changes.runs, BTreeSet::from([0, 1]));

    // So does the progress, also for queued runs.
    let held = Waiting { what: WaitReason::Circuit, until: Some(Timestamp(70_000)) };
    let group = WaitingRuns { what: WaitReason::Circuit, until: held.until, runs: 3 };
    let progress = ProgressEvent {
        done: 0,
        total: 4,
        by_status: Counts::default(),
        eta_seconds: None,
        current: Vec::new(),
        waiting: vec![group],
        pending_waiting_on: Some(held),
    };
    let changes = state.apply(None, SuiteEvent::Progress(progress));
    assert_eq!(retries(&state), [Some(70_000), Some(70_000), Some(99_000), Some(70_000)]);
    assert_eq!(changes.runs, BTreeSet::from([0, 1, 3]));
}

#[test]
fn batched_events_are_applied_in_one_change() {
    let mut one_by_one = start();
    let mut at_once = start();
    let events = || {
        let finished = FinishedEvent { status: SuiteStatus::Finished, counts: Counts::default() };
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
fn turns_of_other_runs_are_not_shown() {
    let mut state = start();
    let changes = state.apply(Some(11), turn_event(2, 0));
    assert!(!changes.turns);
    assert!(state.turns.is_empty());
    // The transcript is loaded while another turn arrives.
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
fn progress_never_decreases() {
    let mut state = start();
    state.apply(Some(11), run_event(1, RunStatus::Passed));
    let late = ProgressEvent {
        done: 0,
        total: 2,
        by_status: Counts::default(),
        eta_seconds: Some(99),
        current: vec![],
        waiting: vec![],
        pending_waiting_on: None,
    };
    state.apply(None, SuiteEvent::Progress(late.clone()));
    assert_eq!((state.suite.progress.done, state.suite.progress.eta_seconds), (1, None));
    state
        .apply(None, SuiteEvent::Progress(ProgressEvent { done: 1, eta_seconds: Some(8), ..late }));
    assert_eq!(state.suite.progress.eta_seconds, Some(8));
}

#[test]
fn waits_are_grouped_by_reason_with_the_earliest_end() {
    let waits = |n, what, until| {
        let waiting_on = Some(Waiting { what, until });
        Run { waiting_on, ..run(n, RunStatus::Running) }
    };
    let runs = [
        waits(1, WaitReason::RateLimit, None),
        waits(2, WaitReason::Circuit, Some(Timestamp(9))),
        run(3, RunStatus::Running),
        waits(4, WaitReason::RateLimit, Some(Timestamp(7))),
        waits(5, WaitReason::RateLimit, Some(Timestamp(8))),
    ];
    let held = WaitingRuns::group(runs.iter().filter_map(|run| run.waiting_on));
    let limit = WaitingRuns { what: WaitReason::RateLimit, until: Some(Timestamp(7)), runs: 3 };
    let circuit = WaitingRuns { what: WaitReason::Circuit, until: Some(Timestamp(9)), runs: 1 };
    assert_eq!(held, [limit, circuit]);
    let mut state = start();
    let counts = Counts::default();
    let progress = ProgressEvent {
        done: 0,
        total: 2,
        by_status: counts,
        eta_seconds: None,
        current: vec![],
        waiting: vec![circuit],
        pending_waiting_on: None,
    };
    assert!(state.apply(None, SuiteEvent::Progress(progress)).suite);
    assert_eq!(state.waiting, [circuit]);
    let status = SuiteStatus::Cancelled;
    state.apply(Some(12), SuiteEvent::Finished(FinishedEvent { status, counts }));
    assert_eq!(state.waiting, [], "no run waits in a finished suite");
}

#[test]
fn queued_runs_waiting_for_a_slot_are_not_reported() {
    let snapshot = |what, status| {
        let waiting_on = Some(Waiting { what, until: None });
        let mut suite = start().suite;
        suite.runs = Some(vec![Run { waiting_on, ..run(1, status) }]);
        LiveState::new(SuiteSnapshot { seq: 1, suite }, None).waiting.len()
    };
    assert_eq!(snapshot(WaitReason::Slot, RunStatus::Pending), 0);
    assert_eq!(snapshot(WaitReason::Circuit, RunStatus::Pending), 1);
    assert_eq!(snapshot(WaitReason::Slot, RunStatus::Running), 1);
}

#[test]
fn wait_of_queued_runs_follows_the_progress_event() {
    let mut state = start();
    state.apply(Some(11), run_event(1, RunStatus::Running));
    let counts = Counts::default();
    let until = Some(Timestamp(9));
    let held = Some(Waiting { what: WaitReason::Circuit, until });
    let (eta_seconds, current, waiting) = (None, vec![], vec![]);
    let progress = ProgressEvent {
        done: 0,
        total: 2,
        by_status: counts,
        eta_seconds,
        current,
        waiting,
        pending_waiting_on: held,
    };
    let waits = |state: &LiveState| state.runs.iter().map(|run| run.waiting_on).collect::<Vec<_>>();
    let changes = state.apply(None, SuiteEvent::Progress(progress.clone()));
    assert_eq!(waits(&state), [None, held], "running runs report their own waits");
    assert_eq!(changes.runs, BTreeSet::from([1]));
    let changes = state.apply(None, SuiteEvent::Progress(progress.clone()));
    assert!(changes.runs.is_empty(), "unchanged runs are not rendered: {changes:?}");
    let changes = state
        .apply(None, SuiteEvent::Progress(ProgressEvent { pending_waiting_on: None, ..progress }));
    assert_eq!(waits(&state), [None, None]);
    assert_eq!(changes.runs, BTreeSet::from([1]));
}

#[test]
fn running_run_is_followed_first_then_a_failed_one() {
    let runs = [run(1, RunStatus::Passed), run(2, RunStatus::Failed), run(3, RunStatus::Running)];
    assert_eq!(default_run_to_follow(&runs), Some(run_id(3)));
    assert_eq!(default_run_to_follow(&runs[..2]), Some(run_id(2)));
    assert_eq!(default_run_to_follow(&runs[..1]), Some(run_id(1)));
    assert_eq!(default_run_to_follow(&[]), None);
}

#[test]
fn auto_follow_continues_when_the_next_run_starts() {
    let mut state = start();
    assert_eq!(state.followed, Some(run_id(1)));
    assert_eq!(state.follow_next(), None, "the followed run is still running");
    state.apply(Some(11), run_event(1, RunStatus::Passed));
    assert_eq!(state.follow_next(), None, "no other run is running yet");
    state.apply(Some(12), run_event(2, RunStatus::Running));
    assert_eq!(state.follow_next(), Some(run_id(2)));
}

#[test]
fn announcement_ends_each_sentence_once() {
    let mut announcer = StatusAnnouncer::starting_at(0, 8);
    announcer.say("Could not cancel: sign in again.");
    announcer.say("Back");
    assert_eq!(announcer.flush(1000).as_deref(), Some("Could not cancel: sign in again. Back."));
}

#[test]
fn announcements_are_at_least_five_seconds_apart() {
    let mut announcer = StatusAnnouncer::starting_at(0, 8);
    announcer.say("Started");
    assert_eq!(announcer.flush(1000).as_deref(), Some("Started."));
    announcer.say("S1 failed");
    announcer.progress(1, 8);
    announcer.progress(2, 8);
    announcer.progress(3, 8);
    assert_eq!(announcer.flush(5999), None);
    assert_eq!(announcer.flush(6000).as_deref(), Some("S1 failed. 25% done."));
    assert_eq!(announcer.flush(20_000), None);
    announcer.progress(8, 8);
    assert_eq!(announcer.flush(30_000), None, "the end is announced with its result");
    for n in 0..9 {
        announcer.say(format!("S{n} failed"));
    }
    let text = announcer.flush(40_000).expect("a sentence");
    assert!(text.ends_with("S2 failed. And 6 more."), "{text}");
}
