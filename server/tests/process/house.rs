//! A server of its own: the real binary on a free port over an empty folder.

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running server and who asks it.
pub(crate) struct House {
    child: Option<Child>,
    pub(crate) folder: TempDir,
    pub(crate) addr: SocketAddr,
    pub(crate) client: Client,
    /// More settings.
    settings: Vec<(&'static str, &'static str)>,
}

/// A person or program with a token.
#[derive(Clone)]
pub(crate) struct User {
    base: String,
    client: Client,
    pub(crate) token: String,
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rehearsal"));
    // A developer's own settings and keys have no say here.
    for (name, _) in std::env::vars() {
        if ["REHEARSAL_", "ANTHROPIC_", "OPENAI_", "LEPTOS_"].iter().any(|p| name.starts_with(p)) {
            command.env_remove(name);
        }
    }
    command
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The smallest folder that passes for a site: pages are not looked at here.
fn site(folder: &Path) -> std::path::PathBuf {
    let site = folder.join("no-site");
    std::fs::create_dir_all(site.join("pkg")).unwrap();
    std::fs::write(site.join("site.json"), r#"{"output_name": "none"}"#).unwrap();
    site
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With more settings.
    pub(crate) async fn with(settings: &[(&'static str, &'static str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let client = Client::builder().no_proxy().build().unwrap();
        let mut house = Self { child: None, folder, addr, client, settings: settings.to_vec() };
        house.start().await;
        house
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log.txt"))
            .unwrap();
        let child = binary()
            .arg("serve")
            .env("REHEARSAL_DATA_DIR", self.folder.path())
            .env("REHEARSAL_ADDR", self.addr.to_string())
            .env("REHEARSAL_SITE_DIR", site(self.folder.path()))
            .env("REHEARSAL_SIGN_UP", "open")
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        loop {
            let url = format!("http://{}/health/ready", self.addr);
            if self.client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default()
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the process to stop, as a service manager would.
    pub(crate) fn signal(&self) {
        let pid = self.child.as_ref().expect("runs").id();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended; answers its code and how long it took.
    pub(crate) async fn ended(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let mut child = self.child.take().expect("runs");
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code(), began.elapsed());
            }
            if began.elapsed() > Duration::from_secs(60) {
                let _ = child.kill();
                panic!("it does not end: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A command beside the server; answers what it prints.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = binary()
            .args(arguments)
            .env("REHEARSAL_DATA_DIR", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let lines = BufReader::new(&out.stdout[..]).lines().map_while(Result::ok);
        let text = lines.collect::<Vec<_>>().join("\n");
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.success(), if out.status.success() { text } else { errors })
    }

    /// An account with a token, made on the command line.
    pub(crate) fn user(&self, email: &str) -> User {
        let made =
            self.command(&["user", "create", "--email", email, "--password-stdin"], PASSWORD);
        assert!(made.0, "{}", made.1);
        let (ok, token) =
            self.command(&["token", "create", "--email", email, "--name", "test"], "");
        assert!(ok, "{token}");
        assert!(!token.contains(char::is_whitespace), "the token alone: {token:?}");
        User { base: format!("http://{}", self.addr), client: self.client.clone(), token }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

impl User {
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.ask(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Makes something; answers it.
    pub(crate) async fn make(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A connection and an agent over it.
    pub(crate) async fn agent(&self, kind: &str, base_url: &str) -> Value {
        let connection = json!({"name": format!("Stand {kind}"), "kind": kind,
            "base_url": base_url, "api_key": "sk-test-1234567890"});
        let connection = self.make("/connections", &connection).await;
        let agent = json!({"name": "Desk", "system_prompt": "You help.", "model": "m",
            "connection_id": connection["id"]});
        self.make("/agents", &agent).await
    }

    /// A scenario of `turns` user turns.
    pub(crate) async fn scenario(&self, name: &str, turns: usize) -> Value {
        let flow: Vec<_> = (0..turns)
            .map(|i| json!({"speaker": "user", "message": format!("{name} question {i}")}))
            .collect();
        let scenario = json!({"name": name, "category": "support", "conversation_flow": flow,
            "expected_behaviors": [{"text": "Offers help"}]});
        self.make("/scenarios", &scenario).await
    }

    /// The same door with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Waits until a suite is final; answers it.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        let began = Instant::now();
        loop {
            let suite = self.get(&format!("/suites/{id}")).await;
            if ["finished", "cancelled"].contains(&suite["status"].as_str().unwrap()) {
                return suite;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "not finished: {suite}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}
