//! An unavailable judge loses no conversation, and no verdict exists without a readable
//! reply.

use super::fixture::{Fixture, failure, passing_reply, rejected, reply, scripted, space};
use domain::{ErrorKind, EvaluationStatus, FinishReason, RunStatus};
use llm::{ChatReply, Decision};
use mock_provider::judge_reply;
use rstest::rstest;
use std::time::Duration;
use store::suites::SuiteStore;

#[tokio::test(start_paused = true)]
async fn unreadable_judge_gives_no_verdict_and_raw_reply_is_kept() {
    let f = Fixture::new(|number, request| match &request.output {
        None => passing_reply(number, request),
        Some(_) => Box::pin(async move { reply(format!("I would say 50, number {number}")) }),
    });
    let run = f.run(scripted(2)).await;
    assert_eq!(run.error.as_ref().map(|e| e.kind), Some(ErrorKind::EvaluationUnparseable));
    assert_eq!((run.status, run.score), (RunStatus::Error, None));
    let evaluation = f.queue.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!(evaluation.raw_reply.as_deref(), Some("I would say 50, number 3"));
    assert_eq!((evaluation.judge_calls, evaluation.score, evaluation.verdict), (2, None, None));
    assert_eq!(f.received_calls().len(), 4, "two agent calls, two judge calls");
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn second_request_names_problem() {
    let f = Fixture::new(|number, request| match (&request.output, number) {
        (Some(_), 1) => Box::pin(async { reply("{}") }),
        _ => passing_reply(number, request),
    });
    let suite = f.suite(1, &[scripted(1)]).await;
    let _engine = f.start().await;
    assert_eq!(f.finished(1, suite).await[0].status, RunStatus::Passed);
}

#[tokio::test(start_paused = true)]
async fn unavailable_judge_keeps_conversation() {
    let f = Fixture::new(|number, request| match &request.output {
        None => passing_reply(number, request),
        Some(_) => Box::pin(async { failure(Decision::Retry) }),
    });
    let run = f.run(scripted(3)).await;
    assert_eq!(run.error.as_ref().map(|e| e.kind), Some(ErrorKind::EvaluationUnavailable));
    assert_eq!(f.messages(run.id).await.len(), 6);

    // A rerun copies the conversation and only judges it.
    f.set_script(passing_reply);
    let before = f.received_calls().len();
    let copied = |suite: &mut store::suites::NewSuite| {
        suite.runs[0].source_run_id = Some(run.id);
        suite.runs[0].scenario = run.scenario.clone();
    };
    let rerun = f.suite_with(1, &[scripted(3)], copied).await;
    let judged = f.finished(1, rerun).await.remove(0);
    assert_eq!((judged.status, judged.turns), (RunStatus::Passed, 6));
    let new: Vec<_> = f.received_calls()[before..].iter().map(|call| call.role.clone()).collect();
    assert_eq!(new, [judge::EVALUATION_SCHEMA], "no agent call");
}

#[tokio::test(start_paused = true)]
async fn rejudge_does_not_change_run() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(1)]).await;
    let engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    f.set_script(|_, _| Box::pin(async { rejected() }));
    let id = f.rejudge(&run).await;
    engine.wake();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let stored = f.evaluation(&run, id).await.evaluation;
    assert_eq!(stored.status, EvaluationStatus::Error);
    assert_eq!(stored.error.map(|e| e.kind), Some(ErrorKind::EvaluationUnavailable));
    let untouched = f.queue.run(space(1), run.id).await.unwrap().unwrap();
    assert_eq!((untouched.status, untouched.finished_at), (RunStatus::Passed, run.finished_at));
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn silent_agent_is_not_sent_to_judge() {
    let f = Fixture::new(|_, request| {
        assert!(request.output.is_none(), "the judge is not called");
        Box::pin(async { reply("  \u{200B} ") })
    });
    let run = f.run(scripted(2)).await;
    assert_eq!(run.status, RunStatus::Failed);
}

#[rstest]
#[case::filter(FinishReason::ContentFilter)]
#[case::refusal(FinishReason::Refusal)]
#[tokio::test(start_paused = true)]
async fn blank_answer_that_was_filtered_or_refused_is_judged(#[case] finish: FinishReason) {
    let f = Fixture::new(move |_, request| {
        let judged = request.output.is_some();
        Box::pin(async move {
            if judged { reply("{}") } else { Ok(ChatReply { finish, ..reply(" ")? }) }
        })
    });
    let run = f.run(scripted(2)).await;
    let kind = run.error.as_ref().map(|e| e.kind);
    assert_eq!(kind, Some(ErrorKind::EvaluationUnparseable), "the judge was called");
    assert_eq!(f.transcript(run.id).await[1].finish, Some(finish));
}

#[rstest]
#[case::corrected("The words of the agent", RunStatus::Passed)]
#[case::misquoted_again("Words that nobody said", RunStatus::Inconclusive)]
#[tokio::test(start_paused = true)]
async fn misquoted_item_is_requested_once_more(
    #[case] second: &'static str,
    #[case] status: RunStatus,
) {
    let f = Fixture::new(move |number, request| {
        let judged = request.output.is_some();
        Box::pin(async move {
            match (judged, number) {
                (false, _) => reply("The words of the agent."),
                (true, 1) => reply(judge_reply(true, "Words that nobody said").to_string()),
                (true, _) => reply(judge_reply(true, second).to_string()),
            }
        })
    });
    let run = f.run(scripted(1)).await;
    assert_eq!(run.status, status);
    let evaluation = f.queue.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!(evaluation.judge_calls, 2);
}

#[tokio::test(start_paused = true)]
async fn run_without_criteria_is_inconclusive() {
    let f = Fixture::new(|_, request| {
        assert!(request.output.is_none(), "the judge is not called");
        Box::pin(async { reply("Hello, how can I help you?") })
    });
    let mut unchecked = scripted(1);
    unchecked["expected_behaviors"] = serde_json::json!([]);
    let run = f.run(unchecked).await;
    assert_eq!((run.status, run.score), (RunStatus::Inconclusive, None));
    let evaluation = f.queue.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert!(evaluation.summary.starts_with("Nothing to check:"), "{}", evaluation.summary);
}

#[tokio::test(start_paused = true)]
async fn check_names_deciding_turn() {
    let f = Fixture::new(passing_reply);
    let mut by_rule = scripted(2);
    by_rule["expected_behaviors"] = serde_json::json!([]);
    // The second request has three messages.
    by_rule["success_criteria"] =
        serde_json::json!({"must_include": ["Answer 3"], "must_not_include": ["Answer 4"]});
    let run = f.run(by_rule).await;
    assert_eq!(f.messages(run.id).await[3], "Answer 3 from the helpful agent.");
    let evaluation = f.queue.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!(evaluation.checks[0].detail, "found in turn 3");
    assert_eq!(run.status, RunStatus::Passed);
}
