//! Recorded conversations as scripts: all of them run to the end against a
//! server of each protocol. The recordings are read where they are present.

use super::binary;
use serde_json::{Value, json};
use fault_injection::house::{House, id};
use mock_provider::Script;
use std::path::{Path, PathBuf};

/// The folder of prepared inputs beside the project, if it is there.
fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let named = std::env::var_os("REHEARSAL_TEST_DATA").map(PathBuf::from);
    named.or(Some(beside)).filter(|folder| folder.is_dir())
}

#[tokio::test]
async fn all_recordings_run_over_both_protocols() {
    let Some(data) = data() else {
        eprintln!("the recordings are not here; nothing was run");
        return;
    };
    let transcripts = data.join("tau-bench-airline-transcripts/transcripts.json");
    let policy = data.join("tau2-airline/policy.md");
    let records: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(&transcripts).unwrap()).unwrap();
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::new(&binary()).await;
    let user = house.user("airline@example.org");
    for (kind, url) in [("openai", stand.openai_url()), ("anthropic", stand.anthropic_url())] {
        user.agent(kind, &url).await;
    }
    let files = [transcripts.to_str().unwrap(), policy.to_str().unwrap()];
    let (ok, said) =
        house.command(&["import", files[0], files[1], "--email", "airline@example.org"], "");
    assert!(ok, "{said}");

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
    let airline = airline.expect("the policy became an agent's prompt").clone();
    let connections = user.get("/connections").await;
    let ids: Vec<_> = scenarios.iter().map(|scenario| scenario["id"].clone()).collect();
    for kind in ["openai", "anthropic"] {
        let mut all = connections["items"].as_array().unwrap().iter();
        let connection = all.find(|one| one["kind"] == kind).unwrap();
        let mut agent = user.get(&format!("/agents/{}", id(&airline))).await;
        agent["connection_id"] = connection["id"].clone();
        agent["model"] = json!("m");
        let path = format!("/agents/{}", id(&airline));
        let saved = user.ask(reqwest::Method::PUT, &path).json(&agent).send().await.unwrap();
        assert!(saved.status().is_success(), "{}", saved.text().await.unwrap());
        stand.forget();
        let start = json!({"agent_id": airline["id"], "scenario_ids": ids, "concurrency": 8});
        let suite = user.make("/suites", &start).await;
        let suite = user.finished(&id(&suite)).await;
        let counts = &suite["counts"];
        assert_eq!(
            (&counts["error"], &counts["cancelled"]),
            (&json!(0), &json!(0)),
            "{kind}: {counts}"
        );
        check(&user, &suite, &records).await;
        assert!(!stand.journal().is_empty());
    }
}

/// Each user turn of the recording was said, in order, without its marker.
async fn check(user: &fault_injection::house::User, suite: &Value, records: &[Value]) {
    for run in suite["runs"].as_array().unwrap() {
        let scenario =
            user.get(&format!("/scenarios/{}", run["scenario"]["id"].as_str().unwrap())).await;
        let run = user.get(&format!("/runs/{}", id(run))).await;
        let said: Vec<_> = run["transcript"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| t["speaker"] == "user")
            .collect();
        let script = scenario["conversation_flow"].as_array().unwrap();
        let script: Vec<_> = script.iter().filter(|turn| turn["speaker"] == "user").collect();
        assert_eq!(said.len(), script.len());
        for (said, script) in said.iter().zip(&script) {
            assert_eq!(said["message"], script["message"]);
            assert!(!said["message"].as_str().unwrap().contains("###STOP###"));
        }
        let name = scenario["name"].as_str().unwrap();
        let number = name.rsplit(' ').next().unwrap();
        let record = records
            .iter()
            .find(|r| r["task_id"].as_u64() == number.parse().ok())
            .unwrap_or_else(|| panic!("{name}"));
        let first =
            record["traj"].as_array().unwrap().iter().find(|m| m["role"] == "user").unwrap();
        assert_eq!(said[0]["message"].as_str(), first["content"].as_str().map(str::trim));
        let outputs = record["info"]["task"]["outputs"].as_array().unwrap();
        assert_eq!(
            scenario["success_criteria"]["must_include"].as_array().unwrap().len(),
            outputs.len()
        );
    }
}
