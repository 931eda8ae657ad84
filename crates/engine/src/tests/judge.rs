//! The conversation outlives its judge, and no verdict comes out of nothing.

use super::bench::{Bench, failure, obliging, rejected, reply, scripted, space};
use domain::{ErrorKind, EvaluationStatus, RunStatus};
use llm::Decision;
use std::time::Duration;
use store::suites::SuiteStore;

#[tokio::test(start_paused = true)]
async fn unreadable_judge_gives_no_verdict_and_raw_reply_is_kept() {
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
async fn repair_request_names_problem() {
    let b = Bench::new(|number, request| match (&request.output, number) {
        (Some(_), 1) => Box::pin(async { reply("{}") }),
        _ => obliging(number, request),
    });
    let suite = b.suite(1, &[scripted(1)]).await;
    let _engine = b.engine().await;
    assert_eq!(b.finished(1, suite).await[0].status, RunStatus::Passed);
}

#[tokio::test(start_paused = true)]
async fn unavailable_judge_keeps_conversation() {
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
    assert_eq!(new, [judge::EVALUATION_SCHEMA], "no agent call");
}

#[tokio::test(start_paused = true)]
async fn rejudge_does_not_change_run() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(1)]).await;
    let engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    b.answers(|_, _| Box::pin(async { rejected() }));
    let asked = clock::Clock::uuid(&b.clock).into();
    let again = domain::Evaluation::pending(asked, "m", 1, super::bench::T0);
    let judge = run.model_snapshot.judge.clone();
    let row = store::rows::EvaluationRow::requested(&run, judge, again.clone());
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
async fn silent_agent_is_not_sent_to_judge() {
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
async fn check_names_deciding_turn() {
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
    assert_eq!(judging.checks[0].detail, "found in turn 3");
    assert_eq!(run.status, RunStatus::Passed);
}
