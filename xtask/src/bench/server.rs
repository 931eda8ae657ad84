//! The measured server, with scenarios and agents.

use crate::http::Client;
use crate::server_process::{KillOnDrop, create_account, rehearsal, start};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) struct Server {
    process: KillOnDrop,
    client: Client,
    scenarios: Vec<Value>,
}

/// A suite that finished.
#[derive(Clone, Debug)]
pub(super) struct SuiteRun {
    /// Seconds from the start to the last event.
    pub(super) wall: f64,
    /// User and system time of the server meanwhile, in seconds.
    pub(super) cpu: f64,
    pub(super) passed: u64,
    pub(super) errors: u64,
}

impl Server {
    /// Starts the server with `scenarios` scenarios of `turns` user turns.
    pub(super) fn start(
        binary: &Path,
        folder: &Path,
        concurrency: u32,
        (scenarios, turns): (u32, u32),
    ) -> Result<Self> {
        let data = folder.join("data");
        let mut serve = rehearsal(binary, &data);
        serve.env("REHEARSAL_RUNS_PER_USER", concurrency.to_string());
        let (process, client) = start(serve)?;
        let token = create_account(
            &|| rehearsal(binary, &data),
            "bench@example.org",
            "long enough for a bench",
        )?;
        let client = client.with_token(&token);
        let scenarios = (0..scenarios).map(|n| create_scenario(&client, n, turns));
        let scenarios = scenarios.collect::<Result<_>>()?;
        Ok(Self { process, client, scenarios })
    }

    /// Creates an agent with a connection of its own, of which the server has learned
    /// nothing yet.
    pub(super) fn create_agent(&self, name: &str, base_url: &str) -> Result<Value> {
        let connection = json!({
            "name": name, "kind": "openai", "base_url": base_url, "api_key": "sk-bench-12345678",
        });
        let connection = self.client.post("/api/v1/connections", &connection)?;
        let agent = json!({
            "name": name, "system_prompt": "You help.", "model": "m",
            "connection_id": connection["id"],
        });
        Ok(self.client.post("/api/v1/agents", &agent)?["id"].take())
    }

    /// Runs every scenario `repeats` times.
    pub(super) fn run_suite(
        &self,
        agent: &Value,
        repeats: u32,
        concurrency: u32,
    ) -> Result<SuiteRun> {
        let suite = json!({
            "agent_id": agent, "scenario_ids": self.scenarios, "repeats": repeats,
            "concurrency": concurrency,
        });
        let (cpu, started) = (self.cpu_seconds()?, Instant::now());
        let suite = self.client.post("/api/v1/suites", &suite)?;
        let id = suite["id"].as_str().context("the suite has no id")?;
        let stream = self.client.stream(&format!("/api/v1/suites/{id}/events?after=0"))?;
        let finished = finished_event(stream)?;
        let wall = started.elapsed().as_secs_f64();
        let cpu = self.cpu_seconds()? - cpu;
        let count = |name: &str| finished["counts"][name].as_u64().context("no counts");
        Ok(SuiteRun { wall, cpu, passed: count("passed")?, errors: count("error")? })
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.process.0.id()));
        fs::read_to_string(&path).with_context(|| format!("{} (Linux only)", path.display()))
    }

    /// User and system time since the start.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).context("stat");
        // Linux has 100 ticks per second on every platform that Rust supports.
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    pub(super) fn peak_mb(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kb: f64 = line.split_whitespace().next().context("VmHWM")?.parse()?;
        Ok(kb / 1000.0)
    }
}

fn create_scenario(client: &Client, n: u32, turns: u32) -> Result<Value> {
    let flow: Vec<_> = (0..turns)
        .map(|i| json!({"speaker": "user", "message": format!("Question {i} of {n}")}))
        .collect();
    let scenario = json!({
        "name": format!("Bench {n}"), "category": "stress", "conversation_flow": flow,
        "expected_behaviors": [{"text": "Offers help"}],
    });
    Ok(client.post("/api/v1/scenarios", &scenario)?["id"].take())
}

/// Reads the event stream up to the event `finished` and returns its data.
fn finished_event(stream: impl BufRead) -> Result<Value> {
    let mut is_finished = false;
    for line in stream.lines() {
        let line = line?;
        is_finished |= line.starts_with("event:") && line.ends_with("finished");
        if is_finished && let Some(data) = line.strip_prefix("data:") {
            return Ok(serde_json::from_str(data.trim())?);
        }
    }
    bail!("the stream ended before the suite finished")
}
