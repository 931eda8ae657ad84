//! Vapi: assistants and squads.
//!
//! The fields are those of Vapi's API reference (docs.vapi.ai, "Create Assistant", "Create
//! Squad" and "Tools", read in November 2026).

use crate::agent::{AgentBuilder, TOOL_REASONS};
use crate::source::Source;
use domain::Draft;
use serde_json::{Map, Value, json};

const FLATTENED: &str = "The assistants of the squad became sections of one prompt. Nothing but \
                         the model follows the handoffs, and all tools are always available.";

/// Fields of assistants without a counterpart.
const REASONS: &[(&[&str], &str)] = &[
    (&["firstMessageInterruptionsEnabled"], "Nobody is interrupted in a run over text."),
    (
        &["id", "orgId", "createdAt", "updatedAt", "isServerUrlSecretSet"],
        "It identifies the definition at Vapi and does not change what the assistant says.",
    ),
    (
        &[
            "voice",
            "transcriber",
            "silenceTimeoutSeconds",
            "maxDurationSeconds",
            "backgroundSound",
            "backgroundDenoisingEnabled",
            "backgroundSpeechDenoisingPlan",
            "startSpeakingPlan",
            "stopSpeakingPlan",
            "voicemailDetection",
            "voicemailMessage",
            "endCallMessage",
            "endCallPhrases",
            "responseDelaySeconds",
            "llmRequestDelaySeconds",
            "numWordsToInterruptAssistant",
            "backchannelingEnabled",
            "hipaaEnabled",
            "keypadInputPlan",
            "transportConfigurations",
            "modelOutputInMessagesEnabled",
            "hooks",
            "monitorPlan",
        ],
        "It concerns speech and the telephone. Rehearsal tests over text.",
    ),
    (
        &[
            "server",
            "serverUrl",
            "serverMessages",
            "clientMessages",
            "analysisPlan",
            "artifactPlan",
            "observabilityPlan",
            "compliancePlan",
            "credentials",
            "credentialIds",
            "metadata",
        ],
        "It concerns what Vapi does during and after a call, not what the assistant says.",
    ),
    (
        &["knowledgeBase", "knowledgeBaseId"],
        "What the assistant looks up at Vapi is not in the file. A tool with mocks can replace it.",
    ),
    (
        &["provider", "emotionRecognitionEnabled", "numFastTurns"],
        "It is a setting of Vapi's own access to models.",
    ),
];

/// One agent for an assistant.
pub(crate) fn assistant(source: Source<'_>, file: &str) -> Draft {
    let name = source.text("name");
    let mut agent = AgentBuilder::new(if name.trim().is_empty() { file } else { &name });
    add_assistant(&mut agent, &source);
    agent.begin_message = first_message(&source);
    let draft = agent.build(&source, &Map::new());
    source.finish(REASONS);
    draft
}

/// One agent for a squad, with a section per assistant.
pub(crate) fn squad(source: Source<'_>, file: &str) -> Draft {
    let name = source.text("name");
    let mut agent = AgentBuilder::new(if name.trim().is_empty() { file } else { &name });
    source.report().not_carried_over(&source.path("members"), FLATTENED);
    agent.paragraph("# Parts of the conversation");
    let members = source.objects("members");
    if members.is_empty() {
        source.problem("members", "must contain at least one assistant");
    }
    for (index, member) in members.into_iter().enumerate() {
        let Some(assistant) = member.object("assistant") else {
            let message = "is missing. An assistant that is only referred to by its id has no \
                           prompt in this file";
            member.problem("assistant", message);
            continue;
        };
        let name = assistant.text("name");
        if index == 0 {
            agent.paragraph(&format!("Begin with the part “{name}”."));
        }
        agent.paragraph(&format!("## {name}"));
        add_assistant(&mut agent, &assistant);
        let message = first_message(&assistant);
        if index == 0 {
            agent.begin_message = message;
        } else if !message.is_empty() {
            let reason = "Only the first assistant of a squad begins a conversation.";
            assistant.report().not_carried_over(&assistant.path("firstMessage"), reason);
        }
        add_destinations(&mut agent, &member, "assistantDestinations");
        assistant.finish(REASONS);
        let reason = "The settings that a squad changes in its assistants are not applied.";
        member.skip("assistantOverrides", reason);
        member.finish(&[]);
    }
    let reason = "The settings that a squad changes in its assistants are not applied.";
    source.skip("membersOverrides", reason);
    let draft = agent.build(&source, &Map::new());
    source.finish(REASONS);
    draft
}

/// What the assistant says first; empty if the user begins.
fn first_message(source: &Source<'_>) -> String {
    let text = source.text("firstMessage");
    let reason = match source.text("firstMessageMode").as_str() {
        "assistant-waits-for-user" if text.is_empty() => return text,
        "assistant-waits-for-user" => {
            "The assistant waits for the user (firstMessageMode), so the message is not said."
        }
        "assistant-speaks-first-with-model-generated-message" => {
            "The assistant speaks first with words that its model makes up. Here it speaks \
             first only with a fixed text, so the user begins."
        }
        _ => return text,
    };
    let field = if text.is_empty() { "firstMessageMode" } else { "firstMessage" };
    source.report().not_carried_over(&source.path(field), reason);
    String::new()
}

fn add_assistant(agent: &mut AgentBuilder, source: &Source<'_>) {
    let Some(model) = source.object("model") else {
        source.problem("model", "is missing: it contains the prompt");
        return;
    };
    set_model(agent, &model);
    agent.paragraph(&model.text("systemPrompt"));
    for message in model.objects("messages") {
        let role = message.text("role");
        if role == "system" || role == "developer" {
            agent.paragraph(&message.text("content"));
        } else {
            let reason = "Only system messages become the prompt. Messages of other roles are not \
                          sent.";
            message.report().not_carried_over(&message.path(""), reason);
            continue;
        }
        message.finish(&[]);
    }
    let tools = model.objects("tools").into_iter().chain(source.objects("tools"));
    for tool in tools.chain(model.objects("functions")) {
        add_tool(agent, tool);
    }
    if source.flag("endCallFunctionEnabled") {
        agent.end_with_built_in_tool(source, "endCall");
    }
    let reason = "The tools that the ids refer to are not in the file.";
    model.skip("toolIds", reason);
    model.finish(REASONS);
}

/// Sets the model of the agent, unless an earlier assistant of the squad has set it.
fn set_model(agent: &mut AgentBuilder, model: &Source<'_>) {
    let name = model.text("model");
    let (temperature, max_tokens) = (model.value("temperature"), model.value("maxTokens"));
    if agent.model.is_empty() {
        agent.model = name;
        agent.model_path = model.path("model");
        agent.temperature = temperature.cloned();
        agent.max_tokens = max_tokens.cloned();
    } else if agent.model != name
        || agent.temperature.as_ref() != temperature
        || agent.max_tokens.as_ref() != max_tokens
    {
        let reason = "An agent has one model. That of the first assistant was taken.";
        model.report().not_carried_over(&model.path("model"), reason);
    }
}

fn add_tool(agent: &mut AgentBuilder, tool: Source<'_>) {
    let kind = tool.text("type");
    if kind == "handoff" {
        add_destinations(agent, &tool, "destinations");
        tool.skip("function", "The prompt describes the handoff, so it needs no tool.");
        tool.finish(TOOL_REASONS);
        return;
    }
    // The deprecated list `functions` has the fields of a function without the frame.
    let function = tool.object("function");
    let fields = function.as_ref().unwrap_or(&tool);
    let (name, description) = (fields.text("name"), fields.text("description"));
    let parameters = fields.value("parameters");
    let is_bare = parameters
        .and_then(|schema| schema.get("properties"))
        .and_then(Value::as_object)
        .is_none_or(Map::is_empty);
    if kind == "endCall" || (is_bare && ["end_call", "endCall"].contains(&name.as_str())) {
        agent.end_with_built_in_tool(&tool, if name.is_empty() { "endCall" } else { &name });
    } else {
        let name = if name.is_empty() { kind.clone() } else { name };
        let (parameters, is_inferred) = match (parameters, kind.as_str()) {
            (Some(parameters), _) => (Some(parameters.clone()), false),
            (None, "transferCall") => (transfer_parameters(&tool), true),
            (None, _) => (None, true),
        };
        if is_inferred {
            let reason = "The file has no parameters for the tool. Those of the agent are \
                          inferred: check them in its editor.";
            tool.inferred("parameters", reason);
        }
        agent.add_tool(&tool, name, description, parameters.as_ref());
    }
    if kind == "transferCall" {
        let reason = "Nobody is called: a mock answers the tool, and the conversation goes on.";
        tool.skip("destinations", reason);
    }
    if let Some(function) = function {
        function.finish(TOOL_REASONS);
    }
    tool.finish(TOOL_REASONS);
}

/// The schema of a transfer: one of the destinations of the tool.
fn transfer_parameters(tool: &Source<'_>) -> Option<Value> {
    let destinations = tool.value("destinations")?.as_array()?;
    let target = |destination: &Value| {
        let fields = ["number", "sipUri", "assistantName", "assistantId"];
        fields.iter().find_map(|field| destination.get(*field)?.as_str().map(str::to_owned))
    };
    let targets: Vec<String> = destinations.iter().filter_map(target).collect();
    (!targets.is_empty()).then(|| {
        json!({"type": "object", "required": ["destination"],
            "properties": {"destination": {"type": "string", "enum": targets}}})
    })
}

/// Appends to which assistants the conversation may be handed over.
fn add_destinations(agent: &mut AgentBuilder, source: &Source<'_>, field: &'static str) {
    let destinations = source.objects(field);
    if !destinations.is_empty() {
        agent.paragraph("Continue with:");
    }
    for destination in destinations {
        let name = destination.text("assistantName");
        let name = if name.is_empty() { destination.text("assistantId") } else { name };
        let when = match destination.text("description") {
            text if text.is_empty() => text,
            text => format!(" when: {text}"),
        };
        agent.line(&format!("- “{name}”{when}"));
        destination.skip("message", "What is spoken during a handoff is not part of the prompt.");
        destination.finish(&[(&["type"], "Every destination is a section of the prompt.")]);
    }
}
