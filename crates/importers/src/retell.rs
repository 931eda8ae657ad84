//! Retell: agents as the dashboard exports them, and the parts that their two kinds share.
//!
//! The fields are those of Retell's API reference (docs.retellai.com, "Create Retell LLM",
//! "Create Conversation Flow" and "Create Agent", read in November 2026).

use crate::agent::{AgentBuilder, TOOL_REASONS};
use crate::source::Source;
use crate::{retell_flow, retell_llm};
use domain::Draft;
use serde_json::{Map, Value};

/// Fields of the definition of an agent, or of its prompt, that have no counterpart.
pub(crate) const REASONS: &[(&[&str], &str)] = &[
    (
        &["begin_after_user_silence_ms"],
        "Nobody is silent in a run over text: either the agent or the user begins.",
    ),
    (
        &["knowledge_base_ids", "kb_config", "mcps"],
        "What the agent looks up at Retell is not in the file. A tool with mocks can replace it.",
    ),
    (
        &[
            "llm_id",
            "agent_id",
            "conversation_flow_id",
            "version",
            "version_title",
            "is_published",
            "last_modification_timestamp",
            "base_version",
            "channel",
        ],
        "It identifies the definition at Retell and does not change what the agent says.",
    ),
    (
        &[
            "voice_id",
            "voice_model",
            "voice_temperature",
            "voice_speed",
            "volume",
            "language",
            "ambient_sound",
            "ambient_sound_volume",
            "responsiveness",
            "interruption_sensitivity",
            "enable_backchannel",
            "backchannel_frequency",
            "backchannel_words",
            "reminder_trigger_ms",
            "reminder_max_count",
            "boosted_keywords",
            "stt_mode",
            "pronunciation_dictionary",
            "normalize_for_speech",
            "enable_voicemail_detection",
            "voicemail_option",
            "end_call_after_silence_ms",
            "max_call_duration_ms",
            "begin_message_delay_ms",
            "ring_duration_ms",
            "fallback_voice_ids",
            "denoising_mode",
            "user_dtmf_options",
            "allow_user_dtmf",
            "vocab_specialization",
        ],
        "It concerns speech and the telephone. Rehearsal tests over text.",
    ),
    (
        &[
            "webhook_url",
            "webhook_events",
            "webhook_timeout_ms",
            "post_call_analysis_data",
            "post_call_analysis_model",
            "opt_out_sensitive_data_storage",
            "opt_in_signed_url",
            "data_storage_setting",
            "pii_config",
            "analysis_successful_prompt",
            "analysis_summary_prompt",
        ],
        "It concerns what Retell does during and after a call, not what the agent says.",
    ),
    (
        &["model_high_priority", "tool_call_strict_mode", "s2s_model", "high_priority"],
        "It is a setting of Retell's own access to models.",
    ),
];

/// An agent of the dashboard: a frame around the definition of its prompt.
pub(crate) fn agent_export(source: Source<'_>, file: &str) -> Option<Draft> {
    let name = source.text("agent_name");
    let name = if name.trim().is_empty() { file.to_owned() } else { name };
    let draft = if let Some(llm) = source.object("retellLlmData") {
        Some(retell_llm::agent(llm, &name))
    } else if let Some(flow) = source.object("conversationFlow") {
        retell_flow::agent(flow, &name)
    } else {
        let message = "is missing. The export of an agent contains retellLlmData or \
                       conversationFlow; one that only refers to a response_engine has no prompt";
        source.problem("retellLlmData", message);
        None
    };
    source.skip("response_engine", "The definition that it refers to is in the file itself.");
    source.finish(REASONS);
    draft
}

/// Sets what the agent says first. Without a text, Retell's model makes one up, unless the
/// user begins.
pub(crate) fn set_begin_message(agent: &mut AgentBuilder, source: &Source<'_>) {
    let text = source.text("begin_message");
    match source.text("start_speaker").as_str() {
        "user" if !text.is_empty() => {
            let reason = "The user speaks first (start_speaker), so the message is not said.";
            source.report().not_carried_over(&source.path("begin_message"), reason);
        }
        "agent" if text.is_empty() => {
            let reason = "The agent speaks first with words that its model makes up. Here it \
                          speaks first only with a fixed text, so the user begins.";
            source.report().not_carried_over(&source.path("start_speaker"), reason);
        }
        _ => agent.begin_message = text,
    }
}

/// The values of variables that are not set for a call.
pub(crate) fn default_variables(source: &Source<'_>) -> Map<String, Value> {
    source.map("default_dynamic_variables").cloned().unwrap_or_default()
}

/// Adds a tool of Retell.
pub(crate) fn add_tool(agent: &mut AgentBuilder, tool: Source<'_>) {
    let kind = tool.text("type");
    let (name, description) = (tool.text("name"), tool.text("description"));
    let parameters = tool.value("parameters");
    match kind.as_str() {
        "end_call" => agent.end_with_built_in_tool(&tool, &name),
        _ => {
            let name = if name.is_empty() { kind.clone() } else { name };
            if parameters.is_none() {
                note_missing_parameters(&tool, &kind);
            }
            agent.add_tool(&tool, name, description, parameters);
        }
    }
    match kind.as_str() {
        "transfer_call" | "agent_swap" | "bridge_transfer" | "warm_transfer" => {
            let reason = "Nobody is called: a mock answers the tool, and the conversation goes on.";
            tool.report().not_carried_over(&tool.path("type"), reason);
        }
        _ => {}
    }
    tool.finish(TOOL_REASONS);
}

fn note_missing_parameters(tool: &Source<'_>, kind: &str) {
    let reason = if kind == "custom" {
        "The file has no parameters for the tool, so it takes no arguments."
    } else {
        "Retell knows the arguments of this kind of tool and the file does not name them, so the \
         tool takes no arguments. Add them in the editor of the agent."
    };
    tool.inferred("parameters", reason);
}
