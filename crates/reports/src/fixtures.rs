//! Suites and runs for tests, with a text of the test in every field that users and models write.

use crate::{Format, Report, ReportWriter};
use domain::{Run, RunStatus, Suite, Timestamp};
use serde_json::{Value, json};

/// The statuses of the runs of one suite. Two runs are the repeats of one scenario.
pub const EVERY_STATUS: &[RunStatus] = &[
    RunStatus::Passed,
    RunStatus::Failed,
    RunStatus::Inconclusive,
    RunStatus::Error,
    RunStatus::Cancelled,
    RunStatus::Pending,
    RunStatus::Running,
    RunStatus::Passed,
];

/// An id that contains `number`.
#[must_use]
pub fn id(number: usize) -> String {
    format!("01890000-0000-7000-8000-{number:012}")
}

fn evaluation(status: RunStatus, text: &str) -> Value {
    let failed = status == RunStatus::Failed;
    let verdict = if status.passed().is_some() { status.as_str() } else { "inconclusive" };
    json!({
        "id": id(7), "status": "done", "is_first": true, "score": 50.0, "judge_score": null,
        "verdict": verdict, "summary": text,
        "items": [{
            "kind": "behavior", "text": text, "required": true, "met": !failed,
            "basis": "evidence", "reason": text, "verified": true,
            "evidence": [{"turn": 1, "quote": text, "verified": true}],
        }],
        "checks": [{"check": format!("must_include \"{text}\""), "ok": !failed, "detail": text}],
        "issues": [text], "recommendations": [text], "judge_model": "m", "prompt_version": 1,
        "raw_reply": text, "latency_ms": 5, "input_tokens": 1, "output_tokens": 1,
        "error": null, "created_at": "2026-01-31T12:00:00Z", "finished_at": null,
    })
}

fn turn(index: usize, speaker: &str, text: &str) -> Value {
    let is_agent = speaker == "agent";
    let call = json!([{"id": "c", "name": "look", "arguments": {"text": text}}]);
    json!({
        "index": index, "speaker": speaker, "message": text,
        "tool_calls": if is_agent { call } else { json!([]) }, "tool": null, "finish": null,
        "latency_ms": is_agent.then_some(120), "input_tokens": null, "output_tokens": null,
        "at": "2026-01-31T12:00:00Z",
    })
}

/// A run with its transcript and evaluation. Two runs share a scenario.
///
/// # Panics
/// If the fixture is not a run.
#[must_use]
pub fn run(number: usize, status: RunStatus, text: &str) -> Run {
    let error = json!({"kind": "rate_limited", "message": text, "retryable": true});
    let usage = json!({"calls": 1, "input_tokens": 10, "output_tokens": 2, "cost_usd": null});
    let evaluations = match status {
        RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive => {
            vec![evaluation(status, text)]
        }
        _ => Vec::new(),
    };
    let run = json!({
        "id": id(100 + number), "suite_id": id(1), "source_run_id": null,
        "agent": {"id": id(2), "revision": 3, "name": text},
        "scenario": {"id": id(10 + number / 2), "revision": 1, "name": text},
        "repetition": number % 2 + 1, "status": status.as_str(), "stage": null,
        "waiting_on": null, "passed": status.passed(), "score": status.passed().map(|_| 50.0),
        "error": (status == RunStatus::Error).then_some(error), "end_reason": null,
        "attempt": 1, "recoveries": 0, "deadline_at": null,
        "created_at": "2026-01-31T12:00:00Z", "started_at": null, "finished_at": null,
        "duration_ms": 1234,
        "usage": {"agent": usage, "simulated_user": usage, "judge": usage},
        "user_turns": 1, "user_turns_planned": 1,
        "transcript": [turn(0, "user", text), turn(1, "agent", text)],
        "evaluations": evaluations,
    });
    serde_json::from_value(run).expect("a run")
}

/// A suite with a run of each status, whose runs have no transcripts yet.
///
/// # Panics
/// If the fixture is not a suite.
#[must_use]
pub fn suite(statuses: &[RunStatus], text: &str) -> Suite {
    let runs = statuses.iter().enumerate().map(|(n, status)| Run {
        transcript: None,
        evaluations: None,
        ..run(n, *status, text)
    });
    let runs: Vec<Run> = runs.collect();
    let counts = domain::Counts::from_statuses(statuses.iter().copied());
    let is_final = statuses.iter().all(|status| status.is_final());
    let suite = json!({
        "id": id(1), "agent": {"id": id(2), "revision": 3, "name": text},
        "status": if is_final { "finished" } else { "running" }, "total": statuses.len(),
        "counts": counts, "pass_rate": null, "judged": counts.judged(), "judged_pass_rate": null,
        "progress": {"done": counts.done(), "total": counts.total(), "eta_seconds": null},
        "concurrency": 3, "repeats": 2, "parent_id": null, "part_of": null, "note": text,
        "created_at": "2026-01-31T12:00:00Z", "started_at": "2026-01-31T12:00:01Z",
        "finished_at": null, "cancel_requested_at": null, "runs": runs,
    });
    serde_json::from_value(suite).expect("a suite")
}

/// The report of [`suite`].
///
/// # Panics
/// If the fixture is not a suite.
#[must_use]
pub fn report(statuses: &[RunStatus], text: &str) -> Report {
    let now = Timestamp::parse("2026-01-31T12:01:00Z").expect("a time");
    Report::new(suite(statuses, text), Some("https://rehearsal.example".to_owned()), now)
}

/// The whole file.
///
/// # Panics
/// If the file cannot be written.
#[must_use]
pub fn render(statuses: &[RunStatus], text: &str, format: Format) -> String {
    let mut writer = ReportWriter::new(report(statuses, text), format);
    let mut file = writer.begin().expect("a beginning");
    for (index, status) in statuses.iter().enumerate() {
        file.extend(writer.run(index, run(index, *status, text)).expect("a run"));
    }
    file.extend(writer.end().expect("an end"));
    String::from_utf8(file).expect("UTF-8")
}
