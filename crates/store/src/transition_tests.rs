//! The run's state machine, by properties: whatever happens, in whatever
//! order, these hold.

use super::rows::{EventRow, Frozen, ModelRef, RunRow};
use super::suites::{NewRun, NewSuite};
use super::transition::{Change, Final, MOST_RECOVERIES, Refused, Transition, transition};
use domain::{
    AgentId, AgentRef, ConnectionId, EndReason, ErrorKind, RunId, RunStatus, ScenarioId,
    ScenarioRef, SpaceId, Speaker, SuiteId, Timestamp, Turn, UserId, Waiting, WaitingOn,
};
use proptest::prelude::*;
use std::time::Duration;
use uuid::Uuid;

const T0: Timestamp = Timestamp(1_700_000_000_000);

fn fresh() -> RunRow {
    let model = ModelRef { connection_id: ConnectionId(Uuid::nil()), model: "m".into() };
    let run = NewRun {
        id: RunId(Uuid::from_u128(1)),
        scenario: ScenarioRef { id: ScenarioId(Uuid::nil()), revision: 1, name: "S".into() },
        repetition: 1,
        timeout_ms: 60_000,
        user_turns_planned: 3,
        source_run_id: None,
        error: None,
    };
    let suite = NewSuite {
        id: SuiteId(Uuid::from_u128(2)),
        space_id: SpaceId(Uuid::nil()),
        user_id: UserId(Uuid::nil()),
        agent: AgentRef { id: AgentId(Uuid::nil()), revision: 1, name: "A".into() },
        frozen: Frozen::all(&model),
        concurrency: 1,
        repeats: 1,
        note: String::new(),
        parent_id: None,
        runs: Vec::new(),
        allow_parallel: false,
        queue_per_user: 1,
        key: None,
        at: T0,
    };
    RunRow::fresh(&suite, &run, 0)
}

/// Something that happens, after some seconds. `stale` commits carry an epoch
/// that was lost.
#[derive(Clone, Debug)]
struct Happening {
    what: What,
    after: u64,
}

#[derive(Clone, Debug)]
enum What {
    Claim,
    Commit { stale: bool, turns: usize, over: bool, wait: bool, end: Option<RunStatus> },
    HandBack { stale: bool },
    Recover,
    Cancel,
    Expire,
}

fn happening() -> impl Strategy<Value = Happening> {
    let end = prop::option::weighted(
        0.15,
        prop::sample::select(vec![
            RunStatus::Passed,
            RunStatus::Failed,
            RunStatus::Inconclusive,
            RunStatus::Error,
            RunStatus::Cancelled,
        ]),
    );
    let commit = (any::<bool>(), 0..3_usize, any::<bool>(), any::<bool>(), end)
        .prop_map(|(stale, turns, over, wait, end)| What::Commit { stale, turns, over, wait, end });
    let what = prop_oneof![
        3 => Just(What::Claim),
        5 => commit,
        1 => any::<bool>().prop_map(|stale| What::HandBack { stale }),
        2 => Just(What::Recover),
        1 => Just(What::Cancel),
        1 => Just(What::Expire),
    ];
    (what, 0..200_u64).prop_map(|(what, after)| Happening { what, after })
}

fn asked(what: &What, run: &RunRow) -> Transition {
    let epoch = |stale: bool| if stale { run.attempt.wrapping_sub(1) } else { run.attempt };
    match what {
        What::Claim => Transition::Claim { owner: "w".into(), max_wait: Duration::from_secs(600) },
        What::HandBack { stale } => Transition::HandBack { attempt: epoch(*stale) },
        What::Recover => Transition::Recover,
        What::Cancel => Transition::Cancel,
        What::Expire => Transition::Expire,
        What::Commit { stale, turns, over, wait, end } => {
            let waiting = Waiting { what: WaitingOn::RateLimit, until: None };
            let finish = end.map(|status| match status {
                RunStatus::Error => Final::error(ErrorKind::Internal, "fault"),
                RunStatus::Cancelled => Final::cancelled(),
                status => Final { status, score: Some(50.0), error: None },
            });
            let change = Change {
                turns: vec![Turn::said(Speaker::Agent, "x", T0); *turns],
                end_reason: over.then_some(EndReason::AgentEnded),
                waiting: Some(wait.then_some(waiting)),
                parked: Some(*wait),
                active: Duration::from_secs(1),
                finish,
                ..Change::default()
            };
            Transition::Commit { attempt: epoch(*stale), change: Box::new(change) }
        }
    }
}

fn check(
    before: &RunRow,
    after: &RunRow,
    events: &[EventRow],
    what: &What,
) -> Result<(), TestCaseError> {
    prop_assert!(!before.status.is_final(), "a final run never changes: {what:?}");
    prop_assert!(after.attempt >= before.attempt);
    prop_assert!(after.turns >= before.turns && after.active_ms >= before.active_ms);
    if let Some(deadline) = before.deadline_at {
        prop_assert_eq!(after.deadline_at, Some(deadline), "the deadline is never moved");
        prop_assert_eq!(after.started_at, before.started_at);
    }
    let held = after.lease_owner.is_some();
    prop_assert_eq!(held, after.lease_until.is_some());
    prop_assert!(!(held && after.status != RunStatus::Running), "only a running run is held");
    prop_assert_eq!(after.status.is_final(), after.finished_at.is_some());
    let verdict =
        matches!(after.status, RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive);
    prop_assert!(after.score.is_none() || verdict, "a score only with a verdict");
    prop_assert_eq!(after.status == RunStatus::Error, after.error.is_some());
    if after.status.is_final() {
        prop_assert!(after.stage.is_none() && after.waiting.is_none() && !after.parked);
    }
    let stops = after.cancel_requested_at.is_some() && !after.status.is_final();
    prop_assert!(held || !stops, "what is to stop is held until it has");
    prop_assert!(after.stalled <= MOST_RECOVERIES);
    // Whoever held it before a change of hands can commit nothing any more.
    let changes_hands =
        matches!(what, What::Claim | What::HandBack { .. } | What::Recover | What::Expire);
    if changes_hands {
        prop_assert!(after.attempt > before.attempt);
    }
    let mut next = before.turns;
    for event in events {
        match event {
            EventRow::Turn { index, .. } => {
                prop_assert_eq!(*index, next, "turns are told in order, without a gap");
                next += 1;
            }
            EventRow::Run(run) => prop_assert_eq!(run.status, after.status),
            EventRow::Finished(_) => prop_assert!(false, "the suite's end is not a run's to tell"),
        }
    }
    prop_assert_eq!(next, after.turns, "every stored turn is told");
    if after.status != before.status {
        prop_assert!(
            events.iter().any(|event| matches!(event, EventRow::Run(_))),
            "a new status is told"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(happenings in prop::collection::vec(happening(), 1..60)) {
        let (mut run, mut now) = (fresh(), T0);
        for Happening { what, after } in happenings {
            now = now.plus(Duration::from_secs(after));
            let before = run.clone();
            let order = asked(&what, &run);
            let stale = matches!(what, What::Commit { stale: true, .. } | What::HandBack { stale: true });
            match transition(&mut run, order, now) {
                Ok(events) => {
                    prop_assert!(!stale, "a lost epoch changes nothing");
                    check(&before, &run, &events, &what)?;
                }
                Err(refused) => {
                    prop_assert_eq!(&run, &before, "refused means untouched");
                    if before.status.is_final() {
                        prop_assert_eq!(refused, Refused::LeaseLost);
                    }
                }
            }
        }
    }

    /// From any state the reaper, the clock and nothing else lead to an end.
    #[test]
    fn every_run_ends_by_its_deadline(happenings in prop::collection::vec(happening(), 0..40)) {
        let (mut run, mut now) = (fresh(), T0);
        for Happening { what, after } in happenings {
            now = now.plus(Duration::from_secs(after));
            let order = asked(&what, &run);
            let _ = transition(&mut run, order, now);
        }
        let end = run.deadline_at.unwrap_or(run.created_at.plus(Duration::from_secs(24 * 3600))).max(now);
        let _ = transition(&mut run, Transition::Recover, end);
        let _ = transition(&mut run, Transition::Expire, end);
        prop_assert!(run.status.is_final(), "{run:?}");
    }
}
