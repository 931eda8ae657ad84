//! The settings: flags and environment, read once at the start, checked all
//! together, each refusal a sentence.

mod providers;
mod secret_key;
#[cfg(test)]
mod tests;
mod values;

pub use providers::{ProviderArgs, ServerWide};
pub use secret_key::SecretKey;
pub use values::duration;

use crate::http::{HttpSettings, Network};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use values::{networks, public_url, secret};

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

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The level, or directives like `info,engine=debug`
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
        wrong.extend(self.providers.check());
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
