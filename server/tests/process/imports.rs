//! `rehearsal import` next to a server that offers connections from its
//! environment: with the same variables, the command knows the same connections.

use super::new_server;
use fault_injection::{ApiClient, TestServer, id};
use mock_provider::Script;
use serde_json::Value;
use std::path::Path;

const EMAIL: &str = "imports@example.org";
const OFFERED: &str = "OpenAI (this server's)";

/// Writes a file and returns its path.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn agent(name: &str, connection: &str) -> String {
    format!("kind: agent\nname: {name}\nsystem_prompt: You help.\nmodel: m\n{connection}\n")
}

/// The item of a list whose `field` is `value`.
fn find(list: &Value, field: &str, value: &str) -> Value {
    let mut items = list["items"].as_array().unwrap().iter();
    let item = items.find(|item| item[field] == value);
    item.unwrap_or_else(|| panic!("no {value} in {list}")).clone()
}

#[tokio::test]
async fn import_resolves_connections_of_the_environment() {
    let provider = mock_provider::start(Script::default()).await.unwrap();
    let server = new_server()
        .with_env("OPENAI_API_KEY", "sk-of-the-server-1234")
        .with_env("OPENAI_BASE_URL", provider.openai_url())
        .with_env("ANTHROPIC_API_KEY", "sk-of-the-server-5678")
        .started()
        .await;
    let user = server.create_user(EMAIL);
    let folder = tempfile::tempdir().unwrap();
    let offered = find(&user.get("/connections").await, "name", OFFERED);
    assert_eq!(offered["server_wide"], true);

    // By name, by id, and as an argument for a prompt without a connection.
    let by_name = file(folder.path(), "a.yaml", &agent("Ann", &format!("connection: {OFFERED}")));
    let by_id = agent("Bea", &format!("connection_id: {}", id(&offered)));
    let by_id = file(folder.path(), "b.yaml", &by_id);
    let prompt = file(folder.path(), "c.md", "# Cat\n\nYou help.\n");
    let line = ["import", &by_name, &by_id, &prompt, "--connection", OFFERED, "--model", "m"];
    let (ok, output) = server.run_command(&line, "");
    assert!(ok, "{output}");
    let agents = user.get("/agents").await;
    for name in ["Ann", "Bea", "Cat"] {
        assert_eq!(find(&agents, "name", name)["connection_id"], offered["id"], "{name}");
    }
    // A run with this connection calls the server's provider.
    let scenario = user.create_scenario("S", 1).await;
    let start = serde_json::json!({"agent_id": find(&agents, "name", "Ann")["id"],
        "scenario_ids": [scenario["id"]]});
    let suite = user.create("/suites", &start).await;
    let suite = user.wait_for_suite(&id(&suite)).await;
    assert_eq!(suite["counts"]["passed"], 1, "{}", suite["counts"]);
    assert!(provider.request_count() >= 2);

    let unknown = file(folder.path(), "d.yaml", &agent("Dan", "connection: Somewhere"));
    let (ok, output) = server.run_command(&["import", &unknown], "");
    assert!(!ok);
    assert!(output.contains("documents[0].connection: is not the name"), "{output}");
    for listed in ["Anthropic (this server's)", OFFERED, &id(&offered)] {
        assert!(output.contains(listed), "{listed}: {output}");
    }
    without_the_environment(&server, &user, &by_name, &by_id).await;
}

/// Without the variables, the error lists the existing connections and hints at
/// the environment.
async fn without_the_environment(
    server: &TestServer,
    user: &ApiClient,
    by_name: &str,
    by_id: &str,
) {
    let bare = new_server().with_data_dir(server.data_dir());
    for (file, field) in [(by_name, "connection"), (by_id, "connection_id")] {
        let (ok, output) = bare.run_command(&["import", file], "");
        assert!(!ok);
        assert!(output.contains(&format!("documents[0].{field}: is not")), "{output}");
        assert!(output.contains("there are none"), "{output}");
        assert!(output.contains("OPENAI_API_KEY"), "{output}");
    }
    let own = user.create_agent("openai", "http://127.0.0.1:9/v1").await;
    let (ok, output) = bare.run_command(&["import", by_name], "");
    assert!(!ok);
    let hint = format!("there is “Mock openai” ({})", own["connection_id"].as_str().unwrap());
    assert!(output.contains(&hint), "{output}");
    assert!(!output.contains(OFFERED), "not known without the variables: {output}");
    let partial =
        new_server().with_data_dir(server.data_dir()).with_env("OPENAI_BASE_URL", "http://x/v1");
    let (ok, output) = partial.run_command(&["import", by_name], "");
    assert!(!ok);
    assert!(output.contains("OPENAI_BASE_URL is set, but OPENAI_API_KEY is not."), "{output}");
}
