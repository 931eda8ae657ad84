//! The mock provider in a process of its own, and its scripts.

use crate::http::Client;
use crate::server_process::KillOnDrop;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) struct Provider {
    _process: KillOnDrop,
    client: Client,
    /// `HOST:PORT`.
    pub(super) address: String,
}

impl Provider {
    pub(super) fn start(binary: &Path) -> Result<Self> {
        let mut child = Command::new(binary)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let out = child.stdout.take().context("the mock provider has no stdout")?;
        let process = KillOnDrop(child);
        let mut url = String::new();
        BufReader::new(out).read_line(&mut url)?;
        let address = url.trim().trim_start_matches("http://").to_owned();
        Ok(Self { _process: process, client: Client::new(&address), address })
    }

    /// The base URL for an `openai` connection.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Replaces the script and clears the request log. Requests count from 1 again, so
    /// that the next client meets the same faults.
    pub(super) fn set_script(&self, script: &Value) -> Result<()> {
        self.client.post("/script", script)?;
        self.client.delete("/requests")
    }

    /// The requests since the script was set.
    pub(super) fn requests(&self) -> Result<Vec<Value>> {
        match self.client.get("/requests")? {
            Value::Array(requests) => Ok(requests),
            other => anyhow::bail!("the request log is not a list: {other}"),
        }
    }
}

/// Replies after this time and keeps no bodies.
pub(super) fn latency(milliseconds: u32) -> Value {
    json!({"latency_ms": milliseconds, "discard_bodies": true})
}

/// Of all calls, 5 % are refused with `Retry-After: 1` and 2 % fail with 500. The seed
/// decides which ones.
pub(super) fn faults(milliseconds: u32, seed: u64) -> Value {
    let random = |percent: u32, seed: u64| json!({"random": {"percent": percent, "seed": seed}});
    let refusal = json!({"status": 429, "after_ms": 1000, "format": "seconds"});
    let failure = json!({"status": 500});
    let mut script = latency(milliseconds);
    script["rules"] = json!([
        {"when": random(5, seed), "action": {"retry_later": refusal}},
        {"when": random(2, seed + 1000), "action": {"status": failure}},
    ]);
    script
}

/// A limit that only refusals report.
pub(super) fn rate_limit(milliseconds: u32, per_minute: u32, burst: u32) -> Value {
    let mut script = latency(milliseconds);
    script["limit_headers"] = json!("none");
    script["request_bucket"] =
        json!({"per_minute": per_minute, "burst": burst, "retry_after": "none"});
    script
}
