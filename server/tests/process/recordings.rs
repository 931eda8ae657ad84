//! Runs recorded conversations as scripts over both protocols, where the
//! recordings are present.

use super::new_server;
use fault_injection::{ApiClient, base_url, id};
use mock_provider::Script;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The folder of the recordings, if it exists.
pub(super) fn data_folder() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let configured = std::env::var_os("REHEARSAL_TEST_DATA").map(PathBuf::from);
    configured.or(Some(default)).filter(|folder| folder.is_dir())
}

#[tokio::test]
async fn recordings_run_over_both_protocols() {
    let Some(data) = data_folder() else {
        eprintln!("skipped: the recordings are missing");
        return;
    };
    let transcripts = data.join("tau-bench-airline-transcripts/transcripts.json");
    let policy = data.join("tau2-airline/policy.md");
    let records: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(&transcripts).unwrap()).unwrap();
    let provider = mock_provider::start(Script::default()).await.unwrap();
    let server = new_server().started().await;
    let user = server.create_user("airline@example.org");
    for kind in ["openai", "anthropic"] {
        user.create_agent(kind, &base_url(kind, &provider)).await;
    }
    let files = [transcripts.to_str().unwrap(), policy.to_str().unwrap()];
    let (ok, output) =
        server.run_command(&["import", files[0], files[1], "--email", "airline@example.org"], "");
    assert!(ok, "{output}");

    let scenarios = user.get("/scenarios?built_in=false&limit=200").await;
    let scenarios = scenarios["items"].as_array().unwrap();
    assert_eq!(scenarios.len(), records.len());
    let prompt = std::fs::read_to_string(&policy).unwrap();
    let agents = user.get("/agents").await;
    let airline = agents["items"].as_array().unwrap().iter();
    let airline = airline.clone().find(|agent| {
        agent["system_prompt"].as_str() == Some(prompt.trim_end())
            || agent["system_prompt"].as_str() == Some(prompt.as_str())
    });
    let airline = airline.expect("an agent with the policy as its prompt").clone();
    let connections = user.get("/connections").await;
    let ids: Vec<_> = scenarios.iter().map(|scenario| scenario["id"].clone()).collect();
    for kind in ["openai", "anthropic"] {
        let mut all = connections["items"].as_array().unwrap().iter();
        let connection = all.find(|one| one["kind"] == kind).unwrap();
        let mut agent = user.get(&format!("/agents/{}", id(&airline))).await;
        agent["connection_id"] = connection["id"].clone();
        agent["model"] = json!("m");
        let path = format!("/agents/{}", id(&airline));
        let saved = user.request(reqwest::Method::PUT, &path).json(&agent).send().await.unwrap();
        assert!(saved.status().is_success(), "{}", saved.text().await.unwrap());
        provider.clear_request_log();
        let start = json!({"agent_id": airline["id"], "scenario_ids": ids, "concurrency": 8});
        let suite = user.create("/suites", &start).await;
        let suite = user.wait_for_suite(&id(&suite)).await;
        let counts = &suite["counts"];
        assert_eq!(
            (&counts["error"], &counts["cancelled"]),
            (&json!(0), &json!(0)),
            "{kind}: {counts}"
        );
        check(&user, &suite, &records).await;
        assert!(!provider.request_log().is_empty());
    }
}

/// Each user turn of the recording is in the transcript, in order, without the
/// stop marker.
async fn check(user: &ApiClient, suite: &Value, records: &[Value]) {
    for run in user.fetch_runs(suite).await {
        let scenario =
            user.get(&format!("/scenarios/{}", run["scenario"]["id"].as_str().unwrap())).await;
        let turns: Vec<_> = run["transcript"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| t["speaker"] == "user")
            .collect();
        let script = scenario["conversation_flow"].as_array().unwrap();
        let script: Vec<_> = script.iter().filter(|turn| turn["speaker"] == "user").collect();
        assert_eq!(turns.len(), script.len());
        for (turn, script) in turns.iter().zip(&script) {
            assert_eq!(turn["message"], script["message"]);
            assert!(!turn["message"].as_str().unwrap().contains("###STOP###"));
        }
        let name = scenario["name"].as_str().unwrap();
        let number = name.rsplit(' ').next().unwrap();
        let record = records
            .iter()
            .find(|r| r["task_id"].as_u64() == number.parse().ok())
            .unwrap_or_else(|| panic!("{name}"));
        let first =
            record["traj"].as_array().unwrap().iter().find(|m| m["role"] == "user").unwrap();
        assert_eq!(turns[0]["message"].as_str(), first["content"].as_str().map(str::trim));
        let outputs = record["info"]["task"]["outputs"].as_array().unwrap();
        assert_eq!(
            scenario["success_criteria"]["must_include"].as_array().unwrap().len(),
            outputs.len()
        );
    }
}
