//! `cargo xtask real-model`: runs a small suite of built-in scenarios with a real language
//! model in all three roles, and checks what the product makes of its answers.
//!
//! The model is so small that its answers are bad. What is tested is that each run ends,
//! that the judge can be read, and that no bad answer becomes a verdict.

mod llama_cpp;
mod report;

use crate::build;
use crate::command::say;
use crate::files::empty_folder;
use crate::http::Client;
use crate::seed;
use crate::server_process::{create_account, rehearsal, start};
use crate::site;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Built-in scenarios: three scripted ones, and two with a simulated user and tools.
const SCENARIOS: [&str; 5] = [
    "First contact",
    "Hours, price, parking",
    "Too expensive",
    "Booking a cleaning",
    "Canceling at short notice",
];
/// The time for the whole suite. Two cores need a few minutes.
const SUITE_TIMEOUT: Duration = Duration::from_secs(45 * 60);
/// The time for one conversation, and for judging it, on a slow machine, in seconds.
const RUN_TIMEOUT: u32 = 1800;

/// Prints how many answers were usable. The exit code is 1 if a check failed.
pub(crate) fn real_model(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    ensure!(args.is_empty(), "`real-model` takes no arguments");
    let install = llama_cpp::install(workspace)?;
    let binary = build::server(workspace)?;
    let folder = workspace.target.join("real-model");
    let data = folder.join("data");
    empty_folder(&data)?;

    let model = install.start(&folder.join("llama-server.log"))?;
    let site = site::without_scripts(workspace)?;
    let command = || {
        let mut command = rehearsal(&binary, &data);
        command.env("REHEARSAL_SITE_DIR", &site);
        command
    };
    let (_server, client) = start(command())?;
    let token = create_account(&command, "real-model@example.org", "long enough for a model")?;
    let client = client.with_token(&token);
    let suite = start_suite(&client, &model.base_url())?;
    let (is_finished, runs) = wait_for_runs(&client, &suite)?;
    let report = report::Report::of(&runs, is_finished);
    print!("{}", report.text());
    println!("data: {}, log of the model: {}", data.display(), model.log().display());
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Creates the connection, the agent and the settings, and starts the suite.
fn start_suite(client: &Client, base_url: &str) -> Result<String> {
    let connection = json!({
        "name": "llama.cpp", "kind": "openai", "base_url": base_url,
        "auth": {"scheme": "none"}, "timeout_seconds": 600,
    });
    let connection = client.post("/api/v1/connections", &connection)?["id"].take();
    let mut agent = seed::first_agent()?;
    agent["model"] = llama_cpp::MODEL.into();
    agent["connection_id"] = connection.clone();
    agent["max_tokens"] = 160.into();
    let agent = client.post("/api/v1/agents", &agent)?["id"].take();
    let judge = json!({
        "connection_id": connection, "model": llama_cpp::MODEL,
        "options": {"timeout_seconds": RUN_TIMEOUT},
    });
    client.put("/api/v1/settings", &json!({"judge": judge, "simulated_user": null}))?;
    let suite = json!({
        "agent_id": agent, "scenario_ids": scenario_ids(client)?, "concurrency": 2,
    });
    let suite = client.post("/api/v1/suites", &suite)?["id"].take();
    Ok(suite.as_str().context("the suite has no id")?.to_owned())
}

/// Copies the scenarios, because the time limits of built-in ones are for fast models.
fn scenario_ids(client: &Client) -> Result<Vec<Value>> {
    let page = client.get("/api/v1/scenarios?limit=100")?;
    let all = page["items"].as_array().context("the list of scenarios has no items")?;
    let copy = |name: &&str| {
        let found = all.iter().find(|scenario| scenario["name"] == **name);
        let id = found.and_then(|scenario| scenario["id"].as_str());
        let id = id.with_context(|| format!("there is no scenario {name:?}"))?;
        let mut scenario = client.get(&format!("/api/v1/scenarios/{id}"))?;
        scenario["timeout_seconds"] = RUN_TIMEOUT.into();
        Ok(client.post("/api/v1/scenarios", &scenario)?["id"].take())
    };
    SCENARIOS.iter().map(copy).collect()
}

/// Waits until the suite has finished, and returns its runs with their transcripts, also if
/// it did not finish in time.
fn wait_for_runs(client: &Client, suite: &str) -> Result<(bool, Vec<Value>)> {
    let deadline = Instant::now() + SUITE_TIMEOUT;
    let mut shown = Value::Null;
    let is_finished = loop {
        let suite = client.get(&format!("/api/v1/suites/{suite}"))?;
        if suite["counts"] != shown {
            shown = suite["counts"].clone();
            say("real-model", &shown);
        }
        if suite["status"] != "pending" && suite["status"] != "running" {
            break true;
        }
        if Instant::now() >= deadline {
            break false;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    let list = client.get("/api/v1/runs?limit=100")?;
    let list = list["items"].as_array().context("the list of runs has no items")?;
    let run = |run: &Value| match run["id"].as_str() {
        Some(id) => client.get(&format!("/api/v1/runs/{id}")),
        None => bail!("a run has no id"),
    };
    Ok((is_finished, list.iter().map(run).collect::<Result<_>>()?))
}
