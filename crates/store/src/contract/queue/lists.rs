//! Lists, filters and ownership.

use super::{QueueFixture, T0, at, id, space, suite};
use crate::suites::NewSuite;
use domain::services::HistoryFilter;
use domain::{ErrorKind, RunError, ScenarioId};

pub async fn history_pages_are_newest_first_without_gaps_or_duplicates(f: QueueFixture) {
    for n in 1..=7 {
        // The id orders suites of the same millisecond.
        f.suites.create_suite(NewSuite { at: at(n as u64 / 2), ..suite(n, 1, 1) }).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = f.suites.suites(space(1), &HistoryFilter::default(), before, 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        before = Some(crate::suites::TimeCursor { at: last.created_at, id: last.id.0 });
        seen.extend(page.iter().map(|(row, counts)| {
            assert_eq!(counts.pending, 1);
            (row.created_at, row.id)
        }));
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "newest first");
    let filter = HistoryFilter { status: Some("running".into()), ..HistoryFilter::default() };
    assert!(f.suites.suites(space(1), &filter, None, 9).await.unwrap().is_empty());
    let filter = HistoryFilter { status: Some("pending".into()), ..HistoryFilter::default() };
    assert_eq!(f.suites.runs(space(1), &filter, None, 9).await.unwrap().len(), 7);
}

pub async fn suites_are_filtered_by_scenario_and_error_of_one_run(f: QueueFixture) {
    let with_error = |n: u128, position: usize| {
        let mut new = NewSuite { at: at(n as u64), ..suite(n, 1, 2) };
        new.runs[position].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
        new
    };
    f.suites.create_suite(with_error(1, 0)).await.unwrap();
    // It has the scenario of the first suite's failed run, but without an error.
    let mut second = with_error(2, 1);
    second.runs[0].scenario = with_error(1, 0).runs[0].scenario.clone();
    f.suites.create_suite(second).await.unwrap();
    f.suites.create_suite(suite(3, 1, 1)).await.unwrap();
    let found = async |filter: HistoryFilter| -> Vec<u128> {
        let page = f.suites.suites(space(1), &filter, None, 9).await.unwrap();
        page.iter().map(|(row, _)| row.id.0.as_u128() - id(0).as_u128()).collect()
    };
    let all = HistoryFilter::default();
    let scenario = HistoryFilter { scenario: Some(ScenarioId(id(5100))), ..all.clone() };
    let kind = HistoryFilter { error_kind: Some("incompatible".into()), ..all.clone() };
    assert_eq!(found(scenario.clone()).await, [2, 1]);
    assert_eq!(found(kind.clone()).await, [2, 1]);
    let both = HistoryFilter { error_kind: kind.error_kind.clone(), ..scenario.clone() };
    assert_eq!(found(both).await, [1], "both in the same run");
    let late = HistoryFilter { since: Some(at(2).rfc3339()), ..kind.clone() };
    assert_eq!(found(late).await, [2]);
    let other = HistoryFilter { error_kind: Some("timeout".into()), ..all };
    assert!(found(other).await.is_empty());
    assert!(f.suites.suites(space(2), &kind, None, 9).await.unwrap().is_empty());
}

pub async fn other_spaces_see_nothing(f: QueueFixture) {
    let run = f.leased_run().await;
    let (mine, theirs) = (space(1), space(2));
    assert!(f.suites.suite(theirs, run.suite_id).await.unwrap().is_none());
    assert!(f.suites.run(theirs, run.id).await.unwrap().is_none());
    assert!(f.suites.cancel_suite(theirs, run.suite_id, T0).await.unwrap().is_none());
    assert!(f.suites.cancel_run(theirs, run.id, T0).await.unwrap().is_none());
    assert!(f.suites.unfinished_suites(theirs).await.unwrap().is_empty());
    assert!(f.suites.runs(theirs, &HistoryFilter::default(), None, 9).await.unwrap().is_empty());
    assert!(f.suites.run(mine, run.id).await.unwrap().unwrap().cancel_requested_at.is_none());
}
