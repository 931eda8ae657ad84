//! `cargo xtask bench`: builds a release and measures 192 conversations of 5 turns and
//! their evaluation, 32 at a time. A mock provider in another process takes 50 ms for
//! every call.

use crate::build::{BuildTarget, build};
use crate::command::{cargo, run};
use crate::files::empty_folder;
use crate::http::Client;
use crate::server_process::{KillOnDrop, create_account, rehearsal, start};
use crate::sizes::{LIMIT_KB, TARGET_KB, WasmSize};
use crate::wasm::Variant;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

const SCENARIOS: u32 = 12;
/// Runs per scenario.
const REPEATS: u32 = 16;
/// User turns per run.
const TURNS: u32 = 5;
const CONCURRENCY: u32 = 32;
/// The latency of the mock provider.
const CALL_MS: u32 = 50;
/// The number of measured suites, after one for warm-up.
const ROUNDS: usize = 3;
/// Limit for the wall time, as a multiple of the ideal time.
const WALL_FACTOR: f64 = 1.35;
/// Limit for the peak memory.
const PEAK_MB: f64 = 120.0;

/// A row of the results: the name, the measurement, its target, and whether it is met.
type Row = (&'static str, String, String, bool);

/// Prints the measurements. The exit code is 1 if a target was missed.
pub(crate) fn bench(workspace: &Workspace) -> Result<ExitCode> {
    let server = build(workspace, BuildTarget::Release)?;
    let mut cargo = cargo(&workspace.root);
    run(cargo.args(["build", "--release", "--locked", "--package", "mock-provider"]))?;
    let mock_provider = workspace.binary("release", "rehearsal-mock-provider");
    let folder = workspace.tools().join("bench");
    empty_folder(&folder)?;

    let (_mock_provider, provider) = start_provider(&mock_provider)?;
    let server = Server::start(&server, &folder, &provider)?;
    let calls = SCENARIOS * REPEATS * (TURNS + 1);
    let ideal = f64::from(calls) / f64::from(CONCURRENCY) * f64::from(CALL_MS) / 1000.0;
    server.run_suite()?;
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = server.cpu_seconds()?;
        walls.push(server.run_suite()?);
        cpus.push((server.cpu_seconds()? - before) * 1000.0 / f64::from(calls));
    }
    walls.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let (wall, cpu) = (walls[ROUNDS / 2], cpus[ROUNDS / 2]);
    let peak = server.peak_mb()?;
    let wall_text = format!("{wall:.2} s = {:.2} × ideal ({ideal:.2} s)", wall / ideal);
    let wall_target = format!("≤ {WALL_FACTOR} × ideal");
    let wall_met = wall <= WALL_FACTOR * ideal;
    let (peak_text, peak_target) = (format!("{peak:.0} MB"), format!("≤ {PEAK_MB:.0} MB"));
    let rows = [
        ("wall time of 192 conversations, median of 3", wall_text, wall_target, wall_met),
        ("CPU time of the server per model call", format!("{cpu:.2} ms"), "none".into(), true),
        ("peak memory of the server", peak_text, peak_target, peak <= PEAK_MB),
        wasm_row(workspace)?,
    ];
    println!("\n{:<42} {:<36} {:<18} met", "name", "measured", "target");
    for (name, measured, target, met) in &rows {
        let met = if *met { "yes" } else { "NO" };
        println!("{name:<42} {measured:<36} {target:<18} {met}");
    }
    let all_met = rows.iter().all(|(.., met)| *met);
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wasm_row(workspace: &Workspace) -> Result<Row> {
    let mut size = WasmSize::default();
    for file in fs::read_dir(workspace.site(Variant::Optimized).join("pkg"))? {
        let file = file?;
        let (name, bytes) = (file.file_name(), file.metadata()?);
        let name = name.to_string_lossy();
        if let Some(name) = name.strip_suffix(".br") {
            size.add(name, bytes.len() as f64 / 1000.0);
        }
    }
    ensure!(size.main > 0.0, "the site has no WebAssembly in Brotli");
    let (main, largest) = (size.main, size.largest_page());
    let measured = format!("{main:.1} KB, {largest:.1} KB");
    let target = format!("target {TARGET_KB:.0} KB, ≤ {LIMIT_KB:.0}");
    Ok(("WebAssembly in Brotli: every page, largest", measured, target, largest <= LIMIT_KB))
}

/// Returns the base URL for an `openai` connection too.
fn start_provider(binary: &Path) -> Result<(KillOnDrop, String)> {
    let mut child = Command::new(binary)
        .args(["--latency-ms", &CALL_MS.to_string(), "--until-stdin-closes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let out = child.stdout.take().context("the mock provider has no stdout")?;
    let mut address = String::new();
    BufReader::new(out).read_line(&mut address)?;
    Ok((KillOnDrop(child), format!("{}/v1", address.trim())))
}

/// The measured server, with an agent and scenarios.
struct Server {
    process: KillOnDrop,
    client: Client,
    /// The body of `POST /suites`.
    suite: Value,
}

impl Server {
    fn start(binary: &Path, folder: &Path, provider: &str) -> Result<Self> {
        let data = folder.join("data");
        let mut serve = rehearsal(binary, &data);
        serve.env("REHEARSAL_RUNS_PER_USER", CONCURRENCY.to_string());
        let (process, client) = start(serve)?;
        let token = create_account(
            &|| rehearsal(binary, &data),
            "bench@example.org",
            "long enough for a bench",
        )?;
        let client = client.with_token(&token);
        let suite = create_suite_request(&client, provider)?;
        Ok(Self { process, client, suite })
    }

    /// Runs the suite once. Returns the seconds from the start to the last event.
    fn run_suite(&self) -> Result<f64> {
        let started = Instant::now();
        let suite = self.client.post("/api/v1/suites", &self.suite)?;
        let id = suite["id"].as_str().context("the suite has no id")?;
        let stream = self.client.stream(&format!("/api/v1/suites/{id}/events?after=0"))?;
        let finished = finished_event(stream)?;
        let wall = started.elapsed().as_secs_f64();
        let counts = &finished["counts"];
        let all = u64::from(SCENARIOS * REPEATS);
        ensure!(counts["passed"].as_u64() == Some(all), "not every conversation passed: {counts}");
        Ok(wall)
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

    fn peak_mb(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kb: f64 = line.split_whitespace().next().context("VmHWM")?.parse()?;
        Ok(kb / 1000.0)
    }
}

/// Creates the agent and the scenarios. Returns the body of `POST /suites`.
fn create_suite_request(client: &Client, provider: &str) -> Result<Value> {
    let connection = json!({"name": "Bench", "kind": "openai", "base_url": provider, "api_key": "sk-bench-12345678"});
    let connection = client.post("/api/v1/connections", &connection)?;
    let agent = json!({"name": "Bench", "system_prompt": "You help.", "model": "m", "connection_id": connection["id"]});
    let agent = client.post("/api/v1/agents", &agent)?;
    let mut scenarios = Vec::new();
    for n in 0..SCENARIOS {
        let flow: Vec<_> = (0..TURNS)
            .map(|i| json!({"speaker": "user", "message": format!("Question {i} of {n}")}))
            .collect();
        let scenario = json!({"name": format!("Bench {n}"), "category": "stress", "conversation_flow": flow,
            "expected_behaviors": [{"text": "Offers help"}]});
        scenarios.push(client.post("/api/v1/scenarios", &scenario)?["id"].clone());
    }
    Ok(
        json!({"agent_id": agent["id"], "scenario_ids": scenarios, "repeats": REPEATS, "concurrency": CONCURRENCY}),
    )
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
