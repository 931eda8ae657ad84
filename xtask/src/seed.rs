//! `cargo xtask seed`: fills a development database with an account, agents, scenarios
//! and finished suites. The demo model produces passed and failed runs; scenarios that
//! need tools which an agent lacks end as errors.

use crate::build::{BuildTarget, build};
use crate::command::say;
use crate::http::Client;
use crate::server_process::{create_account, rehearsal, start};
use crate::wasm::Variant;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const EMAIL: &str = "demo@example.org";
const PASSWORD: &str = "rehearsal-demo";
const DATA: &str = include_str!("seed.json");
/// Settings that decide which database is used and whether it can be read later.
const KEPT_SETTINGS: [&str; 2] = ["REHEARSAL_DATABASE_URL", "REHEARSAL_SECRET_KEY"];
const SUITE_TIMEOUT: Duration = Duration::from_secs(180);

pub(crate) fn seed(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    if !args.is_empty() {
        bail!("`seed` takes no arguments; set REHEARSAL_DATA_DIR to choose the data folder");
    }
    let binary = build(workspace, BuildTarget::Debug)?;
    let data = std::env::var_os("REHEARSAL_DATA_DIR").map_or_else(|| "data".into(), PathBuf::from);
    let data = workspace.root.join(data);
    let command = || rehearsal_with_settings(&binary, &data);

    say("seed", format!("filling the database in {}", data.display()));
    let mut serve = command();
    serve.env("REHEARSAL_SITE_DIR", workspace.site(Variant::Development));
    serve.env("REHEARSAL_RUNS_PER_USER", "64");
    let (_server, client) = start(serve).context("is another server using this database?")?;
    let token = create_account(&command, EMAIL, PASSWORD)
        .with_context(|| format!("cannot create {EMAIL}; was this database seeded before?"))?;
    fill(&client.with_token(&token))?;
    println!("\nStart the server with `cargo xtask run` and sign in:");
    println!("    email     {EMAIL}\n    password  {PASSWORD}");
    Ok(ExitCode::SUCCESS)
}

fn rehearsal_with_settings(binary: &Path, data: &Path) -> Command {
    let mut command = rehearsal(binary, data);
    for name in KEPT_SETTINGS {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Creates everything in [`DATA`] and waits until all suites have finished.
fn fill(client: &Client) -> Result<()> {
    let data: Value = serde_json::from_str(DATA).context("seed.json is invalid")?;
    let connection = json!({"name": "Demo (offline model)", "kind": "demo"});
    let connection = client.post("/api/v1/connections", &connection)?["id"].take();
    let mut agents = Vec::new();
    for agent in list(&data, "agents")? {
        let mut agent = agent.clone();
        agent["model"] = "demo".into();
        agent["connection_id"] = connection.clone();
        agents.push(client.post("/api/v1/agents", &agent)?["id"].take());
    }
    for scenario in list(&data, "scenarios")? {
        client.post("/api/v1/scenarios", scenario)?;
    }
    let mut suites = Vec::new();
    for suite in list(&data, "suites")? {
        let mut request = suite.clone();
        let agent = request.as_object_mut().and_then(|fields| fields.remove("agent"));
        let agent = agent.and_then(|agent| agents.get(usize::try_from(agent.as_u64()?).ok()?));
        request["agent_id"] = agent.context("a suite in seed.json names no agent")?.clone();
        request["skip_incompatible"] = true.into();
        request["allow_parallel"] = true.into();
        request["concurrency"] = 16.into();
        suites.push(client.post("/api/v1/suites", &request)?["id"].take());
    }
    for suite in suites {
        let id = suite.as_str().context("the suite has no id")?;
        let finished = wait_for_suite(client, id)?;
        say("seed", format!("suite {}: {}", finished["note"], finished["counts"]));
    }
    Ok(())
}

/// The first agent of [`DATA`], a receptionist with tools, without model and connection.
pub(crate) fn first_agent() -> Result<Value> {
    let data: Value = serde_json::from_str(DATA).context("seed.json is invalid")?;
    list(&data, "agents")?.first().cloned().context("seed.json has no agent")
}

fn list<'a>(data: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    data[key].as_array().with_context(|| format!("seed.json has no list `{key}`"))
}

fn wait_for_suite(client: &Client, id: &str) -> Result<Value> {
    let deadline = Instant::now() + SUITE_TIMEOUT;
    while Instant::now() < deadline {
        let suite = client.get(&format!("/api/v1/suites/{id}"))?;
        if suite["status"] != "pending" && suite["status"] != "running" {
            return Ok(suite);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("a suite did not finish within {} s", SUITE_TIMEOUT.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_refer_to_agents_of_the_data() {
        let data: Value = serde_json::from_str(DATA).unwrap();
        let agents = list(&data, "agents").unwrap().len() as u64;
        for suite in list(&data, "suites").unwrap() {
            assert!(suite["agent"].as_u64().unwrap() < agents, "{suite}");
        }
        assert!(!list(&data, "scenarios").unwrap().is_empty());
    }
}
