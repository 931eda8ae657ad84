//! `cargo xtask bench`: builds what is shipped and measures it, side by side
//! in one run: 192 conversations of 5 turns and a judge, 32 at a time, against
//! a provider of its own process that takes 50 ms a call.

use crate::build::{What, build};
use crate::command::{cargo, run};
use crate::sizes::{LIMIT_KB, TARGET_KB, Weight};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Scenarios, each of them repeated so often.
const SCENARIOS: u32 = 12;
const REPEATS: u32 = 16;
/// User turns of each.
const TURNS: u32 = 5;
const AT_ONCE: u32 = 32;
/// What the provider takes for a call.
const CALL_MS: u32 = 50;
/// Suites that are measured, after one that warms up.
const ROUNDS: usize = 3;
/// What the product promises.
const WALL_FACTOR: f64 = 1.35;
const PEAK_MB: f64 = 120.0;

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line of the table.
struct Line {
    what: &'static str,
    measured: String,
    promised: String,
    kept: bool,
}

/// Measures, and prints the table. Missed promises are shown, not hidden: the
/// exit code is 1 then.
pub(crate) fn bench(workspace: &Workspace) -> Result<ExitCode> {
    let server = build(workspace, What::Release)?;
    run(cargo(&workspace.root).args(["build", "--release", "--locked", "--package", "stand"]))?;
    let stand = server.with_file_name("rehearsal-stand");
    let folder = workspace.tools().join("bench");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;

    let (_stand, provider) = provider(&stand)?;
    let house = House::start(&server, &folder, &provider)?;
    let calls = SCENARIOS * REPEATS * (TURNS + 1);
    let ideal = f64::from(calls) / f64::from(AT_ONCE) * f64::from(CALL_MS) / 1000.0;
    house.suite()?;
    let mut lines = Vec::new();
    let mut walls = Vec::new();
    let mut cpus = Vec::new();
    for _ in 0..ROUNDS {
        let before = house.cpu_seconds()?;
        walls.push(house.suite()?);
        cpus.push((house.cpu_seconds()? - before) * 1000.0 / f64::from(calls));
    }
    walls.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let (wall, cpu) = (walls[ROUNDS / 2], cpus[ROUNDS / 2]);
    lines.push(Line {
        what: "wall of 192 conversations, median of 3",
        measured: format!("{wall:.2} s = {:.2} × ideal ({ideal:.2} s)", wall / ideal),
        promised: format!("≤ {WALL_FACTOR} × ideal"),
        kept: wall <= WALL_FACTOR * ideal,
    });
    lines.push(Line {
        what: "CPU of the server per model call",
        measured: format!("{cpu:.2} ms"),
        promised: "none".to_owned(),
        kept: true,
    });
    let peak = house.peak_mb()?;
    lines.push(Line {
        what: "peak memory of the server",
        measured: format!("{peak:.0} MB"),
        promised: format!("≤ {PEAK_MB:.0} MB"),
        kept: peak <= PEAK_MB,
    });
    lines.push(wasm(workspace)?);
    Ok(table(&lines))
}

fn table(lines: &[Line]) -> ExitCode {
    println!("\n{:<42} {:<36} {:<18} kept", "what", "measured", "promised");
    for line in lines {
        let kept = if line.kept { "yes" } else { "NO" };
        println!("{:<42} {:<36} {:<18} {kept}", line.what, line.measured, line.promised);
    }
    if lines.iter().all(|line| line.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wasm(workspace: &Workspace) -> Result<Line> {
    let mut weight = Weight::default();
    for file in fs::read_dir(workspace.site().join("pkg"))? {
        let file = file?;
        let (name, bytes) = (file.file_name(), file.metadata()?);
        let name = name.to_string_lossy();
        #[allow(clippy::cast_precision_loss)] // a few hundred thousand
        if let Some(name) = name.strip_suffix(".br") {
            weight.add(name, bytes.len() as f64 / 1000.0);
        }
    }
    ensure!(weight.every > 0.0, "the site has no WebAssembly in Brotli");
    let (every, most) = (weight.every, weight.most());
    Ok(Line {
        what: "WebAssembly in Brotli: every page, most",
        measured: format!("{every:.1} KB, {most:.1} KB"),
        promised: format!("target {TARGET_KB:.0} KB, ≤ {LIMIT_KB:.0}"),
        kept: most <= LIMIT_KB,
    })
}

/// The provider, and the base URL of an `openai` connection to it.
fn provider(binary: &Path) -> Result<(Running, String)> {
    let mut child = Command::new(binary)
        .args(["--latency-ms", &CALL_MS.to_string(), "--until-stdin-closes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let out = child.stdout.take().context("no output")?;
    let mut address = String::new();
    BufReader::new(out).read_line(&mut address)?;
    Ok((Running(child), format!("{}/v1", address.trim())))
}

/// The server under test, with an agent and scenarios in it.
struct House {
    child: Running,
    base: String,
    token: String,
    start: Value,
    http: ureq::Agent,
}

impl House {
    fn start(binary: &Path, folder: &Path, provider: &str) -> Result<Self> {
        let data = folder.join("data");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let base = format!("http://127.0.0.1:{port}");
        let mut serve = told(binary, &data);
        serve
            .arg("serve")
            .env("REHEARSAL_ADDR", format!("127.0.0.1:{port}"))
            .env("REHEARSAL_RUNS_PER_USER", AT_ONCE.to_string())
            .env("REHEARSAL_LOG", "warn")
            .stdout(Stdio::null());
        let child = Running(serve.spawn().context("cannot start the server")?);
        let http: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let mut house = Self { child, base, token: String::new(), start: Value::Null, http };
        house.ready()?;
        said(
            told(binary, &data).args([
                "user",
                "create",
                "--email",
                "bench@example.org",
                "--password-stdin",
            ]),
            "long enough for a bench",
        )?;
        house.token = said(
            told(binary, &data).args([
                "token",
                "create",
                "--email",
                "bench@example.org",
                "--name",
                "bench",
            ]),
            "",
        )?;
        house.furnish(provider)?;
        Ok(house)
    }

    fn ready(&self) -> Result<()> {
        for _ in 0..600 {
            if self.http.get(format!("{}/health/ready", self.base)).call().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the server was not ready within 30 s")
    }

    fn furnish(&mut self, provider: &str) -> Result<()> {
        let connection = json!({"name": "Bench", "kind": "openai", "base_url": provider, "api_key": "sk-bench-12345678"});
        let connection = self.post("/connections", &connection)?;
        let agent = json!({"name": "Bench", "system_prompt": "You help.", "model": "m", "connection_id": connection["id"]});
        let agent = self.post("/agents", &agent)?;
        let mut scenarios = Vec::new();
        for n in 0..SCENARIOS {
            let flow: Vec<_> = (0..TURNS)
                .map(|i| json!({"speaker": "user", "message": format!("Question {i} of {n}")}))
                .collect();
            let scenario = json!({"name": format!("Bench {n}"), "category": "stress", "conversation_flow": flow,
                "expected_behaviors": [{"text": "Offers help"}]});
            scenarios.push(self.post("/scenarios", &scenario)?["id"].clone());
        }
        self.start = json!({"agent_id": agent["id"], "scenario_ids": scenarios, "repeats": REPEATS, "concurrency": AT_ONCE});
        Ok(())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/api/v1{path}", self.base);
        let request =
            self.http.post(&url).header("Authorization", format!("Bearer {}", self.token));
        let mut answer = request.send_json(body).with_context(|| format!("POST {path}"))?;
        Ok(answer.body_mut().read_json()?)
    }

    /// Runs the suite once; seconds from the start to the end of its stream.
    fn suite(&self) -> Result<f64> {
        #[allow(clippy::disallowed_methods)] // a bench measures real time
        let began = Instant::now();
        let suite = self.post("/suites", &self.start)?;
        let id = suite["id"].as_str().context("no suite")?;
        let url = format!("{}/api/v1/suites/{id}/events?after=0", self.base);
        let request = self.http.get(&url).header("Authorization", format!("Bearer {}", self.token));
        let mut stream = request.call()?;
        let lines = BufReader::new(stream.body_mut().as_reader()).lines();
        let mut ended = None;
        let mut end = false;
        for line in lines {
            let line = line?;
            end |= line.starts_with("event:") && line.ends_with("finished");
            if end && let Some(data) = line.strip_prefix("data:") {
                ended = Some(serde_json::from_str::<Value>(data.trim())?);
                break;
            }
        }
        let wall = began.elapsed().as_secs_f64();
        let counts = ended.context("the stream broke off")?["counts"].clone();
        let all = u64::from(SCENARIOS * REPEATS);
        ensure!(counts["passed"].as_u64() == Some(all), "not every conversation passed: {counts}");
        Ok(wall)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.child.0.id()));
        fs::read_to_string(&path).with_context(|| format!("{} (Linux only)", path.display()))
    }

    /// User and system time so far.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).context("stat");
        // 100 ticks a second on every Linux that Rust runs on.
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    fn peak_mb(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kb: f64 = line.split_whitespace().next().context("VmHWM")?.parse()?;
        Ok(kb / 1000.0)
    }
}

/// The binary with none of the developer's own settings.
fn told(binary: &Path, data: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars() {
        if ["REHEARSAL_", "ANTHROPIC_", "OPENAI_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.env("REHEARSAL_DATA_DIR", data);
    command
}

/// What a command prints.
fn said(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let out = child.wait_with_output()?;
    ensure!(out.status.success(), "a command of the server failed");
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}
