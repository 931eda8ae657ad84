//! Settings of server-wide connections.

use super::values::{base_url, secret};
use clap::Args;
use domain::ConnectionKind;
use secrecy::{ExposeSecret, SecretString};
use services::endpoints::ServerConnection;

/// A connection exists if its key is set. Empty variables count as unset, because scripts
/// often set them.
#[derive(Args, Clone, Debug)]
pub struct ProviderArgs {
    /// API key of a connection to Anthropic for all users
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, value_parser = secret)]
    pub(super) anthropic_api_key: Option<SecretString>,

    /// Base URL of that connection
    #[arg(long, env = "ANTHROPIC_BASE_URL", value_parser = base_url)]
    pub(super) anthropic_base_url: Option<String>,

    /// API key of a connection to an OpenAI-compatible server for all users
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = secret)]
    pub(super) openai_api_key: Option<SecretString>,

    /// Base URL of that connection
    #[arg(long, env = "OPENAI_BASE_URL", value_parser = base_url)]
    pub(super) openai_base_url: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ServerWide {
    pub key: SecretString,
    /// Default: the provider's own URL.
    pub base_url: Option<String>,
}

impl ProviderArgs {
    /// Checks combinations of settings. Returns a message for each conflict.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let urls = [
            (self.anthropic(), &self.anthropic_base_url, "ANTHROPIC"),
            (self.openai(), &self.openai_base_url, "OPENAI"),
        ];
        let without_key = urls.into_iter().filter(|(connection, url, _)| {
            connection.is_none() && url.as_ref().is_some_and(|url| !url.is_empty())
        });
        without_key
            .map(|(_, _, name)| format!("{name}_BASE_URL is set, but {name}_API_KEY is not."))
            .collect()
    }

    /// The server-wide connections in display order. Their IDs depend only on the settings.
    #[must_use]
    pub fn connections(&self) -> Vec<ServerConnection> {
        let connection = |kind, settings: Option<ServerWide>| {
            settings.map(|s| ServerConnection::new(kind, s.base_url.as_deref(), Some(s.key)))
        };
        let anthropic = connection(ConnectionKind::Anthropic, self.anthropic());
        let openai = connection(ConnectionKind::OpenAi, self.openai());
        anthropic.into_iter().chain(openai).collect()
    }

    #[must_use]
    pub fn anthropic(&self) -> Option<ServerWide> {
        server_wide(self.anthropic_api_key.as_ref(), self.anthropic_base_url.as_ref())
    }

    #[must_use]
    pub fn openai(&self) -> Option<ServerWide> {
        server_wide(self.openai_api_key.as_ref(), self.openai_base_url.as_ref())
    }
}

fn server_wide(key: Option<&SecretString>, url: Option<&String>) -> Option<ServerWide> {
    let key = key.filter(|key| !key.expose_secret().is_empty())?.clone();
    Some(ServerWide { key, base_url: url.filter(|url| !url.is_empty()).cloned() })
}
