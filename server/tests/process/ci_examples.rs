//! The shell parts of the examples in `docs/ci.md`, executed against a real server.

use super::new_server;
use super::suite_run::command;
use fault_injection::Setup;
use mock_provider::Script;
use serde_json::{Value, json};
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/ci.md");

/// The YAML examples of the page.
fn examples() -> Vec<Value> {
    let blocks = PAGE.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.map(|block| serde_saphyr::from_str(block).expect("valid YAML")).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Runs a script in a folder as a CI runner does, and requires that it succeeds.
async fn run_script(setup: &Setup, folder: &Path, script: &str) {
    let output = command("bash")
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env("REHEARSAL_SERVER", format!("http://{}", setup.server.addr))
        .env("REHEARSAL_TOKEN", &setup.user.token)
        .env("REHEARSAL_DOWNLOAD", format!("file://{}", env!("CARGO_BIN_EXE_rehearsal")))
        .env("GITHUB_SHA", "1a2b3c")
        .env("GITHUB_RUN_ID", "7")
        .env("GITHUB_RUN_ATTEMPT", "1")
        .env("GITHUB_STEP_SUMMARY", folder.join("step-summary"))
        .env("CI_COMMIT_SHA", "1a2b3c")
        .env("CI_JOB_ID", "9")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{script}\n{output:?}");
}

#[tokio::test]
async fn examples_run_as_they_are_written() {
    let setup = Setup::start(new_server(), Script::default()).await;
    let mut agent = setup.agent.clone();
    agent["name"] = json!("Front desk");
    setup.user.create("/agents", &agent).await;
    let scenario = json!({"name": "Greets", "category": "greeting", "tags": ["ci"],
        "conversation_flow": [{"speaker": "user", "message": "Hello"}],
        "expected_behaviors": [{"text": "Offers help"}]});
    setup.user.create("/scenarios", &scenario).await;
    let examples = examples();
    let [github, gitlab] = examples.as_slice() else { panic!("two examples") };

    let folder = tempfile::tempdir().unwrap();
    let steps = github["jobs"]["agent"]["steps"].as_array().unwrap();
    for script in steps.iter().filter_map(|step| step["run"].as_str()) {
        run_script(&setup, folder.path(), script).await;
    }
    let summary = std::fs::read_to_string(folder.path().join("step-summary")).unwrap();
    assert!(summary.contains("3 of 3 passed"), "{summary}");
    assert!(folder.path().join("report.html").exists());

    let folder = tempfile::tempdir().unwrap();
    let script = texts(&gitlab["agent"]["script"]).join("\n");
    run_script(&setup, folder.path(), &script).await;
    let xml = std::fs::read_to_string(folder.path().join("results.xml")).unwrap();
    assert!(xml.contains("tests=\"3\" failures=\"0\""), "{xml}");
    let suites = setup.user.get("/suites").await;
    assert_eq!(suites["items"].as_array().unwrap().len(), 2);
    assert_eq!(suites["items"][0]["note"], "commit 1a2b3c");
}
