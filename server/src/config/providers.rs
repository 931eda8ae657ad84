//! Server-wide connections, as the settings name them.

use super::values::{base_url, secret};
use clap::Args;
use domain::ConnectionKind;
use secrecy::{ExposeSecret, SecretString};
use services::endpoints::ServerConnection;

/// Server-wide connections. Each is there when its key is; a variable that is
/// set and empty is as good as none, for that is how scripts spell it.
#[derive(Args, Clone, Debug)]
pub struct ProviderArgs {
    /// Offers a connection to Anthropic to every user
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, value_parser = secret)]
    pub(super) anthropic_api_key: Option<SecretString>,

    /// Where it leads
    #[arg(long, env = "ANTHROPIC_BASE_URL", value_parser = base_url)]
    pub(super) anthropic_base_url: Option<String>,

    /// Offers a connection to an OpenAI-compatible server to every user
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = secret)]
    pub(super) openai_api_key: Option<SecretString>,

    /// Where it leads
    #[arg(long, env = "OPENAI_BASE_URL", value_parser = base_url)]
    pub(super) openai_base_url: Option<String>,
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
    /// What the values say together: each contradiction, as a sentence.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let urls = [
            (self.anthropic(), &self.anthropic_base_url, "ANTHROPIC"),
            (self.openai(), &self.openai_base_url, "OPENAI"),
        ];
        let lone = urls.into_iter().filter(|(made, url, _)| {
            made.is_none() && url.as_ref().is_some_and(|url| !url.is_empty())
        });
        lone.map(|(_, _, name)| format!("{name}_BASE_URL is set, but {name}_API_KEY is not."))
            .collect()
    }

    /// The connections that this server offers to every user, in the order in
    /// which they are listed. The same variables always give the same ids.
    #[must_use]
    pub fn connections(&self) -> Vec<ServerConnection> {
        let one = |kind, found: Option<ServerWide>| {
            found.map(|it| ServerConnection::new(kind, it.base_url.as_deref(), Some(it.key)))
        };
        let anthropic = one(ConnectionKind::Anthropic, self.anthropic());
        let openai = one(ConnectionKind::OpenAi, self.openai());
        anthropic.into_iter().chain(openai).collect()
    }

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
