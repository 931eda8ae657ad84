//! A server of its own: the real binary on a free port over an empty folder.

use crate::process::{Tell, tell};
use reqwest::Client;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

pub use crate::user::User;

/// The password of every account.
pub const PASSWORD: &str = "correct horse battery";

/// How long a start may take on a busy machine.
const READY: Duration = Duration::from_secs(60);
/// How long an end may take: what the product promises is told by whoever
/// waits; this only keeps a test from hanging.
const END: Duration = Duration::from_secs(60);

/// The binary `rehearsal`. Tests of `server` know it as
/// `env!("CARGO_BIN_EXE_rehearsal")`.
#[derive(Clone, Debug)]
pub struct Binary(PathBuf);

impl Binary {
    /// The binary at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        // A developer's own settings and keys have no say here.
        for (name, _) in std::env::vars() {
            if ["REHEARSAL_", "ANTHROPIC_", "OPENAI_", "LEPTOS_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
    }
}

/// A server and its folder. Dropping it ends the process and, where the test
/// fails, prints the server's log.
pub struct House {
    binary: Binary,
    child: Option<Child>,
    settings: Vec<(String, String)>,
    /// Its log goes into a pipe that nobody reads.
    unread_log: bool,
    data: PathBuf,
    folder: TempDir,
    /// Where it listens; the same in every life.
    pub addr: SocketAddr,
    /// Asks as nobody in particular.
    pub client: Client,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The smallest folder that passes for a site: what a browser loads is not
/// looked at here.
fn site(folder: &Path) -> PathBuf {
    let site = folder.join("no-site");
    std::fs::create_dir_all(site.join("pkg")).unwrap();
    std::fs::write(site.join("site.json"), r#"{"output_name": "none"}"#).unwrap();
    site
}

impl House {
    /// A house that is not started yet.
    #[must_use]
    pub fn of(binary: &Binary) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        Self {
            binary: binary.clone(),
            child: None,
            settings: Vec::new(),
            unread_log: false,
            data: folder.path().to_owned(),
            folder,
            addr: SocketAddr::from(([127, 0, 0, 1], free_port())),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// A started house with the usual settings.
    pub async fn new(binary: &Binary) -> Self {
        Self::of(binary).started().await
    }

    /// With this setting, in every life from the next start on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// With its log in a pipe that is open and that nobody reads.
    #[must_use]
    pub fn with_unread_log(mut self) -> Self {
        self.unread_log = true;
        self
    }

    /// With its data in this folder in place of one of its own.
    #[must_use]
    pub fn over(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = data.into();
        self
    }

    /// This house, started and ready.
    pub async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    /// The folder of the database.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Panics
    /// When it is not, within a minute.
    pub async fn start(&mut self) {
        self.spawn();
        assert!(self.comes_up(READY).await, "it does not come up: {}", self.log());
    }

    /// Waits until the process is ready; `false` when it ends, or so long
    /// passes first.
    pub async fn comes_up(&mut self, longest: Duration) -> bool {
        let began = Instant::now();
        while !self.is_ready().await {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || began.elapsed() >= longest {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Starts the process and waits for nothing.
    ///
    /// # Panics
    /// When it runs already.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log.txt"))
            .unwrap();
        let child = self
            .binary
            .command()
            .arg("serve")
            .env("REHEARSAL_DATA_DIR", &self.data)
            .env("REHEARSAL_ADDR", self.addr.to_string())
            .env("REHEARSAL_SITE_DIR", site(self.folder.path()))
            .env("REHEARSAL_SIGN_UP", "open")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(if self.unread_log { Stdio::piped() } else { log.into() })
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://{}/health/ready", self.addr);
        self.client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// A metric without labels; 0 where it is not told.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.client.get(format!("http://{}/metrics", self.addr)).send().await;
        let Ok(answer) = answer else { return 0.0 };
        let text = answer.text().await.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
    }

    /// What it has logged in all of its lives.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default()
    }

    /// The id of the process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("the process runs")
    }

    /// kill -9: ends the process as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        tell(self.child(), Tell::Die);
        self.child.take().expect("runs").wait().unwrap();
    }

    /// kill -9, where it has not ended by itself.
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits for the end; answers how it ended and after how long.
    ///
    /// # Panics
    /// When it does not run, or does not end within a minute.
    pub async fn stop(&mut self) -> (ExitStatus, Duration) {
        self.signal();
        self.ended().await
    }

    /// SIGTERM, without waiting.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&mut self) {
        tell(self.child(), Tell::Stop);
    }

    /// Waits for its end; answers how it ended and after how long.
    ///
    /// # Panics
    /// When it does not run, or does not end within a minute.
    pub async fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child().try_wait().unwrap() {
                self.child = None;
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < END, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGSTOP: the process stands still.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&mut self) {
        tell(self.child(), Tell::Pause);
    }

    /// SIGCONT: it goes on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&mut self) {
        tell(self.child(), Tell::Resume);
    }

    /// A command beside the server, with its settings; whether it succeeded, and what it printed
    /// (its errors, where it did not).
    #[must_use]
    pub fn command(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = self
            .binary
            .command()
            .args(arguments)
            .env("REHEARSAL_DATA_DIR", &self.data)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
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
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn user(&self, email: &str) -> User {
        let made =
            self.command(&["user", "create", "--email", email, "--password-stdin"], PASSWORD);
        assert!(made.0, "{}", made.1);
        let (ok, token) =
            self.command(&["token", "create", "--email", email, "--name", "test"], "");
        assert!(ok, "{token}");
        assert!(!token.contains(char::is_whitespace), "the token alone: {token:?}");
        User {
            base: format!("http://{}", self.addr),
            client: self.client.clone(),
            email: email.to_owned(),
            token,
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

/// The `id` of a thing.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}
