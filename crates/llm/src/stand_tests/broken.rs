//! Answers that do not come, stop, trickle, are cut off or never end.

use super::{BOTH, OPTIONS, rig, rig_with};
use crate::http::HttpOptions;
use crate::testing::ask;
use llm_types::Decision;
use domain::ConnectionKind;
use mock_provider::{Action, Outcome, Rule, Script, Stand};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn an_answer_that_stops_coming_is_given_up() {
    let options = HttpOptions { idle_timeout: Duration::from_millis(100), ..OPTIONS };
    for kind in BOTH {
        let drip = Script::of([Rule::always(Action::Drip { every_ms: 2_000 })]);
        let rig = rig_with(kind, drip, options).await;
        let error = rig.error().await;
        assert_eq!(error.decision, Decision::Retry);
        assert!(error.message.contains("stopped in the middle"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_model_may_think_for_longer_than_it_may_pause() {
    let options = HttpOptions { idle_timeout: Duration::from_millis(100), ..OPTIONS };
    let slow = Script { latency_ms: 400, ..Script::default() };
    let rig = rig_with(ConnectionKind::OpenAi, slow, options).await;
    assert!(rig.ask(&ask("hi")).await.is_ok());
}

#[tokio::test]
async fn a_trickle_that_never_pauses_ends_at_the_call_s_own_limit() {
    let drip = Action::Drip { every_ms: 30 }; // some 300 bytes: 9 s
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::first(1, drip)])).await;
    let (outbound, began) = (rig.outbound(), Instant::now());
    let reply =
        rig.call(&outbound, Duration::from_millis(300)).await.expect("the second attempt answers");
    assert_eq!(reply.attempts, 2);
    assert!(reply.latency < Duration::from_millis(300) && began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_hanging_server_is_left_and_sees_it() {
    let rig = rig(ConnectionKind::Anthropic, Script::of([Rule::first(1, Action::Hang)])).await;
    let outbound = rig.outbound();
    let reply =
        rig.call(&outbound, Duration::from_millis(200)).await.expect("the second attempt answers");
    assert_eq!(reply.attempts, 2);
    assert_eq!(outcomes(&rig.stand).await, [Outcome::Dropped, Outcome::Answered(200)]);
}

#[tokio::test]
async fn dropping_a_call_ends_it_at_the_server() {
    let rig = rig(ConnectionKind::OpenAi, Script::of([Rule::always(Action::Hang)])).await;
    let outbound = rig.outbound();
    let call = rig.call(&outbound, Duration::from_secs(60));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    assert_eq!(outcomes(&rig.stand).await, [Outcome::Dropped]);
}

/// The outcomes, once none is open: the server hears of a drop a moment later.
async fn outcomes(stand: &Stand) -> Vec<Outcome> {
    for _ in 0..200 {
        let outcomes: Vec<Outcome> = stand.journal().iter().map(|entry| entry.outcome).collect();
        if !outcomes.contains(&Outcome::Open) {
            return outcomes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stand.journal().iter().map(|entry| entry.outcome).collect()
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    for kind in BOTH {
        let began = Instant::now();
        let rig = rig(kind, Script::of([Rule::always(Action::Huge(500 * 1024 * 1024))])).await;
        let error = rig.error().await;
        assert_eq!(error.decision, Decision::Retry);
        assert!(error.message.contains("larger than 1 MiB"), "{}", error.message);
        assert!(began.elapsed() < Duration::from_secs(2), "500 MB were not sent");
    }
}

#[test]
fn answers_are_cut_off_at_four_mebibytes() {
    use crate::http::Transport;
    let options = HttpOptions::default();
    assert_eq!(options.max_body, 4 * 1024 * 1024);
    let said = Transport::TooLarge(options.max_body).to_string();
    assert!(said.contains("4 MiB"), "{said}");
}

#[tokio::test]
async fn a_cut_answer_is_tried_again() {
    for kind in BOTH {
        let rig = rig(kind, Script::of([Rule::first(2, Action::Cut)])).await;
        let reply = rig.call(&rig.outbound(), Duration::from_secs(10)).await.expect("a reply");
        assert_eq!((reply.attempts, rig.stand.journal().len()), (3, 3));
    }
}
