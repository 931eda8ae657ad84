//! An outage ends: pending runs give up together, and a rerun continues.

use super::fixture::{Fixture, connection, failure, passing_reply, scripted, user};
use clock::Clock;
use domain::{ErrorKind, RunStatus, Timestamp, WaitReason};
use llm::{CallError, Cause, Decision};
use std::time::Duration;
use store::rows::{ModelRef, RunRow};
use store::suites::NewSuite;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(900);

fn kind(run: &RunRow) -> Option<ErrorKind> {
    run.error.as_ref().map(|error| error.kind)
}

/// A provider that never answers again after this number of calls.
fn dead_after(calls: usize) -> Fixture {
    Fixture::new(move |number, request| {
        if number >= calls {
            return Box::pin(async { failure(Decision::Retry) });
        }
        passing_reply(number, request)
    })
}

fn last_end(runs: &[RunRow]) -> Timestamp {
    runs.iter().filter_map(|run| run.finished_at).max().expect("finished")
}

#[tokio::test(start_paused = true)]
async fn dead_provider_ends_a_suite_within_the_limit_and_a_rerun_does_the_rest() {
    // Of a small suite, every run may have tried by then.
    assert_ends_and_continues(10, 0).await;
    assert_ends_and_continues(40, 20).await;
}

/// A provider that is dead from call 9 on ends a suite of this many runs. At least
/// `not_begun` of them never begin.
async fn assert_ends_and_continues(total: usize, not_begun: usize) {
    let f = dead_after(8);
    let suite = f.suite(1, &vec![scripted(3); total]).await;
    let engine = f.start().await;
    let runs = f.finished(1, suite).await;
    assert_eq!(runs.len(), total, "every run is there");
    let took = last_end(&runs).since(runs[0].created_at);
    assert!(took <= LIMIT + MINUTE / 2, "{took:?}");
    let (passed, errors): (Vec<&RunRow>, Vec<&RunRow>) =
        runs.iter().partition(|run| run.status == RunStatus::Passed);
    let given_up: Vec<_> = errors.iter().filter(|run| run.started_at.is_none()).collect();
    assert!(given_up.len() >= not_begun, "{} never began", given_up.len());
    for run in &given_up {
        let error = run.error.as_ref().expect("an error");
        assert_eq!((error.kind, error.retryable), (ErrorKind::CircuitOpen, true));
        assert!(
            error
                .message
                .starts_with("Not begun: no call on this connection succeeded for 15 min.")
        );
        assert_eq!(run.finished_at, given_up[0].finished_at, "together");
    }
    // The provider works again, and the user presses "Re-run errors".
    f.set_script(passing_reply);
    tokio::time::sleep(3 * MINUTE).await;
    let before = f.received_calls().len();
    let scenarios = vec![scripted(3); errors.len()];
    let again = f.suite_with(1, &scenarios, |suite| {
        for (new, run) in suite.runs.iter_mut().zip(&errors) {
            new.scenario = run.scenario.clone();
            new.source_run_id = (run.turns > 0).then_some(run.id);
        }
    });
    let again = f.finished(1, again.await).await;
    assert!(again.iter().all(|run| run.status == RunStatus::Passed), "{again:?}");
    assert_eq!(passed.len() + again.len(), total);
    let said: u32 = errors.iter().map(|run| run.turns / 2).sum();
    let needed = errors.len() * 4 - said as usize;
    assert_eq!(f.received_calls().len() - before, needed, "stored turns are not paid for again");
    drop(engine);
}

#[tokio::test(start_paused = true)]
async fn restart_does_not_prolong_an_outage() {
    let f = dead_after(0);
    let suite = f.suite(1, &vec![scripted(1); 60]).await;
    for _ in 0..2 {
        let engine = f.start().await;
        tokio::time::sleep(5 * MINUTE).await;
        engine.kill().await;
    }
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let took = last_end(&runs).since(runs[0].created_at);
    assert!(took >= LIMIT && took <= LIMIT + MINUTE / 2, "{took:?}");
    let given_up = runs.iter().filter(|run| run.started_at.is_none()).count();
    assert!(given_up >= 5, "{given_up} never began");
}

#[tokio::test(start_paused = true)]
async fn success_ends_an_outage() {
    let f = Fixture::new(passing_reply);
    // Two outages of ten minutes, with four working minutes in between.
    let (clock, start) = (f.clock, f.clock.now());
    f.set_script(move |number, request| {
        let at = clock.now().since(start);
        if at < 10 * MINUTE || (14 * MINUTE..24 * MINUTE).contains(&at) {
            return Box::pin(async { failure(Decision::Retry) });
        }
        Box::pin(async move {
            tokio::time::sleep(20 * SECOND).await;
            passing_reply(number, request).await
        })
    });
    let suite = f.suite(1, &vec![scripted(1); 60]).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    assert!(runs.iter().all(|run| run.started_at.is_some()), "no run gave up");
}

/// A provider that rejects the key.
fn unauthorized(until: Timestamp, f: &Fixture) {
    let clock = f.clock;
    f.set_script(move |number, request| {
        if clock.now() >= until {
            return passing_reply(number, request);
        }
        let decision = Decision::GiveUp(ErrorKind::CredentialInvalid);
        let rejected =
            CallError { status: Some(401), ..CallError::new(decision, "No such key (401).") };
        Box::pin(async move { Err(rejected) })
    });
}

#[tokio::test(start_paused = true)]
async fn suspended_connection_does_not_burn_the_queue() {
    let f = Fixture::new(passing_reply);
    unauthorized(f.clock.now().plus(1000 * MINUTE), &f);
    let suite = f.suite(1, &vec![scripted(1); 500]).await;
    let _engine = f.start().await;
    tokio::time::sleep(MINUTE).await;
    let ended: Vec<_> = f.runs(1, suite).await;
    let ended: Vec<_> = ended.iter().filter(|run| run.status.is_final()).collect();
    assert!((1..=3).contains(&ended.len()), "only what had begun ends: {}", ended.len());
    assert!(ended.iter().all(|run| kind(run) == Some(ErrorKind::CredentialInvalid)));
    let runs = f.finished(1, suite).await;
    let took = last_end(&runs).since(runs[0].created_at);
    assert!(took <= LIMIT + 10 * SECOND, "{took:?}");
    let given_up: Vec<_> = runs.iter().filter(|run| run.started_at.is_none()).collect();
    assert!(given_up.len() >= 494, "{}", given_up.len());
    for run in given_up {
        let error = run.error.as_ref().expect("an error");
        assert_eq!(error.kind, ErrorKind::CircuitOpen);
        assert!(error.message.contains("No such key (401)."), "{}", error.message);
    }
    assert!(f.received_calls().len() <= 6, "one probe every five minutes");
}

/// A suite whose judge is another model than the one under test.
fn with_other_judge(suite: &mut NewSuite) {
    suite.model_snapshot.judge.model_ref.model = "judge".into();
}

/// A 403 for the model under test; the calls of the judge, another model, succeed.
#[tokio::test(start_paused = true)]
async fn suspended_model_does_not_burn_the_queue() {
    let f = Fixture::new(passing_reply);
    let over = f.clock.now().plus(7 * MINUTE);
    let clock = f.clock;
    f.set_script(move |number, request| {
        if request.model != "m" || clock.now() >= over {
            return passing_reply(number, request);
        }
        let decision = Decision::GiveUp(ErrorKind::ProviderRejected);
        let mut forbidden =
            CallError { status: Some(403), ..CallError::new(decision, "Not this model (403).") };
        forbidden.cause = Cause::Forbidden;
        Box::pin(async move { Err(forbidden) })
    });
    let suite = f.suite_with(1, &vec![scripted(1); 60], with_other_judge).await;
    let engine = f.start().await;
    tokio::time::sleep(MINUTE).await;
    let runs = f.runs(1, suite).await;
    let ended = runs.iter().filter(|run| run.status.is_final()).count();
    assert!((1..=3).contains(&ended), "only what had begun ends: {ended}");
    let model = ModelRef { connection_id: connection(), model: "m".into() };
    let wait = engine.expected_wait(user(1), &model).expect("pending runs show their wait");
    assert!(wait.what == WaitReason::Circuit && wait.until.is_some(), "{wait:?}");
    let other = ModelRef { model: "judge".into(), ..model };
    assert_eq!(engine.expected_wait(user(1), &other), None, "other models are not affected");
    // The next trial call, ten minutes after the 403, is accepted.
    let runs = f.finished(1, suite).await;
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    assert!(passed >= 56, "{passed}");
    let errors = runs.iter().filter(|run| kind(run) == Some(ErrorKind::ProviderRejected)).count();
    assert_eq!(passed + errors, 60);
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_model_that_stays_suspended_give_up_together() {
    let f = Fixture::new(passing_reply);
    f.set_script(|number, request| {
        if request.model != "m" {
            return passing_reply(number, request);
        }
        let decision = Decision::GiveUp(ErrorKind::ProviderRejected);
        let mut forbidden =
            CallError { status: Some(403), ..CallError::new(decision, "Not this model (403).") };
        forbidden.cause = Cause::Forbidden;
        Box::pin(async move { Err(forbidden) })
    });
    let suite = f.suite_with(1, &vec![scripted(1); 60], with_other_judge).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;
    let took = last_end(&runs).since(runs[0].created_at);
    assert!(took <= LIMIT + 10 * SECOND, "{took:?}");
    let given_up = runs.iter().filter(|run| run.started_at.is_none());
    let messages: Vec<_> =
        given_up.filter_map(|run| Some(run.error.as_ref()?.message.clone())).collect();
    assert!(messages.len() >= 50, "{}", messages.len());
    let expected = "Not begun: no call of this model on this connection succeeded for 15 min.";
    assert!(messages.iter().all(|message| message.starts_with(expected)), "{}", messages[0]);
}

#[tokio::test(start_paused = true)]
async fn pending_runs_start_when_a_suspension_ends() {
    let f = Fixture::new(passing_reply);
    unauthorized(f.clock.now().plus(2 * MINUTE), &f);
    let suite = f.suite(1, &vec![scripted(1); 20]).await;
    let outbound = f.outbound();
    let _engine = f.start_with_outbound(outbound.clone()).await;
    tokio::time::sleep(3 * MINUTE).await;
    // The user saved the connection.
    outbound.clear_suspensions(connection());
    let runs = f.finished(1, suite).await;
    let passed = runs.iter().filter(|run| run.status == RunStatus::Passed).count();
    assert!(passed >= 17, "{passed}");
    assert!(last_end(&runs).since(runs[0].created_at) < 5 * MINUTE);
}
