//! What is logged about runs, and what is never logged.

use super::fixture::{Fixture, passing_reply, rejected, scripted};
use domain::ErrorKind;
use serde_json::{Value, json};
use telemetry::capture::Capture;
use tracing::Level;

/// A word that must not be logged.
const SAID: &str = "zebra-crossing";

#[tokio::test(start_paused = true)]
async fn each_end_is_one_log_line_without_conversation_text() {
    let (log, _captured) = Capture::new(Level::INFO);
    let f = Fixture::new(|number, request| match number {
        1 => panic!("about {SAID}"),
        2 => Box::pin(async {
            let mut failure = rejected();
            if let Err(error) = &mut failure {
                error.message = format!("You said {SAID}, which is not allowed.");
            }
            failure
        }),
        _ => passing_reply(number, request),
    });
    let mut scenario = scripted(2);
    scenario["conversation_flow"][0]["message"] = json!(SAID);
    let suite = f.suite_with(1, &vec![scenario; 4], |suite| suite.concurrency = 1).await;
    let _engine = f.start().await;
    let runs = f.finished(1, suite).await;

    let lines = log.lines();
    for run in &runs {
        let ends: Vec<_> = ended(&lines, "run ended")
            .filter(|line| line["fields"]["run"] == run.id.to_string())
            .collect();
        assert_eq!(ends.len(), 1, "{ends:?}");
        let fields = &ends[0]["fields"];
        assert_eq!(fields["suite"], suite.to_string());
        assert_eq!(fields["status"], run.status.as_str());
        assert_eq!(fields["kind"].as_str(), run.error.as_ref().map(|error| error.kind.as_str()));
        assert_eq!(fields["lease_epoch"], run.lease_epoch);
        assert_eq!(fields["duration_ms"].as_u64(), run.view().duration_ms);
    }
    let suites: Vec<_> = ended(&lines, "suite ended").collect();
    assert_eq!(suites.len(), 1);
    assert_eq!(suites[0]["fields"]["suite"], suite.to_string());
    assert_eq!(suites[0]["fields"]["passed"], 2);

    // The panic is logged within the span of its run.
    let panicked = |run: &&store::rows::RunRow| {
        run.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Internal)
    };
    let run = runs.iter().find(panicked).expect("one panicked");
    let panics: Vec<_> = ended(&lines, "panicked; this ends as an internal error").collect();
    assert_eq!(panics.len(), 1);
    assert_eq!(panics[0]["span"]["run"], run.id.to_string());
    assert_eq!(panics[0]["span"]["suite"], suite.to_string());
    assert!(!log.text().contains(SAID), "{}", log.text());
}

fn ended<'a>(lines: &'a [Value], message: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["fields"]["message"] == message)
}
