//! The real binary as a process, on a free port over an empty data folder.

use crate::ApiClient;
use crate::history::database_file;
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// The password of every account.
pub const PASSWORD: &str = "correct horse battery";

/// The time that a start may take on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Keeps a test from hanging. Tests assert the product's own limits themselves.
const EXIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The path of the binary `rehearsal`.
#[derive(Clone, Debug)]
pub struct Binary(PathBuf);

impl Binary {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// A command without the settings and API keys of the developer.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        let prefixes = ["REHEARSAL_", "ANTHROPIC_", "OPENAI_", "LEPTOS_"];
        for (name, _) in std::env::vars() {
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// A server process and its data folder. Dropping it kills the process and, in
/// a failing test, prints the server's log.
pub struct TestServer {
    binary: Binary,
    child: Option<Child>,
    env: Vec<(String, String)>,
    unread_log: bool,
    data_dir: PathBuf,
    temp_dir: TempDir,
    /// The listen address, which a restart keeps.
    pub addr: SocketAddr,
    /// A client without credentials.
    pub client: Client,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The smallest folder that the server accepts as a site.
fn minimal_site(folder: &Path) -> PathBuf {
    let site = folder.join("no-site");
    std::fs::create_dir_all(site.join("pkg")).unwrap();
    std::fs::write(site.join("site.json"), r#"{"output_name": "none"}"#).unwrap();
    site
}

impl TestServer {
    /// A server that is not started yet.
    pub fn new(binary: &Binary) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temp_dir = tempfile::tempdir().unwrap();
        Self {
            binary: binary.clone(),
            child: None,
            env: Vec::new(),
            unread_log: false,
            data_dir: temp_dir.path().to_owned(),
            temp_dir,
            addr: SocketAddr::from(([127, 0, 0, 1], free_port())),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Sets an environment variable for every later start and command.
    pub fn with_env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sends the log to a pipe that stays open and is never read.
    pub fn with_unread_log(mut self) -> Self {
        self.unread_log = true;
        self
    }

    pub fn with_data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = path.into();
        self
    }

    pub async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Starts the process and waits up to a minute until it is ready.
    pub async fn start(&mut self) {
        self.spawn();
        assert!(self.wait_until_ready(START_TIMEOUT).await, "not ready: {}", self.log());
    }

    /// Returns `false` when the process exits or `timeout` passes first.
    pub async fn wait_until_ready(&mut self, timeout: Duration) -> bool {
        let start = Instant::now();
        while !self.is_ready().await {
            let exited = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if exited.is_some() || start.elapsed() >= timeout {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Starts the process without waiting.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the server is already running");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.temp_dir.path().join("log.txt"))
            .unwrap();
        let child = self
            .binary
            .command()
            .arg("serve")
            .env("REHEARSAL_DATA_DIR", &self.data_dir)
            .env("REHEARSAL_ADDR", self.addr.to_string())
            .env("REHEARSAL_SITE_DIR", minimal_site(self.temp_dir.path()))
            .env("REHEARSAL_SIGN_UP", "open")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(if self.unread_log { Stdio::piped() } else { log.into() })
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub async fn is_ready(&self) -> bool {
        let url = format!("http://{}/health/ready", self.addr);
        self.client.get(url).send().await.is_ok_and(|response| response.status().is_success())
    }

    /// The metrics in Prometheus' text format.
    pub async fn metrics(&self) -> String {
        let response = self.client.get(format!("http://{}/metrics", self.addr)).send().await;
        let response = response.unwrap();
        assert!(response.status().is_success(), "/metrics: {}", response.status());
        response.text().await.unwrap()
    }

    /// Opens the server's database for reading and writing.
    pub async fn open_database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(database_file(&self.data_dir))
            .busy_timeout(Duration::from_secs(10));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Blocks all writes to the database until the connection is closed.
    pub async fn lock_database(&self) -> SqliteConnection {
        let mut connection = self.open_database().await;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        connection
    }

    /// The log of all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.temp_dir.path().join("log.txt")).unwrap_or_default()
    }

    /// The process id while the server runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Panics when the process has exited: its id may be reused by then.
    fn send_signal(&mut self, signal: Signal) {
        let child = self.child.as_mut().expect("the server runs");
        let exited = child.try_wait().unwrap();
        assert!(exited.is_none(), "the server has exited: {exited:?}");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Sends SIGKILL to the running process.
    pub fn kill(&mut self) {
        self.send_signal(Signal::KILL);
        self.child.take().expect("the server runs").wait().unwrap();
    }

    /// Sends SIGKILL unless the process has exited.
    pub fn kill_if_running(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends SIGTERM and waits for the exit.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.send_sigterm();
        self.wait_for_exit().await
    }

    pub fn send_sigterm(&mut self) {
        self.send_signal(Signal::TERM);
    }

    /// Waits up to a minute for the exit. Returns its status and the waiting time.
    pub async fn wait_for_exit(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            let child = self.child.as_mut().expect("the server runs");
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < EXIT_TIMEOUT, "the server does not exit: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends SIGSTOP.
    pub fn pause(&mut self) {
        self.send_signal(Signal::STOP);
    }

    /// Sends SIGCONT.
    pub fn resume(&mut self) {
        self.send_signal(Signal::CONT);
    }

    /// Runs another subcommand with the environment of the server. Returns
    /// whether it succeeded, and its output (its errors when it failed).
    pub fn run_command(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let output = self.command_output(arguments, input);
        let success = output.status.success();
        let bytes = if success { output.stdout } else { output.stderr };
        (success, text_of(&bytes))
    }

    /// Runs another subcommand, which must succeed. Returns its output and its log.
    pub fn run_command_with_log(&self, arguments: &[&str], input: &str) -> (String, String) {
        let output = self.command_output(arguments, input);
        let log = text_of(&output.stderr);
        assert!(output.status.success(), "{log}");
        (text_of(&output.stdout), log)
    }

    fn command_output(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .binary
            .command()
            .args(arguments)
            .env("REHEARSAL_DATA_DIR", &self.data_dir)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Creates an account and a token with the command line.
    pub fn create_user(&self, email: &str) -> ApiClient {
        let create = ["user", "create", "--email", email, "--password-stdin"];
        let (created, output) = self.run_command(&create, PASSWORD);
        assert!(created, "{output}");
        let (created, token) =
            self.run_command(&["token", "create", "--email", email, "--name", "test"], "");
        assert!(created, "{token}");
        assert!(!token.contains(char::is_whitespace), "only the token: {token:?}");
        ApiClient {
            base: format!("http://{}", self.addr),
            client: self.client.clone(),
            email: email.to_owned(),
            token,
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill_if_running();
        if std::thread::panicking() {
            eprintln!("--- server log\n{}", self.log());
        }
    }
}

/// The value of one series, with its labels spelled as in the metrics.
pub fn metric_value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line?.trim().parse().ok()
}

/// The field `id` of a resource.
pub fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}
