//! Every run ends, alone, and with what was said.

use super::bench::{Bench, failure, obliging, rejected, reply, scripted, space};
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
        let b = Bench::new(move |number, request| {
            if number == k { Box::pin(async { rejected() }) } else { obliging(number, request) }
        });
        let suite = b.suite(1, &[scripted(6)]).await;
        let _engine = b.engine().await;
        let run = b.finished(1, suite).await.remove(0);
        assert_eq!((run.status, kind(&run)), (RunStatus::Error, Some(ErrorKind::ProviderRejected)));
        assert_eq!(b.said(run.id).await.len(), k * 2 + 1, "call {k} failed");
        assert_eq!((run.score, run.view().passed), (None, None), "an error is no failure");
        assert!(run.error.as_ref().unwrap().message.contains("the provider's own words"));
    }
}

#[tokio::test(start_paused = true)]
async fn outage_exhausts_retries_and_ends_run() {
    let b = Bench::new(|_, _| Box::pin(async { failure(Decision::Retry) }));
    let suite = b.suite(1, &[scripted(2)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(kind(&run), Some(ErrorKind::ProviderUnavailable));
    assert_eq!(b.seen().len(), 4, "four attempts, one layer");
}

#[tokio::test(start_paused = true)]
async fn silent_provider_times_out() {
    let b = Bench::new(|_, _| Box::pin(std::future::pending()));
    let mut scenario = scripted(2);
    scenario["timeout_seconds"] = json!(30);
    let suite = b.suite(1, &[scenario]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(kind(&run), Some(ErrorKind::Timeout));
    let took = run.finished_at.unwrap().since(run.started_at.unwrap());
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31), "{took:?}");
    assert_eq!(b.said(run.id).await, ["Question 0"]);
}

#[tokio::test(start_paused = true)]
async fn cancel_takes_effect_immediately() {
    let b = Bench::new(|number, request| {
        if number < 2 { obliging(number, request) } else { Box::pin(std::future::pending()) }
    });
    let suite = b.suite(1, &[scripted(5)]).await;
    let engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (asked, before) = (tokio::time::Instant::now(), b.seen().len());
    assert_eq!(before, 3, "the third call hangs");
    let now = clock::Clock::now(&b.clock);
    let told = b.work.cancel_suite(space(1), suite, now).await.unwrap().unwrap();
    engine.cancel(&told.leased_runs);
    let run = b.finished(1, suite).await.remove(0);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(b.said(run.id).await.len(), 5, "what was said is kept");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(b.seen().len(), before, "no call after it");
    assert_eq!(
        b.provider.flying.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "the call is dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn heartbeat_delivers_cancel_from_other_process() {
    let b = Bench::new(|_, _| Box::pin(std::future::pending()));
    let suite = b.suite(1, &[scripted(1)]).await;
    let _engine = b.engine().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (asked, now) = (tokio::time::Instant::now(), clock::Clock::now(&b.clock));
    // Only the flag in the database: nobody tells this process.
    b.work.cancel_suite(space(1), suite, now).await.unwrap().unwrap();
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!(run.status, RunStatus::Cancelled);
    assert!(asked.elapsed() <= Duration::from_secs(6), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn panic_ends_only_its_run() {
    let b = Bench::new(|number, request| {
        assert!(number != 1, "a fault in the middle of a run");
        obliging(number, request)
    });
    let all: Vec<_> = (0..5).map(|_| scripted(2)).collect();
    let suite = b.suite(1, &all).await;
    let _engine = b.engine().await;
    let runs = b.finished(1, suite).await;
    let internal = runs.iter().filter(|run| kind(run) == Some(ErrorKind::Internal)).count();
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    assert_eq!((internal, passed), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn corrupt_scenario_ends_only_its_run() {
    let b = Bench::new(obliging);
    let mut all: Vec<_> = (0..10).map(|_| scripted(1)).collect();
    all[4] = json!({"name": "S", "category": "support",
        "conversation_flow": [{"role": "user", "text": "of another shape"}]});
    let suite = b.suite(1, &all).await;
    let _engine = b.engine().await;
    let runs = b.finished(1, suite).await;
    assert_eq!(kind(&runs[4]), Some(ErrorKind::InvalidScenario));
    let message = &runs[4].error.as_ref().unwrap().message;
    assert!(message.contains("conversation_flow[0].speaker"), "{message}");
    assert_eq!(runs.iter().filter(|run| run.status == RunStatus::Passed).count(), 9);
}

#[tokio::test(start_paused = true)]
async fn bad_agent_is_failed_not_error() {
    let b = Bench::new(|number, request| match &request.output {
        None => obliging(number, request),
        Some(_) => {
            Box::pin(async move { reply(judge_reply(false, "from the helpful agent").to_string()) })
        }
    });
    let suite = b.suite(1, &[scripted(1)]).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    assert_eq!((run.status, run.score, run.error.clone()), (RunStatus::Failed, Some(0.0), None));
}

#[tokio::test(start_paused = true)]
async fn run_pending_for_a_day_ends_at_boot() {
    let b = Bench::new(obliging);
    let suite = b.suite(1, &[scripted(2)]).await;
    tokio::time::sleep(std::time::Duration::from_secs(25 * 3600)).await;
    let _engine = b.engine().await;
    let run = b.finished(1, suite).await.remove(0);
    let kind = run.error.as_ref().map(|error| error.kind);
    assert_eq!((run.status, kind), (RunStatus::Error, Some(ErrorKind::Abandoned)));
    assert_eq!(b.seen().len(), 0, "nothing was begun");
}
