//! Definitions of Retell and Vapi, and tasks of τ²-bench, are imported by the command line and
//! run to the end: our own fixtures always, the data of other projects where it is present.

use super::new_server;
use super::recordings::data_folder;
use fault_injection::{ApiClient, TestServer, id};
use mock_provider::{MockProvider, Script};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EMAIL: &str = "definitions@example.org";

/// The variables of the definitions that have no default.
const VARIABLES: [&str; 15] = [
    "age",
    "tall",
    "caller",
    "patient_name",
    "pharmacy_name",
    "office_name",
    "patient_dob",
    "office_hours",
    "name",
    "expected_year",
    "expected_month",
    "expected_day",
    "dob_year",
    "dob_month",
    "dob_day",
];

/// A server with a connection to the mock provider.
async fn start() -> (TestServer, ApiClient, MockProvider) {
    let provider = mock_provider::start(Script::default()).await.unwrap();
    let server = new_server().started().await;
    let user = server.create_user(EMAIL);
    user.create_agent("openai", &provider.openai_url()).await;
    let variables = VARIABLES.map(|name| json!({"name": name, "value": "something"}));
    user.create("/profiles", &json!({"name": "Everybody", "variables": variables})).await;
    (server, user, provider)
}

/// Imports files and returns what the command printed.
fn import(server: &TestServer, files: &[PathBuf]) -> String {
    let files = files.iter().map(|file| file.to_str().unwrap());
    let mut line = vec!["import"];
    line.extend(files);
    line.extend(["--email", EMAIL, "--model", "m"]);
    let (ok, output) = server.run_command(&line, "");
    assert!(ok, "{output}");
    output
}

async fn items(user: &ApiClient, path: &str) -> Vec<Value> {
    user.get(path).await["items"].as_array().unwrap().clone()
}

/// Runs scenarios with an agent and checks that every run ends without an error.
async fn run(user: &ApiClient, agent: &Value, scenarios: &[Value]) {
    let ids: Vec<_> = scenarios.iter().map(|scenario| scenario["id"].clone()).collect();
    let profile = items(user, "/profiles").await[0]["id"].clone();
    let start =
        json!({"agent_id": agent["id"], "scenario_ids": ids, "concurrency": 8, "profile": profile});
    let suite = user.create("/suites", &start).await;
    let suite = user.wait_for_suite(&id(&suite)).await;
    let counts = &suite["counts"];
    let errors = user.fetch_runs(&suite).await;
    let errors: Vec<_> = errors.iter().filter(|run| !run["error"].is_null()).collect();
    assert_eq!((&counts["error"], &counts["cancelled"]), (&json!(0), &json!(0)), "{errors:?}");
    assert!(scenarios.iter().all(|scenario| scenario["mode"] == "simulated"));
}

/// Runs the tasks with the agent of their policy, and the other scenarios with all others.
async fn run_everything(user: &ApiClient, policy: &str) -> (usize, usize, usize) {
    let (tasks, others) = items(user, "/scenarios?built_in=false&limit=200")
        .await
        .into_iter()
        .partition::<Vec<_>, _>(|one| {
            one["tags"].as_array().unwrap().contains(&"tau2-bench".into())
        });
    let (mut agents, mut with_tasks) = (0, 0);
    for agent in items(user, "/agents?limit=200").await {
        if agent["name"] == policy {
            run(user, &agent, &tasks).await;
            with_tasks += tasks.len();
        } else if agent["name"] != "Desk" {
            run(user, &agent, &others[agents % others.len()..][..1]).await;
            agents += 1;
        }
    }
    (agents, with_tasks, others.len())
}

#[tokio::test]
async fn imported_fixtures_run_to_the_end() {
    let (server, user, _provider) = start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/importers/tests/fixtures");
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    let output = import(&server, &files);
    for words in [
        "agent Florist",
        "Not carried over:\n",
        "retell_llm.json states: The states became sections",
        "Inferred:\n",
        "tau2_tasks.json evaluation_criteria.actions (renew_loan): The tasks name the tool",
        "10 imported",
    ] {
        assert!(output.contains(words), "{words} is not in {output}");
    }
    assert_eq!(run_everything(&user, "Library policy").await, (5, 2, 2));
}

#[tokio::test]
async fn definitions_of_other_projects_run_to_the_end() {
    let Some(data) = data_folder() else {
        eprintln!("skipped: the data is missing");
        return;
    };
    let (server, user, _provider) = start().await;
    let mut files = vec![data.join("tau2-airline/policy.md"), data.join("tau2-airline/tasks.json")];
    for part in ["retell", "vapi", "demo"] {
        let folder = std::fs::read_dir(data.join("voicetest-agents").join(part)).unwrap();
        files.extend(folder.map(|file| file.unwrap().path()));
    }
    import(&server, &files);
    assert_eq!(run_everything(&user, "Airline Agent Policy").await, (15, 50, 28));
}

#[tokio::test]
async fn dry_run_lists_everything_and_saves_nothing() {
    let (server, user, _provider) = start().await;
    let before = items(&user, "/agents").await.len();
    let fixture = "../crates/importers/tests/fixtures/vapi_assistant.json";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    let line = ["import", file.to_str().unwrap(), "--dry-run"];
    let (ok, output) = server.run_command(&line, "");
    assert!(ok, "{output}");
    for words in ["agent Florist", "model.toolIds", "1 can be imported; nothing was saved"] {
        assert!(output.contains(words), "{words} is not in {output}");
    }
    assert_eq!(items(&user, "/agents").await.len(), before);
}
