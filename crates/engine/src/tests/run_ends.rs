//! How runs end: each by itself, and with its messages.

use super::fixture::{Fixture, failure, passing_reply, rejected, reply, scripted, space};
use domain::{ErrorKind, RunStatus};
use llm::Decision;
use mock_provider::judge_reply;
use serde_json::json;
use std::time::Duration;
use store::suites::SuiteStore;

fn kind(run: &store::rows::RunRow) -> Option<ErrorKind> {
    run.error.as_ref().map(|error| error.kind)
}

#[tokio::test(start_paused = true)]
async fn failed_call_keeps_earlier_turns() {
    for k in 0..6 {
        let f = Fixture::new(move |number, request| {
            if number == k {
                Box::pin(async { rejected() })
            } else {
                passing_reply(number, request)
            }
        });
        let run = f.run(scripted(6)).await;
        assert_eq!((run.status, kind(&run)), (RunStatus::Error, Some(ErrorKind::ProviderRejected)));
        assert_eq!(f.messages(run.id).await.len(), k * 2 + 1, "call {k} failed");
        assert_eq!((run.score, run.view().passed), (None, None), "an error is not a failed run");
        assert!(run.error.as_ref().unwrap().message.contains("the error text of the provider"));
    }
}

#[tokio::test(start_paused = true)]
async fn outage_exhausts_retries_and_ends_run() {
    let f = Fixture::new(|_, _| Box::pin(async { failure(Decision::Retry) }));
    let run = f.run(scripted(2)).await;
    assert_eq!(kind(&run), Some(ErrorKind::ProviderUnavailable));
    assert_eq!(f.received_calls().len(), 4, "four attempts in total");
}

#[tokio::test(start_paused = true)]
async fn silent_provider_times_out() {
    let f = Fixture::new(|_, _| Box::pin(std::future::pending()));
    let mut scenario = scripted(2);
    scenario["timeout_seconds"] = json!(30);
    let run = f.run(scenario).await;
    assert_eq!(kind(&run), Some(ErrorKind::Timeout));
    let took = run.finished_at.unwrap().since(run.started_at.unwrap());
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31), "{took:?}");
    assert_eq!(f.messages(run.id).await, ["Question 0"]);
}

#[tokio::test(start_paused = true)]
async fn cancel_takes_effect_immediately() {
    let f = Fixture::new(|number, request| {
        if number < 2 { passing_reply(number, request) } else { Box::pin(std::future::pending()) }
    });
    let suite = f.suite(1, &[scripted(5)]).await;
    let engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (requested, before) = (tokio::time::Instant::now(), f.received_calls().len());
    assert_eq!(before, 3, "the third call hangs");
    let now = clock::Clock::now(&f.clock);
    let outcome = f.queue.cancel_suite(space(1), suite, now).await.unwrap().unwrap();
    engine.cancel(&outcome.leased_runs);
    let run = f.finished(1, suite).await.remove(0);
    assert!(requested.elapsed() < Duration::from_secs(1), "{:?}", requested.elapsed());
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(f.messages(run.id).await.len(), 5, "the messages are kept");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(f.received_calls().len(), before, "no call after it");
    assert_eq!(
        f.provider.in_flight.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "the call is dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn heartbeat_delivers_cancel_from_other_process() {
    let f = Fixture::new(|_, _| Box::pin(std::future::pending()));
    let suite = f.suite(1, &[scripted(1)]).await;
    let _engine = f.start().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (requested, now) = (tokio::time::Instant::now(), clock::Clock::now(&f.clock));
    // Only stored: the engine of this process is not called.
    f.queue.cancel_suite(space(1), suite, now).await.unwrap().unwrap();
    let run = f.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert!(requested.elapsed() <= Duration::from_secs(6), "{:?}", requested.elapsed());
}

#[tokio::test(start_paused = true)]
async fn panic_ends_only_its_run() {
    let f = Fixture::new(|number, request| {
        assert!(number != 1, "a fault in the middle of a run");
        passing_reply(number, request)
    });
    let all = vec![scripted(2); 5];
    let suite = f.suite(1, &all).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let internal = runs.iter().filter(|run| kind(run) == Some(ErrorKind::Internal)).count();
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    assert_eq!((internal, passed), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn corrupt_scenario_ends_only_its_run() {
    let f = Fixture::new(passing_reply);
    let mut all = vec![scripted(1); 10];
    all[4] = json!({"name": "S", "category": "support",
        "conversation_flow": [{"role": "user", "text": "of another shape"}]});
    let suite = f.suite(1, &all).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    assert_eq!(kind(&runs[4]), Some(ErrorKind::InvalidScenario));
    let message = &runs[4].error.as_ref().unwrap().message;
    assert!(message.contains("conversation_flow[0].speaker"), "{message}");
    assert_eq!(runs.iter().filter(|run| run.status == RunStatus::Passed).count(), 9);
}

#[tokio::test(start_paused = true)]
async fn bad_agent_is_failed_not_error() {
    let f = Fixture::new(|number, request| match &request.output {
        None => passing_reply(number, request),
        Some(_) => {
            Box::pin(async move { reply(judge_reply(false, "from the helpful agent").to_string()) })
        }
    });
    let run = f.run(scripted(1)).await;
    assert_eq!((run.status, run.score, run.error.clone()), (RunStatus::Failed, Some(0.0), None));
}

#[tokio::test(start_paused = true)]
async fn run_pending_for_a_day_ends_at_boot() {
    let f = Fixture::new(passing_reply);
    let suite = f.suite(1, &[scripted(2)]).await;
    tokio::time::sleep(std::time::Duration::from_secs(25 * 3600)).await;
    let _engine = f.start().await;
    let run = f.finished(1, suite).await.remove(0);
    let kind = run.error.as_ref().map(|error| error.kind);
    assert_eq!((run.status, kind), (RunStatus::Error, Some(ErrorKind::Abandoned)));
    assert_eq!(f.received_calls().len(), 0, "no run started");
}
