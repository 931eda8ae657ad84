//! `rehearsal import` beside a server that offers connections from its
//! environment: with the same variables it knows them by the same names.

use super::binary;
use serde_json::Value;
use fault_injection::house::{House, id};
use mock_provider::Script;
use std::path::Path;

const EMAIL: &str = "imports@example.org";
const OFFERED: &str = "OpenAI (this server's)";

/// A file with an agent that names its connection; its path.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn agent(name: &str, connection: &str) -> String {
    format!("kind: agent\nname: {name}\nsystem_prompt: You help.\nmodel: m\n{connection}\n")
}

/// The entry of a list in which `field` is `value`.
fn found(list: &Value, field: &str, value: &str) -> Value {
    let mut items = list["items"].as_array().unwrap().iter();
    let one = items.find(|one| one[field] == value);
    one.unwrap_or_else(|| panic!("no {value} in {list}")).clone()
}

#[tokio::test]
async fn an_import_knows_what_the_environment_offers() {
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let house = House::of(&binary())
        .with("OPENAI_API_KEY", "sk-of-the-server-1234")
        .with("OPENAI_BASE_URL", stand.openai_url())
        .with("ANTHROPIC_API_KEY", "sk-of-the-server-5678")
        .started()
        .await;
    let user = house.user(EMAIL);
    let folder = tempfile::tempdir().unwrap();
    let offered = found(&user.get("/connections").await, "name", OFFERED);
    assert_eq!(offered["server_wide"], true);

    // By name, by id, and as an argument for a prompt that names none.
    let by_name = file(folder.path(), "a.yaml", &agent("Ann", &format!("connection: {OFFERED}")));
    let by_id = agent("Bea", &format!("connection_id: {}", id(&offered)));
    let by_id = file(folder.path(), "b.yaml", &by_id);
    let prompt = file(folder.path(), "c.md", "# Cat\n\nYou help.\n");
    let line = ["import", &by_name, &by_id, &prompt, "--connection", OFFERED, "--model", "m"];
    let (ok, said) = house.command(&line, "");
    assert!(ok, "{said}");
    let agents = user.get("/agents").await;
    for name in ["Ann", "Bea", "Cat"] {
        assert_eq!(found(&agents, "name", name)["connection_id"], offered["id"], "{name}");
    }
    // And it is the very connection: a run goes where the server's leads.
    let scenario = user.scenario("S", 1).await;
    let start = serde_json::json!({"agent_id": found(&agents, "name", "Ann")["id"],
        "scenario_ids": [scenario["id"]]});
    let suite = user.make("/suites", &start).await;
    let suite = user.finished(&id(&suite)).await;
    assert_eq!(suite["counts"]["passed"], 1, "{}", suite["counts"]);
    assert!(stand.requests() >= 2);

    let unknown = file(folder.path(), "d.yaml", &agent("Dan", "connection: Somewhere"));
    let (ok, said) = house.command(&["import", &unknown], "");
    assert!(!ok);
    assert!(said.contains("documents[0].connection: is not the name"), "{said}");
    for listed in ["Anthropic (this server's)", OFFERED, &id(&offered)] {
        assert!(said.contains(listed), "{listed}: {said}");
    }
    without_the_environment(&house, &user, &by_name, &by_id).await;
}

/// The same beside the same server, in an environment that says nothing: what
/// there is, is listed, and where the rest may be.
async fn without_the_environment(
    house: &House,
    user: &fault_injection::house::User,
    by_name: &str,
    by_id: &str,
) {
    let bare = House::of(&binary()).over(house.data());
    for (file, field) in [(by_name, "connection"), (by_id, "connection_id")] {
        let (ok, said) = bare.command(&["import", file], "");
        assert!(!ok);
        assert!(said.contains(&format!("documents[0].{field}: is not")), "{said}");
        assert!(said.contains("there are none"), "{said}");
        assert!(said.contains("OPENAI_API_KEY"), "{said}");
    }
    let own = user.agent("openai", "http://127.0.0.1:9/v1").await;
    let (ok, said) = bare.command(&["import", by_name], "");
    assert!(!ok);
    let there = format!("there is “Stand openai” ({})", own["connection_id"].as_str().unwrap());
    assert!(said.contains(&there), "{said}");
    assert!(!said.contains(OFFERED), "it cannot know of it: {said}");
    let half = House::of(&binary()).over(house.data()).with("OPENAI_BASE_URL", "http://x/v1");
    let (ok, said) = half.command(&["import", by_name], "");
    assert!(!ok);
    assert!(said.contains("OPENAI_BASE_URL is set, but OPENAI_API_KEY is not."), "{said}");
}
