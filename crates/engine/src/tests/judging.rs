//! The conversation outlives its judge, and no verdict comes out of nothing.

use super::bench::{Bench, failure, obliging, rejected, reply, scripted, space};
use llm::Decision;
use store::suites::SuiteStore;
use domain::{ErrorKind, EvaluationStatus, RunStatus};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_judge_that_cannot_be_read_gives_no_verdict_and_its_words_are_kept() {
    let b = Bench::new(|number, request| match &request.output {
        None => obliging(number, request),
        Some(_) => Box::pin(async move { reply(format!("I would say 50, number {number}")) }),
    });
    let suite = b.suite(1, &[scripted(2)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().map(|e| e.kind), Some(ErrorKind::EvaluationUnparseable));
    assert_eq!((run.status, run.score), (RunStatus::Error, None));
    let judging = b.work.evaluations(run.id).await.unwrap().remove(0).view;
    assert_eq!(judging.raw_reply.as_deref(), Some("I would say 50, number 3"));
    assert_eq!((judging.asked, judging.score, judging.verdict), (2, None, None));
    assert_eq!(b.seen().len(), 4, "two answers, one question, one repair");
    b.every_call_was_noted();
}

#[tokio::test(start_paused = true)]
async fn the_repair_names_the_problem_and_is_enough() {
    let b = Bench::new(|number, request| match (&request.output, number) {
        (Some(_), 1) => Box::pin(async { reply("{}") }),
        _ => obliging(number, request),
    });
    let suite = b.suite(1, &[scripted(1)]).await;
    let _engine = b.engine().await;
    assert_eq!(b.finished(1, suite).await[0].status, RunStatus::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_is_away_costs_no_conversation() {
    let b = Bench::new(|number, request| match &request.output {
        None => obliging(number, request),
        Some(_) => Box::pin(async { failure(Decision::Retry) }),
    });
    let suite = b.suite(1, &[scripted(3)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.error.as_ref().map(|e| e.kind), Some(ErrorKind::EvaluationUnavailable));
    assert_eq!(b.said(run.id).await.len(), 6);

    // Run again: the copied conversation is only judged.
    b.answers(obliging);
    let before = b.seen().len();
    let copied = |suite: &mut store::suites::NewSuite| {
        suite.runs[0].source_run_id = Some(run.id);
        suite.runs[0].scenario = run.scenario.clone();
    };
    let again = b.suite_with(1, &[scripted(3)], copied).await;
    let judged = b.finished(1, again).await.remove(0);
    assert_eq!((judged.status, judged.turns), (RunStatus::Passed, 6));
    let new: Vec<_> = b.seen()[before..].iter().map(|seen| seen.role.clone()).collect();
    assert_eq!(new, [judge::EVALUATION], "no agent call");
}

#[tokio::test(start_paused = true)]
async fn judging_again_stands_beside_and_changes_no_run() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(1)]).await;
    let engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    b.answers(|_, _| Box::pin(async { rejected() }));
    let asked = clock::Clock::uuid(&b.clock).into();
    let again = domain::Evaluation::asked(asked, "m", 1, super::bench::T0);
    let judge = run.frozen.judge.clone();
    let row = store::rows::EvaluationRow::asked_for(&run, judge, again.clone());
    b.work.create_evaluation(store::suites::NewEvaluation { row, key: None }).await.unwrap();
    engine.wake();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let all = b.work.evaluations(run.id).await.unwrap();
    let stored = all.into_iter().find(|row| row.view.id == again.id).unwrap().view;
    assert_eq!(stored.status, EvaluationStatus::Error);
    assert_eq!(stored.error.map(|e| e.kind), Some(ErrorKind::EvaluationUnavailable));
    let untouched = b.work.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!((untouched.status, untouched.finished_at), (RunStatus::Passed, run.finished_at));
    b.every_call_was_noted();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_nothing_is_never_sent_to_the_judge() {
    let b = Bench::new(|_, request| {
        assert!(request.output.is_none(), "the judge is not asked");
        Box::pin(async { reply("  \u{200B} ") })
    });
    let suite = b.suite(1, &[scripted(2)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_check_names_the_turn_in_which_it_was_decided() {
    let b = Bench::new(obliging);
    let mut by_rule = scripted(2);
    by_rule["expected_behaviors"] = serde_json::json!([]);
    // The second answer counts three messages.
    by_rule["success_criteria"] =
        serde_json::json!({"must_include": ["Answer 3"], "must_not_include": ["Answer 4"]});
    let suite = b.suite(1, &[by_rule]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(b.said(run.id).await[3], "Answer 3 from the helpful agent.");
    let judging = b.work.evaluations(run.id).await.unwrap().remove(0).view;
    assert_eq!(judging.checks[0].detail, "said in turn 3");
    assert_eq!(run.status, RunStatus::Passed);
}
