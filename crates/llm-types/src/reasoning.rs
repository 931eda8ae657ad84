//! Which models reason before they answer, and the token limits that leave room for it.

/// The lowest output limit with which a judge that reasons is called, unless a user chose a
/// limit; its reply has one part per item.
pub const JUDGE_FLOOR: u32 = 16_000;
/// The same for a simulated user, and for the simulated results of tools.
pub const USER_FLOOR: u32 = 4_000;
/// The same for a connection test.
pub const TEST_FLOOR: u32 = 1_000;

/// Parts of the names of model families that reason by default. A name of a gateway has a
/// prefix (`openai/gpt-5`), so parts are searched at the start of each segment.
const FAMILIES: [&str; 18] = [
    "o1",
    "o3",
    "o4",
    "gpt-5",
    "gpt-6",
    "gpt-oss",
    "codex",
    "deepseek-r",
    "deepseek-reasoner",
    "gemini-2.5",
    "gemini-3",
    "qwen3",
    "qwq",
    "magistral",
    "grok-4",
    "kimi-k2-thinking",
    "minimax-m",
    "glm-4.5",
];

/// Whether a model reasons by default, as far as its name says. Reasoning tokens count
/// toward the output limit, so a limit that suits an answer alone would cut it off.
#[must_use]
pub fn is_reasoning_model(model: &str) -> bool {
    let name = model.to_ascii_lowercase();
    if name.contains("thinking") || name.contains("reasoning") {
        return true;
    }
    let Some(last) = name.rsplit('/').next() else { return false };
    FAMILIES.iter().any(|family| {
        last.strip_prefix(family).is_some_and(|rest| {
            // "o1" is not the start of "o1x", but of "o1-mini" and "o1:free".
            family.len() > 2 || !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::is_reasoning_model;

    #[test]
    fn families_are_recognized_by_name() {
        for model in [
            "o1",
            "o3-mini",
            "o4-mini-2025-04-16",
            "gpt-5",
            "GPT-5.1-chat",
            "openai/gpt-5-nano",
            "openai/gpt-oss-120b",
            "gemini-2.5-flash",
            "models/gemini-3-pro-preview",
            "deepseek-reasoner",
            "deepseek/deepseek-r1:free",
            "qwen3:8b",
            "claude-sonnet-4:thinking",
            "magistral-medium-latest",
        ] {
            assert!(is_reasoning_model(model), "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4.1-mini",
            "claude-sonnet-4-5",
            "llama3.2",
            "o1x",
            "mistral-large",
            "phi-4",
            "gemini-2.0-flash",
            "demo",
            "",
        ] {
            assert!(!is_reasoning_model(model), "{model}");
        }
    }
}
