//! The settings: flags and environment, read once at the start, checked all
//! together, each refusal a sentence.

use crate::http::{HttpSettings, Network};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where the data is; what every command needs.
#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    /// The folder of the database, the secret key and the engine's lock
    #[arg(long, env = "REHEARSAL_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// The database: `sqlite:PATH`; a file in the data folder when absent
    #[arg(long, env = "REHEARSAL_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// 32 bytes in base64, under which keys are encrypted; made on the first
    /// start into the data folder when absent
    #[arg(long, env = "REHEARSAL_SECRET_KEY", hide_env_values = true)]
    pub secret_key: Option<SecretKey>,
}

/// Everything `serve` can be told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub data: DataArgs,

    /// Where to listen
    #[arg(long, env = "REHEARSAL_ADDR", default_value = "127.0.0.1:3000")]
    pub addr: SocketAddr,

    /// The address that people use, like `https://rehearsal.example.com`
    #[arg(long, env = "REHEARSAL_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Proxies whose forwarded headers count: addresses or networks, with commas
    #[arg(long, env = "REHEARSAL_TRUSTED_PROXIES", value_parser = networks, default_value = "")]
    pub trusted_proxies: Networks,

    /// Whether connections may lead into private networks; by default only
    /// while listening on loopback
    #[arg(long, env = "REHEARSAL_ALLOW_PRIVATE_URLS")]
    pub allow_private_urls: Option<bool>,

    /// Who may sign up
    #[arg(long, env = "REHEARSAL_SIGN_UP", value_enum, default_value_t = SignUp::First)]
    pub sign_up: SignUp,

    /// Opens `/metrics` to whoever sends this as a bearer token; without it
    /// only this machine may read them
    #[arg(long, env = "REHEARSAL_METRICS_TOKEN", hide_env_values = true, value_parser = secret)]
    pub metrics_token: Option<SecretString>,

    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub limits: LimitArgs,

    /// Days after which finished suites are deleted with everything in them;
    /// kept for ever when absent
    #[arg(long, env = "REHEARSAL_KEEP_DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub keep_days: Option<u32>,

    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub providers: ProviderArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the arguments say themselves
    pub log: LogArgs,

    /// The folder of the site's files; found by itself beside a build and
    /// inside a release
    #[arg(long, env = "REHEARSAL_SITE_DIR")]
    pub site_dir: Option<PathBuf>,
}

/// How much at once, and how long.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Runs of one suite at once, where the suite does not say
    #[arg(long, env = "REHEARSAL_RUNS_PER_SUITE", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    pub runs_per_suite: u32,

    /// Runs of one user at once
    #[arg(long, env = "REHEARSAL_RUNS_PER_USER", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs_per_user: u32,

    /// Model calls of this server at once
    #[arg(long, env = "REHEARSAL_MAX_CALLS", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_calls: u32,

    /// Unfinished runs of one user
    #[arg(long, env = "REHEARSAL_QUEUE_PER_USER", default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue_per_user: u32,

    /// The longest model call, like `120s`
    #[arg(long, env = "REHEARSAL_CALL_TIMEOUT", default_value = "120s", value_parser = duration)]
    pub call_timeout: Duration,

    /// How long a run waits for an open circuit, like `60s`; `0s` not at all
    #[arg(long, env = "REHEARSAL_CIRCUIT_WAIT", default_value = "60s", value_parser = duration)]
    pub circuit_wait: Duration,

    /// How long a run may be parked altogether, like `10m`
    #[arg(long, env = "REHEARSAL_MAX_WAIT", default_value = "10m", value_parser = duration)]
    pub max_wait: Duration,
}

/// Networks, as one setting.
pub type Networks = std::sync::Arc<[Network]>;

/// Server-wide connections. Each is there when its key is; a variable that is
/// set and empty is as good as none, for that is how scripts spell it.
#[derive(Args, Clone, Debug)]
pub struct ProviderArgs {
    /// Offers a connection to Anthropic to every user
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, value_parser = secret)]
    anthropic_api_key: Option<SecretString>,

    /// Where it leads
    #[arg(long, env = "ANTHROPIC_BASE_URL", value_parser = base_url)]
    anthropic_base_url: Option<String>,

    /// Offers a connection to an OpenAI-compatible server to every user
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = secret)]
    openai_api_key: Option<SecretString>,

    /// Where it leads
    #[arg(long, env = "OPENAI_BASE_URL", value_parser = base_url)]
    openai_base_url: Option<String>,
}

/// A server-wide connection.
#[derive(Clone, Debug)]
pub struct ServerWide {
    /// Its key.
    pub key: SecretString,
    /// Where it leads; the vendor's own address when absent.
    pub base_url: Option<String>,
}

impl ProviderArgs {
    /// The connection to Anthropic, if there is one.
    #[must_use]
    pub fn anthropic(&self) -> Option<ServerWide> {
        server_wide(self.anthropic_api_key.as_ref(), self.anthropic_base_url.as_ref())
    }

    /// The connection to an OpenAI-compatible server, if there is one.
    #[must_use]
    pub fn openai(&self) -> Option<ServerWide> {
        server_wide(self.openai_api_key.as_ref(), self.openai_base_url.as_ref())
    }
}

fn server_wide(key: Option<&SecretString>, url: Option<&String>) -> Option<ServerWide> {
    let key = key.filter(|key| !key.expose_secret().is_empty())?.clone();
    Some(ServerWide { key, base_url: url.filter(|url| !url.is_empty()).cloned() })
}

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The level, or directives like `info,server::engine=debug`
    #[arg(id = "log", long = "log", env = "REHEARSAL_LOG", default_value = "info",
        value_parser = crate::log_filter::directives)]
    pub directives: String,

    /// The form of the lines
    #[arg(long = "log-format", env = "REHEARSAL_LOG_FORMAT", value_enum,
        default_value_t = LogFormat::Text)]
    pub format: LogFormat,
}

/// Who may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignUp {
    /// Only the first account.
    First,
    /// Everybody.
    Open,
    /// Nobody; `rehearsal user create` makes accounts.
    Closed,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The key under which secrets are encrypted. Does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its spelling in base64, as the settings take it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl FromStr for SecretKey {
    type Err = String;

    /// Reads base64, with or without padding, of either alphabet.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bytes = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|engine| engine.decode(text).ok())
            .ok_or("must be base64, like the output of `openssl rand -base64 32`")?;
        let length = bytes.len();
        let bytes = <[u8; 32]>::try_from(bytes);
        bytes.map(Self).map_err(|_| format!("must be 32 bytes in base64, is {length}"))
    }
}

impl ServeArgs {
    /// What the values say together, where each is right by itself.
    ///
    /// # Errors
    /// Every contradiction, as a sentence.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        if self.limits.circuit_wait > self.limits.max_wait {
            wrong.push("REHEARSAL_CIRCUIT_WAIT must not be longer than REHEARSAL_MAX_WAIT.".into());
        }
        if self.limits.call_timeout.is_zero() {
            wrong.push("REHEARSAL_CALL_TIMEOUT must be longer than nothing.".into());
        }
        let providers = &self.providers;
        for (made, url, name) in [
            (providers.anthropic(), &providers.anthropic_base_url, "ANTHROPIC"),
            (providers.openai(), &providers.openai_base_url, "OPENAI"),
        ] {
            if made.is_none() && url.as_ref().is_some_and(|url| !url.is_empty()) {
                wrong.push(format!("{name}_BASE_URL is set, but {name}_API_KEY is not."));
            }
        }
        if let Some(url) = &self.data.database_url
            && !url.starts_with("sqlite:")
        {
            wrong.push("REHEARSAL_DATABASE_URL must start with sqlite:".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Whether connections may lead into private networks: as told, else only
    /// while nobody but this machine can reach the server.
    #[must_use]
    pub fn private_urls_allowed(&self) -> bool {
        self.allow_private_urls.unwrap_or_else(|| self.addr.ip().is_loopback())
    }

    /// What HTTP needs to know; `site` is the folder of the site's files.
    #[must_use]
    pub fn http(&self, site: PathBuf) -> HttpSettings {
        HttpSettings {
            public_url: self.public_url.clone().filter(|url| !url.is_empty()),
            trusted_proxies: self.trusted_proxies.to_vec(),
            site,
            metrics_token: self
                .metrics_token
                .clone()
                .filter(|token| !token.expose_secret().is_empty()),
        }
    }
}

/// A time like `500ms`, `120s`, `10m`, `2h`; a plain number is seconds.
///
/// # Errors
/// A sentence with an example.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("{text:?} is not a time like 500ms, 120s, 10m or 2h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit.trim() {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    let day = 24 * 3_600_000;
    match millis {
        Some(millis) if millis <= day => Ok(Duration::from_millis(millis)),
        Some(_) => Err(format!("{text:?} is longer than a day")),
        None => Err(wrong()),
    }
}

fn secret(text: &str) -> Result<SecretString, String> {
    match text.trim() {
        text if text.chars().any(|c| c.is_control() || !c.is_ascii()) => {
            Err("must be plain ASCII on one line".into())
        }
        text => Ok(text.into()),
    }
}

fn networks(text: &str) -> Result<Networks, String> {
    text.split(',').filter(|part| !part.trim().is_empty()).map(str::parse).collect()
}

fn base_url(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(String::new());
    }
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']) => {
            Ok(text.to_owned())
        }
        _ => Err("must start with https:// or http:// and name a server".into()),
    }
}

/// An origin: nothing after the host and port.
fn public_url(text: &str) -> Result<String, String> {
    let url = base_url(text)?;
    let host = url.split_once("://").map_or("", |(_, host)| host);
    if host.contains('/') {
        return Err("must have no path: Rehearsal stands at the root of its address".into());
    }
    Ok(url.to_ascii_lowercase())
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
