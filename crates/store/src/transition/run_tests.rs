//! Properties of the run lifecycle that hold for every sequence of transitions.

use super::{MAX_RECOVERIES_WITHOUT_PROGRESS, Refused, RunChange, RunOutcome, RunTransition};
use crate::contract::queue::{T0, new_run, suite};
use crate::rows::{EventRow, RunRow};
use domain::{EndReason, ErrorKind, RunStatus, Speaker, Timestamp, Turn, WaitReason, Waiting};
use proptest::prelude::*;
use std::time::Duration;

/// A transition after some seconds. A stale one carries an old lease epoch.
#[derive(Clone, Debug)]
struct Step {
    action: Action,
    after: u64,
}

#[derive(Clone, Debug)]
enum Action {
    Claim,
    Commit {
        stale: bool,
        turns: usize,
        conversation_ends: bool,
        waits: bool,
        finish: Option<RunStatus>,
    },
    Release {
        stale: bool,
    },
    Recover,
    Cancel,
    ExceedDeadline,
}

impl Action {
    fn is_stale(&self) -> bool {
        matches!(self, Self::Commit { stale: true, .. } | Self::Release { stale: true })
    }

    fn transition(&self, run: &RunRow) -> RunTransition {
        let epoch =
            |stale: bool| if stale { run.lease_epoch.wrapping_sub(1) } else { run.lease_epoch };
        match self {
            Self::Claim => {
                RunTransition::Claim { owner: "w".into(), max_wait: Duration::from_secs(600) }
            }
            Self::Release { stale } => RunTransition::Release { lease_epoch: epoch(*stale) },
            Self::Recover => RunTransition::Recover,
            Self::Cancel => RunTransition::Cancel,
            Self::ExceedDeadline => RunTransition::ExceedDeadline,
            Self::Commit { stale, turns, conversation_ends, waits, finish } => {
                let waiting = Waiting { what: WaitReason::RateLimit, until: None };
                let finish = finish.map(|status| match status {
                    RunStatus::Error => RunOutcome::error(ErrorKind::Internal, "fault"),
                    RunStatus::Cancelled => RunOutcome::cancelled(),
                    status => RunOutcome { status, score: Some(50.0), error: None },
                });
                let change = RunChange {
                    turns: vec![Turn::text(Speaker::Agent, "x", T0); *turns],
                    end_reason: conversation_ends.then_some(EndReason::AgentEnded),
                    waiting: Some(waits.then_some(waiting)),
                    parked: Some(*waits),
                    active: Duration::from_secs(1),
                    finish,
                    ..RunChange::default()
                };
                RunTransition::Commit { lease_epoch: epoch(*stale), change: Box::new(change) }
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let finish = prop::option::weighted(
        0.15,
        prop::sample::select(vec![
            RunStatus::Passed,
            RunStatus::Failed,
            RunStatus::Inconclusive,
            RunStatus::Error,
            RunStatus::Cancelled,
        ]),
    );
    let commit = (any::<bool>(), 0..3_usize, any::<bool>(), any::<bool>(), finish).prop_map(
        |(stale, turns, conversation_ends, waits, finish)| Action::Commit {
            stale,
            turns,
            conversation_ends,
            waits,
            finish,
        },
    );
    let action = prop_oneof![
        3 => Just(Action::Claim),
        5 => commit,
        1 => any::<bool>().prop_map(|stale| Action::Release { stale }),
        2 => Just(Action::Recover),
        1 => Just(Action::Cancel),
        1 => Just(Action::ExceedDeadline),
    ];
    (action, 0..200_u64).prop_map(|(action, after)| Step { action, after })
}

/// A day after the request.
fn latest_end(run: &RunRow) -> Timestamp {
    run.created_at.plus(Duration::from_secs(24 * 3600))
}

fn check(
    before: &RunRow,
    after: &RunRow,
    events: &[EventRow],
    action: &Action,
) -> Result<(), TestCaseError> {
    prop_assert!(!before.status.is_final(), "a final run never changes: {action:?}");
    prop_assert!(after.lease_epoch >= before.lease_epoch);
    prop_assert!(after.turns >= before.turns && after.active_ms >= before.active_ms);
    if let Some(deadline) = before.deadline_at {
        let moved = after.deadline_at.expect("a deadline stays");
        prop_assert!(moved >= deadline && moved <= latest_end(after));
        prop_assert!(
            moved == deadline || before.deadline_paused_at.is_some(),
            "the deadline moves only by waits"
        );
        prop_assert_eq!(after.started_at, before.started_at);
    }
    let leased = after.lease_owner.is_some();
    prop_assert_eq!(leased, after.lease_until.is_some());
    prop_assert!(!leased || after.status == RunStatus::Running, "only running runs are leased");
    prop_assert_eq!(after.status.is_final(), after.finished_at.is_some());
    let verdict =
        matches!(after.status, RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive);
    prop_assert!(after.score.is_none() || verdict, "only a verdict has a score");
    prop_assert_eq!(after.status == RunStatus::Error, after.error.is_some());
    let waits = after.waiting.is_some_and(|waiting| waiting.what != WaitReason::Circuit);
    prop_assert_eq!(after.deadline_paused_at.is_some(), waits);
    if after.status.is_final() {
        prop_assert!(after.stage.is_none() && after.waiting.is_none() && !after.parked);
    }
    let cancelling = after.cancel_requested_at.is_some() && !after.status.is_final();
    prop_assert!(leased || !cancelling, "an unfinished canceled run has a lease holder");
    prop_assert!(after.recoveries_without_progress <= MAX_RECOVERIES_WITHOUT_PROGRESS);
    let fences = matches!(
        action,
        Action::Claim | Action::Release { .. } | Action::Recover | Action::ExceedDeadline
    );
    if fences {
        prop_assert!(after.lease_epoch > before.lease_epoch, "fences the previous holder");
    }
    let mut next = before.turns;
    for event in events {
        match event {
            EventRow::Turn { index, .. } => {
                prop_assert_eq!(*index, next, "turn events are in order and without a gap");
                next += 1;
            }
            EventRow::Run(run) => prop_assert_eq!(run.status, after.status),
            EventRow::Finished(_) => prop_assert!(false, "a run does not finish its suite"),
        }
    }
    prop_assert_eq!(next, after.turns, "every stored turn has an event");
    if after.status != before.status {
        prop_assert!(
            events.iter().any(|event| matches!(event, EventRow::Run(_))),
            "a new status has an event"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_any_transitions(steps in prop::collection::vec(step(), 1..60)) {
        let (mut run, mut now) = (RunRow::new(&suite(1, 1, 1), &new_run(1), 0), T0);
        for Step { action, after } in steps {
            now = now.plus(Duration::from_secs(after));
            let before = run.clone();
            match run.transition(action.transition(&before), now) {
                Ok(events) => {
                    prop_assert!(!action.is_stale(), "a stale epoch changes nothing");
                    check(&before, &run, &events, &action)?;
                }
                Err(refused) => {
                    prop_assert_eq!(&run, &before, "a refused transition changes nothing");
                    if before.status.is_final() {
                        prop_assert_eq!(refused, Refused::LeaseLost);
                    }
                }
            }
        }
    }

    /// From every state, the reaper alone ends the run at its deadline; a run that waits, a
    /// day after the request.
    #[test]
    fn every_run_ends_by_its_deadline(steps in prop::collection::vec(step(), 0..40)) {
        let (mut run, mut now) = (RunRow::new(&suite(1, 1, 1), &new_run(1), 0), T0);
        for Step { action, after } in steps {
            now = now.plus(Duration::from_secs(after));
            let _ = run.transition(action.transition(&run.clone()), now);
        }
        let deadline = run.deadline_at.filter(|_| run.deadline_paused_at.is_none());
        let end = deadline.unwrap_or(latest_end(&run)).max(now);
        let _ = run.transition(RunTransition::Recover, end);
        let _ = run.transition(RunTransition::ExceedDeadline, end);
        prop_assert!(run.status.is_final(), "{run:?}");
    }
}

#[test]
fn deadline_leaves_the_judge_the_time_that_the_user_chose() {
    let deadline = |seconds| {
        let mut suite = suite(1, 1, 1);
        suite.model_snapshot.judge.options.timeout_seconds = seconds;
        let mut run = RunRow::new(&suite, &new_run(1), 0);
        let claim = RunTransition::Claim { owner: "w".into(), max_wait: Duration::ZERO };
        run.transition(claim, T0).unwrap();
        run.deadline_at
    };
    assert_eq!(deadline(Some(600)), deadline(None).map(|at| at.plus(Duration::from_secs(420))));
}
