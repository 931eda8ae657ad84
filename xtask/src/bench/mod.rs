//! `cargo xtask bench`: builds a release and measures 200 conversations of 5 turns and
//! their evaluation, 32 at a time, against a mock provider in another process. A bare
//! client makes the same calls in the same run.
//!
//! `cargo xtask bench FOLDER` measures the programs in this folder instead, for example
//! those of an earlier version, and `cargo xtask bench FOLDER PART` only one part of that:
//! `latency`, `faults` or `rate-limit`.

mod bare_client;
mod provider;
mod report;
mod server;
pub(crate) mod store;

use crate::build::{BuildTarget, build};
use crate::command::{cargo, run, say};
use crate::files::empty_folder;
use crate::sizes::{LIMIT_KB, TARGET_KB, WasmSize};
use crate::wasm::Variant;
use crate::workspace::Workspace;
use anyhow::{Result, bail, ensure};
use bare_client::Conversation;
use provider::Provider;
use report::{Row, markdown, median};
use serde_json::Value;
use server::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const SCENARIOS: u32 = 10;
/// Runs per scenario.
const REPEATS: u32 = 20;
/// User turns per run.
const TURNS: u32 = 5;
const CONCURRENCY: u32 = 32;
/// The latency of the mock provider, except where it replies at once.
const CALL_MS: u32 = 50;
/// The number of measurements of which the median counts.
const ROUNDS: usize = 3;
/// The seeds of the faults.
const SEEDS: u64 = 5;
/// The rate limit, and how many runs per scenario meet it.
const PER_MINUTE: u32 = 600;
const BURST: u32 = 10;
const LIMITED_REPEATS: u32 = 10;
/// Limit for the peak memory.
const PEAK_MB: f64 = 120.0;

/// The parts of the measurement.
const PARTS: [&str; 3] = ["latency", "faults", "rate-limit"];

/// Prints the measurements. The exit code is 1 if a goal was missed.
pub(crate) fn bench(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let (args, only) = match args {
        [folder, part] if PARTS.contains(&&**part) => (std::slice::from_ref(folder), Some(&**part)),
        _ => (args, None),
    };
    let (server, mock_provider, mut rows) = match args {
        [] => {
            let server = build(workspace, BuildTarget::Release)?;
            let mut cargo = cargo(&workspace.root);
            run(cargo.args(["build", "--release", "--locked", "--package", "mock-provider"]))?;
            let mock_provider = workspace.binary("release", "rehearsal-mock-provider");
            (server, mock_provider, vec![wasm_row(workspace)?])
        }
        [folder] => {
            let program = |name: &str| {
                PathBuf::from(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
            };
            (program("rehearsal"), program("rehearsal-mock-provider"), Vec::new())
        }
        _ => bail!(
            "`bench` takes no argument, a folder with the programs and perhaps one of {}, or \
             `store`",
            PARTS.join(", ")
        ),
    };
    let folder = workspace.tools().join("bench");
    empty_folder(&folder)?;
    let bench = Bench::start(&server, &mock_provider, &folder)?;
    let measures = |part| only.is_none_or(|only| only == part);
    if measures("latency") {
        rows.extend(bench.latencies()?);
    }
    if measures("faults") {
        rows.extend(bench.faults()?);
    }
    if measures("rate-limit") {
        rows.extend(bench.rate_limit()?);
    }
    let peak = bench.server.peak_mb()?;
    let goal = format!("≤ {PEAK_MB:.0} MB");
    rows.push(Row::new(
        "peak memory of the server",
        format!("{peak:.0} MB"),
        goal,
        peak <= PEAK_MB,
    ));
    println!("\n{}", markdown(&rows));
    let all_met = rows.iter().all(|row| row.met != Some(false));
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
    let measured = format!("{main:.1} KB for every page, {largest:.1} KB for the largest");
    let goal = format!("≤ {LIMIT_KB:.0} KB; target {TARGET_KB:.0} KB");
    Ok(Row::new("WebAssembly in Brotli", measured, goal, largest <= LIMIT_KB))
}

/// The programs that are measured, and the calls that the server makes.
struct Bench {
    provider: Provider,
    server: Server,
    /// The agent whose connection has been used before.
    agent: Value,
    conversation: Conversation,
}

impl Bench {
    /// Starts the programs and runs one suite, which also shows the calls of a conversation.
    fn start(server: &Path, mock_provider: &Path, folder: &Path) -> Result<Self> {
        let provider = Provider::start(mock_provider)?;
        let server = Server::start(server, folder, CONCURRENCY, (SCENARIOS, TURNS))?;
        let agent = server.create_agent("Bench", &provider.base_url())?;
        say("bench", "warm-up");
        let suite = server.run_suite(&agent, REPEATS, CONCURRENCY)?;
        ensure!(suite.passed == runs(REPEATS), "not every conversation passed: {suite:?}");
        let log = provider.requests()?;
        let conversation = Conversation::from_log(&log, &provider.address, TURNS)?;
        Ok(Self { provider, server, agent, conversation })
    }

    fn bare_client(&self, script: &Value) -> Result<f64> {
        self.provider.set_script(script)?;
        let count = SCENARIOS * REPEATS;
        bare_client::run(&self.provider.address, &self.conversation, count, CONCURRENCY)
    }

    fn latencies(&self) -> Result<Vec<Row>> {
        let mut rows = self.latency(CALL_MS, |suite, bare, cpu| {
            vec![
                Row::ratio("suite at 50 ms per call", suite, ("bare client", bare), 1.10),
                Row::new(
                    "server CPU per call at 50 ms",
                    format!("{cpu:.2} ms"),
                    "≤ 0.8 ms",
                    cpu <= 0.8,
                ),
            ]
        })?;
        rows.extend(self.latency(0, |suite, bare, cpu| {
            let compared = format!("bare client {bare:.2} s");
            let measured = format!("{suite:.2} s");
            let row = Row::new("suite at 0 ms per call", measured, "≤ 0.9 s", suite <= 0.9);
            vec![
                Row { compared, ..row },
                Row::plain("server CPU per call at 0 ms", format!("{cpu:.2} ms")),
            ]
        })?);
        Ok(rows)
    }

    /// Passes the medians of the suite's time, of the bare client's time and of the
    /// server's CPU time per call in milliseconds to `rows`.
    fn latency<R>(&self, call_ms: u32, rows: impl FnOnce(f64, f64, f64) -> R) -> Result<R> {
        let script = provider::latency(call_ms);
        let (mut walls, mut bare, mut cpus) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(self.bare_client(&script)?);
            self.provider.set_script(&script)?;
            let suite = self.server.run_suite(&self.agent, REPEATS, CONCURRENCY)?;
            ensure!(suite.passed == runs(REPEATS), "not every conversation passed: {suite:?}");
            say("bench", format!("{call_ms} ms per call: {suite:?}"));
            walls.push(suite.wall);
            cpus.push(suite.cpu * 1000.0 / calls(REPEATS));
        }
        Ok(rows(median(walls), median(bare), median(cpus)))
    }

    /// Each seed uses a new connection, whose provider is unknown.
    fn faults(&self) -> Result<Vec<Row>> {
        let (mut walls, mut bare, mut cpus) = (Vec::new(), Vec::new(), Vec::new());
        let (mut passed, mut errors) = (u64::MAX, 0);
        for seed in 1..=SEEDS {
            let script = provider::faults(CALL_MS, seed);
            bare.push(self.bare_client(&script)?);
            let name = format!("Faults {seed}");
            let agent = self.server.create_agent(&name, &self.provider.base_url())?;
            self.provider.set_script(&script)?;
            let suite = self.server.run_suite(&agent, REPEATS, CONCURRENCY)?;
            say("bench", format!("faults with seed {seed}: {suite:?}"));
            walls.push(suite.wall);
            cpus.push(suite.cpu * 1000.0 / calls(REPEATS));
            (passed, errors) = (passed.min(suite.passed), errors.max(suite.errors));
        }
        let compared = ("bare client", median(bare));
        let all = runs(REPEATS);
        Ok(vec![
            Row::ratio("5 % of calls answer 429, 2 % answer 500", median(walls), compared, 1.25),
            Row::new(
                "…runs with the worst seed",
                format!("{passed} passed, {errors} errors"),
                format!("{all} passed, 0 errors"),
                passed == all && errors == 0,
            ),
            Row::plain("…server CPU per call", format!("{:.2} ms", median(cpus))),
        ])
    }

    fn rate_limit(&self) -> Result<Vec<Row>> {
        let agent = self.server.create_agent("Rate limit", &self.provider.base_url())?;
        self.provider.set_script(&provider::rate_limit(CALL_MS, PER_MINUTE, BURST))?;
        let suite = self.server.run_suite(&agent, LIMITED_REPEATS, CONCURRENCY)?;
        say("bench", format!("rate limit: {suite:?}"));
        ensure!(suite.passed == runs(LIMITED_REPEATS), "not every run passed: {suite:?}");
        let requests = self.provider.requests()?;
        let refused = requests.iter().filter(|request| request["outcome"]["answered"] == 429);
        let refused = refused.count() as f64 * 100.0 / requests.len() as f64;
        let calls = calls(LIMITED_REPEATS);
        let ideal = (calls - f64::from(BURST)) * 60.0 / f64::from(PER_MINUTE);
        let name = format!("{calls} calls at {PER_MINUTE} per minute, bursts of {BURST}");
        Ok(vec![
            Row::ratio(name, suite.wall, ("ideal", ideal), 1.1),
            Row::new("…calls refused", format!("{refused:.1} %"), "≤ 5 %", refused <= 5.0),
        ])
    }
}

fn runs(repeats: u32) -> u64 {
    u64::from(SCENARIOS * repeats)
}

/// The calls of a suite: one per turn, and one of the judge per run.
fn calls(repeats: u32) -> f64 {
    f64::from(SCENARIOS * repeats * (TURNS + 1))
}
