//! Presets: what is known about common providers and servers, so that the form of a
//! connection asks only for the rest.

use super::connection::ConnectionKind;
use super::connection_auth::AuthScheme;
use super::string_enum::string_enum;
use serde::{Deserialize, Serialize};

string_enum! {
    /// A provider or server whose address and authentication are known.
    ConnectionPreset {
        OpenAi = "openai" / "OpenAI",
        Anthropic = "anthropic" / "Anthropic",
        AzureOpenAi = "azure_openai" / "Azure OpenAI",
        Gemini = "gemini" / "Google Gemini",
        OpenRouter = "openrouter" / "OpenRouter",
        Groq = "groq" / "Groq",
        Mistral = "mistral" / "Mistral",
        Ollama = "ollama" / "Ollama",
        Vllm = "vllm" / "vLLM",
        LmStudio = "lm_studio" / "LM Studio",
        LlamaCpp = "llama_cpp" / "llama.cpp",
    }
}

/// Whether a preset's server asks for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Calls without a key are rejected.
    Required,
    /// The server asks for a key only if it was started with one.
    Optional,
    /// The server has no keys.
    Unused,
}

/// The facts of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetFacts {
    pub kind: ConnectionKind,
    /// The default base URL. Empty if it depends on a resource of the user.
    pub base_url: &'static str,
    pub auth_scheme: AuthScheme,
    pub key: KeyUse,
    /// Whether users run this server themselves, so that its address often differs.
    pub is_local: bool,
    /// What to know before the first call.
    pub hint: &'static str,
    /// Public documentation of address and authentication, read in November 2026.
    pub source: &'static str,
}

impl ConnectionPreset {
    #[must_use]
    pub fn facts(self) -> PresetFacts {
        match self {
            Self::OpenAi => cloud(
                "https://api.openai.com/v1",
                "Create a key at platform.openai.com/api-keys.",
                "https://platform.openai.com/docs/api-reference/authentication",
            ),
            Self::Anthropic => PresetFacts {
                kind: ConnectionKind::Anthropic,
                auth_scheme: AuthScheme::XApiKey,
                ..cloud(
                    "https://api.anthropic.com",
                    "Create a key at platform.claude.com/settings/keys.",
                    "https://platform.claude.com/docs/en/api/overview",
                )
            },
            // The v1 API needs no dated api-version; the model is the name of a deployment.
            Self::AzureOpenAi => PresetFacts {
                auth_scheme: AuthScheme::ApiKey,
                ..cloud(
                    "",
                    "The model of an agent is the name of your deployment.",
                    "https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle",
                )
            },
            Self::Gemini => cloud(
                "https://generativelanguage.googleapis.com/v1beta/openai",
                "Create a key at aistudio.google.com/apikey.",
                "https://ai.google.dev/gemini-api/docs/openai",
            ),
            Self::OpenRouter => cloud(
                "https://openrouter.ai/api/v1",
                "Create a key at openrouter.ai/keys. Models are named like vendor/model.",
                "https://openrouter.ai/docs/quickstart",
            ),
            Self::Groq => cloud(
                "https://api.groq.com/openai/v1",
                "Create a key at console.groq.com/keys.",
                "https://console.groq.com/docs/openai",
            ),
            Self::Mistral => cloud(
                "https://api.mistral.ai/v1",
                "Create a key at console.mistral.ai/api-keys.",
                "https://docs.mistral.ai/api",
            ),
            // The OpenAI SDK needs a key there, which Ollama ignores.
            Self::Ollama => PresetFacts {
                auth_scheme: AuthScheme::None,
                key: KeyUse::Unused,
                ..local(
                    "http://localhost:11434/v1",
                    "Pull the model first (ollama pull MODEL). Agents with tools need a model \
                     that supports tools.",
                    "https://docs.ollama.com/api/openai-compatibility",
                )
            },
            Self::Vllm => local(
                "http://localhost:8000/v1",
                "Agents with tools need vLLM to be started with --enable-auto-tool-choice and \
                 --tool-call-parser.",
                "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
            ),
            Self::LmStudio => local(
                "http://localhost:1234/v1",
                "Start the server in the Developer tab, or with lms server start.",
                "https://lmstudio.ai/docs/developer/openai-compat",
            ),
            Self::LlamaCpp => local(
                "http://localhost:8080/v1",
                "Agents with tools need llama-server to be started with --jinja.",
                "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
            ),
        }
    }
}

/// A hosted, OpenAI-compatible API with bearer keys.
fn cloud(base_url: &'static str, hint: &'static str, source: &'static str) -> PresetFacts {
    PresetFacts {
        kind: ConnectionKind::OpenAi,
        base_url,
        auth_scheme: AuthScheme::Bearer,
        key: KeyUse::Required,
        is_local: false,
        hint,
        source,
    }
}

/// An OpenAI-compatible server of the user, which may have been started with a key.
fn local(base_url: &'static str, hint: &'static str, source: &'static str) -> PresetFacts {
    PresetFacts { key: KeyUse::Optional, is_local: true, ..cloud(base_url, hint, source) }
}

/// Whether a base URL belongs to a hosted API that rejects calls without a key.
#[must_use]
pub fn is_hosted_api(base_url: &str) -> bool {
    let presets = ConnectionPreset::ALL.iter().map(|(_, preset)| preset.facts());
    let mut hosted = presets.filter(|facts| facts.key == KeyUse::Required);
    hosted.any(|facts| facts.base_url == base_url)
}

/// The query parameter that selects the version of Azure's API.
pub const API_VERSION: &str = "api-version";

/// The end of the base URL of Azure's v1 API.
const AZURE_PATH: &str = "/openai/v1";
const AZURE_DOMAIN: &str = ".openai.azure.com";

/// The base URL of an Azure resource: its name, or the host of a resource in another
/// domain.
///
/// # Errors
/// A message that follows the name of the field.
pub fn azure_base_url(resource: &str) -> Result<String, &'static str> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !resource.chars().all(is_valid) || resource.starts_with(['-', '.']) {
        return Err("must be the name of the resource, or its host, such as \
                    my-resource.openai.azure.com");
    }
    let domain = if resource.contains('.') { "" } else { AZURE_DOMAIN };
    Ok(format!("https://{resource}{domain}{AZURE_PATH}"))
}

/// The resource of a base URL from [`azure_base_url`].
#[must_use]
pub fn azure_resource(base_url: &str) -> Option<&str> {
    let host = base_url.strip_prefix("https://")?.strip_suffix(AZURE_PATH)?;
    let name = host.strip_suffix(AZURE_DOMAIN).filter(|name| !name.contains('.'));
    Some(name.unwrap_or(host)).filter(|host| !host.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("my-resource", "https://my-resource.openai.azure.com/openai/v1")]
    #[case("ours.openai.azure.us", "https://ours.openai.azure.us/openai/v1")]
    #[case("ours.services.ai.azure.com", "https://ours.services.ai.azure.com/openai/v1")]
    fn azure_resource_is_part_of_the_base_url(#[case] resource: &str, #[case] url: &str) {
        assert_eq!(azure_base_url(resource).as_deref(), Ok(url));
        assert_eq!(azure_resource(url), Some(resource));
    }

    #[rstest]
    #[case("https://my-resource.openai.azure.com")]
    #[case("my resource")]
    #[case("evil.example/x")]
    #[case("-x")]
    fn other_text_is_no_resource(#[case] text: &str) {
        assert!(azure_base_url(text).is_err(), "{text}");
    }

    #[rstest]
    #[case("https://a.openai.azure.com/openai/deployments/gpt")]
    #[case("https://a.openai.azure.com/x/openai/v1")]
    #[case("http://a.openai.azure.com/openai/v1")]
    fn other_base_urls_have_no_resource(#[case] url: &str) {
        assert_eq!(azure_resource(url), None);
    }

    #[test]
    fn presets_are_consistent() {
        for (word, preset) in ConnectionPreset::ALL {
            let facts = preset.facts();
            assert!(facts.source.starts_with("https://"), "{word} needs a source");
            assert_eq!(facts.is_local, facts.base_url.starts_with("http://localhost:"), "{word}");
            assert_eq!(facts.key == KeyUse::Unused, facts.auth_scheme == AuthScheme::None);
            assert!(!facts.base_url.ends_with('/'), "{word}");
        }
    }
}
