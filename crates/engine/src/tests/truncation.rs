//! Models that use up their token limit before they say anything.

use super::fixture::{Answer, Fixture, passing_reply, scripted};
use domain::{ErrorKind, EvaluationStatus, FinishReason, RunStatus};
use llm::{ChatReply, ChatRequest};
use parking_lot::Mutex;
use rstest::rstest;
use std::sync::Arc;
use store::suites::SuiteStore;

/// Calls of the agent (`None`) or the judge are cut off while `cut` says so, and their
/// limits are recorded.
fn cut_off_while(
    is_cut: fn(&ChatRequest, usize) -> bool,
    limits: Arc<Mutex<Vec<u32>>>,
) -> impl Fn(usize, ChatRequest) -> Answer + Send + Sync + 'static {
    move |number, request| {
        let limits = limits.clone();
        Box::pin(async move {
            let seen = limits.lock().len();
            let cut = is_cut(&request, seen);
            if cut || seen > 0 {
                limits.lock().push(request.max_tokens);
            }
            let reply = passing_reply(number, request).await?;
            let text = if cut { String::new() } else { reply.text.clone() };
            let finish = if cut { FinishReason::Length } else { reply.finish };
            Ok(ChatReply { text, finish, ..reply })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn blank_agent_reply_at_the_limit_is_requested_once_more_with_twice_the_limit() {
    let limits = Arc::default();
    let is_cut = |request: &ChatRequest, seen| request.output.is_none() && seen == 0;
    let f = Fixture::new(cut_off_while(is_cut, Arc::clone(&limits)));
    let run = f.run(scripted(1)).await;
    assert_eq!(run.status, RunStatus::Passed);
    assert_eq!(limits.lock()[..2], [1024, 2048]);
    assert_eq!((run.usage.agent.calls, run.turns), (2, 2), "both calls count, one is a turn");
    f.assert_every_call_has_an_intent();
}

#[tokio::test(start_paused = true)]
async fn two_blank_agent_replies_at_the_limit_are_no_verdict() {
    let limits = Arc::default();
    let f = Fixture::new(cut_off_while(|request, _| request.output.is_none(), Arc::clone(&limits)));
    let run = f.run(scripted(1)).await;
    let error = run.error.as_ref().expect("an error");
    assert_eq!((run.status, error.kind), (RunStatus::Error, ErrorKind::Truncated));
    assert!(error.message.contains("max tokens"), "{}", error.message);
    assert_eq!(*limits.lock(), [1024, 2048]);
    assert_eq!((run.usage.agent.calls, run.turns), (2, 1), "the usage of both is stored");
    f.assert_every_call_has_an_intent();
}

#[rstest]
#[case::once(1, RunStatus::Passed, EvaluationStatus::Done)]
#[case::twice(2, RunStatus::Error, EvaluationStatus::Error)]
#[tokio::test(start_paused = true)]
async fn judge_reply_at_the_limit(
    #[case] times: usize,
    #[case] status: RunStatus,
    #[case] evaluated: EvaluationStatus,
) {
    let limits = Arc::default();
    let is_cut: fn(&ChatRequest, usize) -> bool = match times {
        1 => |request, seen| request.output.is_some() && seen == 0,
        _ => |request, _| request.output.is_some(),
    };
    let f = Fixture::new(cut_off_while(is_cut, Arc::clone(&limits)));
    let run = f.run(scripted(1)).await;
    let evaluation = f.queue.evaluations(run.id).await.unwrap().remove(0).evaluation;
    assert_eq!((run.status, evaluation.status), (status, evaluated));
    assert_eq!(*limits.lock(), [2048, 4096]);
    assert_eq!((evaluation.judge_calls, evaluation.truncated), (2, times == 2));
    assert_eq!(evaluation.earlier_reply.as_deref(), Some(""));
    let truncated = (times == 2).then_some(ErrorKind::Truncated);
    assert_eq!(run.error.as_ref().map(|error| error.kind), truncated);
}
