//! Settings from flags and environment variables. All invalid settings are reported at
//! once.

mod network;
mod providers;
mod secret_key;
#[cfg(test)]
mod tests;
mod values;

pub use network::NetworkArgs;
pub use providers::{ProviderArgs, ServerWide};
pub use secret_key::SecretKey;
pub use values::duration;

use crate::http::{ClientLimits, HttpSettings, Network};
use crate::incoming::{ConnectionLimits, ConnectionTimeouts, file_limit};
use clap::{Args, ValueEnum};
use domain::NanoUsd;
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use values::{budget, networks, public_url, secret};

#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    /// Directory of the database, the secret key and the lock file
    #[arg(long, env = "REHEARSAL_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// Database: `sqlite:PATH`; default: a file in the data directory
    #[arg(long, env = "REHEARSAL_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Encryption key for API keys: 32 bytes in base64; default: generated in the data
    /// directory at the first start
    #[arg(long, env = "REHEARSAL_SECRET_KEY", hide_env_values = true)]
    pub secret_key: Option<SecretKey>,
}

#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    pub data: DataArgs,

    /// Address to listen on
    #[arg(long, env = "REHEARSAL_ADDR", default_value = "127.0.0.1:3000")]
    pub addr: SocketAddr,

    /// Public URL, like `https://rehearsal.example.com`
    #[arg(long, env = "REHEARSAL_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Proxies whose X-Forwarded-For is trusted: addresses or networks, separated by commas
    #[arg(long, env = "REHEARSAL_TRUSTED_PROXIES", value_parser = networks, default_value = "")]
    pub trusted_proxies: Networks,

    /// Allow connections to private networks; default: only while listening on a loopback
    /// address without a public URL and trusted proxies
    #[arg(long, env = "REHEARSAL_ALLOW_PRIVATE_URLS")]
    pub allow_private_urls: Option<bool>,

    /// Who may sign up
    #[arg(long, env = "REHEARSAL_SIGN_UP", value_enum, default_value_t = SignUp::First)]
    pub sign_up: SignUp,

    /// Bearer token for `/metrics`; without it, only this machine can read the metrics
    #[arg(long, env = "REHEARSAL_METRICS_TOKEN", hide_env_values = true, value_parser = secret)]
    pub metrics_token: Option<SecretString>,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub clients: ClientArgs,

    /// Days after which finished suites and their runs are deleted; default: never
    #[arg(long, env = "REHEARSAL_KEEP_DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub keep_days: Option<u32>,

    #[command(flatten)]
    pub providers: ProviderArgs,

    #[command(flatten)]
    pub network: NetworkArgs,

    #[command(flatten)]
    pub log: LogArgs,

    /// Directory of the static files; found automatically in builds and releases
    #[arg(long, env = "REHEARSAL_SITE_DIR")]
    pub site_dir: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Concurrent runs per suite, unless the suite sets its own limit
    #[arg(long, env = "REHEARSAL_RUNS_PER_SUITE", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    pub runs_per_suite: u32,

    /// Concurrent runs per user
    #[arg(long, env = "REHEARSAL_RUNS_PER_USER", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs_per_user: u32,

    /// Concurrent model calls of this server
    #[arg(long, env = "REHEARSAL_MAX_CALLS", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_calls: u32,

    /// Maximum unfinished runs per user
    #[arg(long, env = "REHEARSAL_QUEUE_PER_USER", default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue_per_user: u32,

    /// Megabytes of transcripts per user from which on nothing new is started
    #[arg(long, env = "REHEARSAL_TRANSCRIPT_MB_PER_USER", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub transcript_mb_per_user: u64,

    /// US dollars that a user may spend on model calls per day (UTC), like `25` or `0.5`, unless
    /// the user sets another budget; default: no limit
    #[arg(long, env = "REHEARSAL_DAILY_BUDGET_USD", value_parser = budget)]
    pub daily_budget_usd: Option<NanoUsd>,

    /// Timeout of a model call, like `120s`; between the parts of a streamed answer
    #[arg(long, env = "REHEARSAL_CALL_TIMEOUT", default_value = "120s", value_parser = duration)]
    pub call_timeout: Duration,

    /// How long a run waits for an open circuit breaker, like `60s`; `0s` disables waiting
    #[arg(long, env = "REHEARSAL_CIRCUIT_WAIT", default_value = "60s", value_parser = duration)]
    pub circuit_wait: Duration,

    /// How long a connection may fail before runs that have not begun end, like `15m`
    #[arg(long, env = "REHEARSAL_OUTAGE_WAIT", default_value = "15m", value_parser = duration)]
    pub outage_wait: Duration,

    /// How long a run waits while a rate limit lets no call through, like `10m`
    #[arg(long, env = "REHEARSAL_MAX_WAIT", default_value = "10m", value_parser = duration)]
    pub max_wait: Duration,
}

/// Limits of incoming connections.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Open connections of this server
    #[arg(long, env = "REHEARSAL_MAX_CONNECTIONS", default_value_t = 8192,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Open connections per client address; behind trusted proxies, requests being answered
    #[arg(long, env = "REHEARSAL_CONNECTIONS_PER_ADDRESS", default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections_per_address: u32,

    /// Open event streams per client address
    #[arg(long, env = "REHEARSAL_STREAMS_PER_ADDRESS", default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub streams_per_address: u32,

    /// Open event streams per user
    #[arg(long, env = "REHEARSAL_STREAMS_PER_USER", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub streams_per_user: u32,

    /// Time for a client to send the headers of a request, like `10s`
    #[arg(long, env = "REHEARSAL_HEADER_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,

    /// Time for a client to send the body of a request, like `120s`
    #[arg(long, env = "REHEARSAL_BODY_TIMEOUT", default_value = "120s", value_parser = duration)]
    pub body_timeout: Duration,

    /// How long a connection may be idle, or its client not read a response, like `75s`
    #[arg(long, env = "REHEARSAL_IDLE_TIMEOUT", default_value = "75s", value_parser = duration)]
    pub idle_timeout: Duration,
}

/// The value of one setting, so that clap does not parse it as repeated flag.
pub type Networks = std::sync::Arc<[Network]>;

#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Log level, or directives like `info,engine=debug`
    #[arg(id = "log", long = "log", env = "REHEARSAL_LOG", default_value = "info",
        value_parser = crate::log_filter::directives)]
    pub directives: String,

    /// Log format
    #[arg(long = "log-format", env = "REHEARSAL_LOG_FORMAT", value_enum,
        default_value_t = LogFormat::Text)]
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignUp {
    /// Only the first account
    First,
    /// Anyone
    Open,
    /// No one; `rehearsal user create` creates accounts
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable text
    Text,
    /// One JSON object per line
    Json,
}

impl ServeArgs {
    /// Checks combinations of settings.
    ///
    /// # Errors
    /// A message for each conflict.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut conflicts = Vec::new();
        if self.limits.circuit_wait > self.limits.max_wait {
            conflicts
                .push("REHEARSAL_CIRCUIT_WAIT must not be longer than REHEARSAL_MAX_WAIT.".into());
        }
        if self.limits.call_timeout.is_zero() {
            conflicts.push("REHEARSAL_CALL_TIMEOUT must be greater than zero.".into());
        }
        let timeouts = [
            (self.clients.header_timeout, "REHEARSAL_HEADER_TIMEOUT"),
            (self.clients.body_timeout, "REHEARSAL_BODY_TIMEOUT"),
            (self.clients.idle_timeout, "REHEARSAL_IDLE_TIMEOUT"),
        ];
        let zero = timeouts.iter().filter(|(timeout, _)| timeout.is_zero());
        conflicts.extend(zero.map(|(_, name)| format!("{name} must be greater than zero.")));
        conflicts.extend(self.providers.check());
        conflicts.extend(self.network.check());
        if let Some(url) = &self.data.database_url
            && !url.starts_with("sqlite:")
        {
            conflicts.push("REHEARSAL_DATABASE_URL must start with sqlite:".to_owned());
        }
        if conflicts.is_empty() { Ok(()) } else { Err(conflicts) }
    }

    /// Whether connections to private networks are allowed. By default only while the
    /// server listens on a loopback address and no setting says that a reverse proxy
    /// makes it available to others.
    #[must_use]
    pub fn private_urls_allowed(&self) -> bool {
        let has_proxy = self.public_url.as_ref().is_some_and(|url| !url.is_empty())
            || !self.trusted_proxies.is_empty();
        self.allow_private_urls.unwrap_or_else(|| self.addr.ip().is_loopback() && !has_proxy)
    }

    /// Settings of the HTTP layer; `site` is the directory of the static files.
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
            client_limits: ClientLimits {
                requests_per_address: size(self.clients.connections_per_address),
                streams_per_address: size(self.clients.streams_per_address),
                streams_per_user: size(self.clients.streams_per_user),
                body_timeout: self.clients.body_timeout,
            },
        }
    }

    /// Limits of incoming connections. Raises the limit of open files for them.
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            total: file_limit::raise(size(self.clients.max_connections)),
            per_address: size(self.clients.connections_per_address),
            trusted_proxies: self.trusted_proxies.to_vec(),
            timeouts: ConnectionTimeouts {
                headers: self.clients.header_timeout,
                idle: self.clients.idle_timeout,
            },
        }
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
