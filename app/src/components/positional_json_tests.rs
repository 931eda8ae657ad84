use super::from_str;
use crate::domain::{Connection, Suite};
use crate::error::AppError;
use crate::server_fns::accounts::AccountData;
use crate::server_fns::agents::AgentRow;
use crate::server_fns::runs::RunData;
use crate::server_fns::scenarios::ScenarioData;
use crate::server_fns::suites::{PreflightData, StartData, SuiteData};
use crate::services::ListPage;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

const ID: &str = "0190a000-0000-7000-8000-000000000001";
const AT: &str = "2026-11-23T06:38:38.123Z";

fn run() -> Value {
    let usage = json!({"calls": 2, "input_tokens": 30, "output_tokens": 4, "cost_usd": 0.25});
    let error = json!({"kind": "timeout", "message": "m", "retryable": true});
    json!({
        "id": ID, "suite_id": ID, "repetition": 1, "status": "failed", "stage": "conversing",
        "waiting_on": {"what": "rate_limit", "until": AT}, "end_reason": "max_turns", "attempt": 1,
        "agent": {"id": ID, "revision": 1, "name": "A"},
        "scenario": {"id": ID, "revision": 3, "name": "S"}, "error": error, "recoveries": 0,
        "created_at": AT, "started_at": AT, "finished_at": AT, "duration_ms": 12,
        "score": 71.5, "passed": false, "source_run_id": ID, "user_turns": 2, "user_turns_planned": 3,
        "deadline_at": AT, "usage": {"agent": usage, "simulated_user": usage, "judge": usage},
        "transcript": [{
            "index": 0, "speaker": "tool", "message": "m", "finish": "stop", "latency_ms": 3,
            "tool_calls": [{"id": "c", "name": "t", "arguments": {"a": [1, -2, 3.5, null, "x"]}}],
            "tool": {"call_id": "c", "name": "t", "is_error": false, "mocked": true},
            "input_tokens": 5, "output_tokens": 6, "at": AT,
        }],
        "evaluations": [{
            "id": ID, "status": "done", "is_first": true, "score": 71, "judge_score": 70.5,
            "verdict": "failed", "summary": "s", "issues": ["i"], "recommendations": [],
            "items": [{
                "kind": "behavior", "text": "t", "required": true, "met": false,
                "basis": "evidence", "reason": "r", "verified": true,
                "evidence": [{"turn": 1, "quote": "q", "verified": true}],
            }],
            "checks": [{"check": "c", "ok": true, "detail": "d"}], "judge_model": "j",
            "prompt_version": 1, "asked": 2, "raw_reply": "raw", "latency_ms": 9,
            "input_tokens": 1, "output_tokens": 2, "error": error, "created_at": AT,
            "finished_at": AT,
        }],
    })
}

fn suite() -> Value {
    json!({
        "id": ID, "agent": {"id": ID, "revision": 1, "name": "A"}, "status": "running", "total": 1,
        "counts": {"pending": 0, "running": 0, "passed": 0, "failed": 1, "inconclusive": 0,
            "error": 0, "cancelled": 0},
        "pass_rate": 0.5, "judged": 1, "judged_pass_rate": 0.5, "progress": {"done": 1, "total": 1, "eta_seconds": 7},
        "concurrency": 3, "repeats": 1, "parent_id": ID, "part_of": 3, "note": "n", "created_at": AT,
        "started_at": AT, "finished_at": AT, "cancel_requested_at": AT, "runs": [run()],
    })
}

fn rejected() -> Value {
    json!({"draft": {"name": ["x", {"y": 1}]}, "problems": [{"path": "p", "message": "m"}],
        "detail": "d", "link": "/suites"})
}

fn connection() -> Value {
    json!({
        "id": ID, "name": "n", "kind": "openai", "base_url": "https://a",
        "has_key": true, "key_last4": "1234",
        "headers": {"x-a": "b", "x-c": "d"}, "server_wide": false, "updated_at": AT,
        "auth": {"scheme": "basic", "username": "u", "client_id": "", "token_url": "", "scope": ""},
        "query": {"api-version": "2"}, "timeout_seconds": 60, "preset": "ollama", "models": ["m"],
        "breaker": {"state": "half_open", "reason": "r", "until": AT},
    })
}

fn selection() -> Value {
    let filter = json!({"q": "", "category": "c", "difficulty": "d", "tag": "t", "built_in": ""});
    json!({"agent": "a", "scenarios": ["s"], "all": true, "filter": filter, "repeats": "1",
        "concurrency": "", "profile": "p", "note": "", "budget_usd": "2.5",
        "budget_action": "stop_calls", "allow_parallel": false, "skip_incompatible": false,
        "saved_form": "d"})
}

/// Asserts that both parsers agree, and returns whether they succeeded.
fn parsers_agree<T: DeserializeOwned + PartialEq + Debug>(value: &Value) -> bool {
    let text = value.to_string();
    let (ours, serde) = (from_str::<T>(&text).ok(), serde_json::from_str::<T>(&text).ok());
    assert_eq!(ours, serde, "{text}");
    ours.is_some()
}

/// JSON pointers of all object entries below this value.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let pointer = format!("{here}/{key}");
                pointers(value, &pointer, all);
                all.push(pointer);
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                pointers(value, &format!("{here}/{i}"), all);
            }
        }
        _ => {}
    }
}

/// Asserts that both parsers agree on a complete response and on all variations
/// with a missing field, an unknown field or a value of another type.
fn assert_same<T: DeserializeOwned + Serialize + PartialEq + Debug>(whole: &Value) {
    assert!(parsers_agree::<T>(whole), "not parsed: {whole}");
    let mut all = Vec::new();
    pointers(whole, "", &mut all);
    for pointer in &all {
        let (parent, key) = pointer.rsplit_once('/').expect("pointer");
        let mut incomplete = whole.clone();
        let map = incomplete.pointer_mut(parent).and_then(Value::as_object_mut).expect("object");
        map.remove(key);
        parsers_agree::<T>(&incomplete);
        map_at(&mut incomplete, parent).insert("unknown".to_owned(), json!([{"a": 1}]));
        parsers_agree::<T>(&incomplete);
        for other in [
            json!(null),
            json!(true),
            json!(-7),
            json!(1.5),
            json!("word"),
            json!({}),
            json!({"word": 1}),
        ] {
            let mut changed = whole.clone();
            map_at(&mut changed, parent).insert(key.to_owned(), other);
            parsers_agree::<T>(&changed);
        }
    }
}

fn map_at<'a>(value: &'a mut Value, pointer: &str) -> &'a mut serde_json::Map<String, Value> {
    value.pointer_mut(pointer).and_then(Value::as_object_mut).expect("object")
}

#[test]
fn runs_and_suites_parse_like_serde_json() {
    assert_same::<RunData>(&json!({"run": run(), "key": "k"}));
    let snapshot = json!({"seq": 7, "suite": suite()});
    assert_same::<SuiteData>(&json!({"snapshot": snapshot, "followed": run(), "key": "k",
        "newest": {"agent": 2, "scenarios": [[ID, 3]]}}));
    assert_same::<ListPage<Suite>>(&json!({"items": [suite()], "next": "n"}));
}

#[test]
fn forms_parse_like_serde_json() {
    let head = json!({"id": ID, "name": "n", "revision": 2, "is_built_in": false});
    assert_same::<ScenarioData>(
        &json!({"scenario": head, "stored": {"a": [1]}, "rejected": rejected(),
            "differs": "w", "runs": []}),
    );
    assert_same::<Vec<Connection>>(&json!([connection()]));
    assert_same::<AccountData>(&json!({"sign_up_open": true, "rejected": rejected()}));
    let choice = json!({"id": "i", "name": "n", "about": "a"});
    assert_same::<StartData>(
        &json!({"key": "k", "params": selection(), "agents": [choice], "profiles": [choice],
        "scenarios": [], "rejected": rejected()}),
    );
    let row = json!({"id": ID, "name": "n", "description": "d", "category": "c", "model": "m",
        "tools": 1, "revision": 1, "updated_at": AT});
    assert_same::<ListPage<AgentRow>>(&json!({"items": [row], "next": null}));
}

#[test]
fn errors_and_preflight_parse_like_serde_json() {
    let misfit = json!({"scenario_id": ID, "scenario": "s", "reason": "r"});
    let found = json!({"jobs": 1, "scenarios": 1, "incompatible": [misfit], "unmocked_tools": [],
        "problems": [], "connections": [{"path": "p", "connection_id": ID, "name": "n",
            "message": "m", "stops": true, "until": AT}], "expected_calls": 4, "expected_seconds": 5, "expected_cost_usd": 0.5,
        "unfinished_suite": ID});
    let error = json!({"code": "too_many", "detail": "d", "link": "/", "retry_after": 3,
        "log_id": "l", "problems": [{"path": "p", "message": "m"}]});
    assert_same::<AppError>(&error);
    assert_same::<PreflightData>(&json!({"checked": selection(), "found": found, "error": error,
        "problems": [{"path": "p", "message": "m"}], "has_agent": true,
        "allow_parallel": false, "skip_incompatible": true}));
}

#[test]
fn invalid_json_is_rejected() {
    for text in ["", "{", "[1,]", "nul", "{} {}"] {
        assert!(from_str::<Value>(text).is_err(), "{text}");
    }
}
