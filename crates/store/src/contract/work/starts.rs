//! What a start makes, and when it is refused or answered with what there is.

use super::{QueueFixture, T0, at, claim, finish, id, space, suite, turns, user};
use crate::suites::{Created, NewKey, NewSuite};
use crate::transition::{Change, Final, Lease};
use domain::services::HistoryFilter;
use domain::{EndReason, ErrorKind, RunError, Stage, SuiteId, SuiteStatus};

pub async fn one_key_one_suite(f: QueueFixture) {
    let key = |request: &str, n: u128| NewKey {
        path: "/suites".into(),
        key: "k".into(),
        request: request.into(),
        response: format!("answer {n}"),
    };
    let keyed = |request: &str, n| NewSuite { key: Some(key(request, n)), ..suite(n, 1, 1) };
    assert_eq!(f.suites.create_suite(keyed("a", 1)).await.unwrap(), Created::New);
    let replay = Created::Replayed { suite_id: SuiteId(id(1)), response: "answer 1".into() };
    assert_eq!(f.suites.create_suite(keyed("a", 2)).await.unwrap(), replay);
    assert_eq!(f.suites.answered(user(1), &key("a", 9), T0).await.unwrap(), Some(replay));
    let reused = Created::KeyReused { suite_id: SuiteId(id(1)) };
    assert_eq!(f.suites.create_suite(keyed("b", 3)).await.unwrap(), reused);
    assert_eq!(f.suites.answered(user(2), &key("a", 9), T0).await.unwrap(), None, "scope = user");
    let mut later = keyed("a", 4);
    later.at = at(24 * 3600 + 1);
    later.allow_parallel = true;
    assert_eq!(f.suites.create_suite(later).await.unwrap(), Created::New, "kept for 24 h");
    let all = f.suites.suites(space(1), &HistoryFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 2);
}

pub async fn one_suite_over_a_scenario_at_a_time(f: QueueFixture) {
    let first = suite(1, 1, 2);
    f.suites.create_suite(first.clone()).await.unwrap();
    let mut second = suite(2, 1, 2);
    second.agent = first.agent.clone();
    assert_eq!(
        f.suites.create_suite(second.clone()).await.unwrap(),
        Created::New,
        "other scenarios"
    );
    let mut third = suite(3, 1, 2);
    third.agent = first.agent.clone();
    third.runs[1].scenario = first.runs[0].scenario.clone();
    let busy = Created::AlreadyRunning { suite_id: SuiteId(id(1)) };
    assert_eq!(f.suites.create_suite(third.clone()).await.unwrap(), busy);
    third.allow_parallel = true;
    assert_eq!(f.suites.create_suite(third).await.unwrap(), Created::New);
    let scenarios = [first.runs[0].scenario.id];
    let over = f.suites.unfinished_over(space(1), first.agent.id, &scenarios).await.unwrap();
    assert!(over.is_some());
    assert_eq!(f.suites.unfinished_over(space(2), first.agent.id, &scenarios).await.unwrap(), None);
}

pub async fn a_full_queue_refuses(f: QueueFixture) {
    let limited = |n, runs| NewSuite { queue_per_user: 10, ..suite(n, 1, runs) };
    assert_eq!(f.suites.create_suite(limited(1, 8)).await.unwrap(), Created::New);
    let full = Created::QueueFull { unfinished: 8 };
    assert_eq!(f.suites.create_suite(limited(2, 3)).await.unwrap(), full);
    assert_eq!(f.suites.create_suite(limited(3, 2)).await.unwrap(), Created::New);
}

pub async fn runs_of_incompatible_pairs_are_final_from_the_start(f: QueueFixture) {
    let mut mixed = suite(1, 1, 2);
    mixed.runs[0].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
    f.suites.create_suite(mixed).await.unwrap();
    let claimed = f.queue.claim(claim(9, T0)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let mut nothing = suite(2, 1, 1);
    nothing.runs[0].error = Some(RunError::new(ErrorKind::Incompatible, "needs a tool"));
    f.suites.create_suite(nothing).await.unwrap();
    let (suite, runs) = f.suites.suite(space(1), SuiteId(id(2))).await.unwrap().unwrap();
    assert_eq!(suite.status, SuiteStatus::Finished, "nothing is left to wait for");
    assert_eq!(runs[0].error.as_ref().unwrap().message, "needs a tool");
}

pub async fn a_finished_conversation_is_copied(f: QueueFixture) {
    f.suites.create_suite(suite(1, 1, 1)).await.unwrap();
    let run = f.queue.claim(claim(1, T0)).await.unwrap().remove(0);
    let lease = Lease { run_id: run.id, attempt: run.attempt };
    let over = Change { end_reason: Some(EndReason::AgentEnded), ..turns(&["a", "b"]) };
    f.queue.commit(&lease, over, at(1)).await.unwrap();
    let lost = Final::error(ErrorKind::EvaluationUnavailable, "no judge");
    f.queue.commit(&lease, finish(lost), at(2)).await.unwrap();
    let mut again = suite(2, 1, 1);
    again.runs[0].source_run_id = Some(run.id);
    f.suites.create_suite(again).await.unwrap();
    let copy = f.queue.claim(claim(1, at(3))).await.unwrap().remove(0);
    assert_eq!((copy.stage, copy.turns, copy.user_turns), (Some(Stage::Evaluating), 2, 2));
    assert_eq!(copy.end_reason, Some(EndReason::AgentEnded));
    let work = f.queue.work(&copy).await.unwrap();
    assert_eq!(work.transcript.iter().map(|t| t.message.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
