//! Presets: what the public documentation of common services says about their requests
//! and responses, so that the form of a deployed agent begins with it.

use crate::string_enum::string_enum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

string_enum! {
    /// A service whose requests and responses are known.
    AgentPreset {
        RetellChat = "retell_chat" / "Retell chat",
        VapiChat = "vapi_chat" / "Vapi chat",
        Dify = "dify" / "Dify",
        LangGraph = "langgraph" / "LangGraph threads",
        N8n = "n8n" / "n8n chat trigger",
    }
}

impl AgentPreset {
    /// The base URL and the key of the connection, and what has to be replaced.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::RetellChat => {
                "The connection has the base URL https://api.retellai.com and your API key. Replace YOUR_AGENT_ID with the id of a chat agent."
            }
            Self::VapiChat => {
                "The connection has the base URL https://api.vapi.ai and your private API key. Replace YOUR_ASSISTANT_ID."
            }
            Self::Dify => {
                "The connection has the base URL https://api.dify.ai/v1, or that of your server, and the API key of the app. Replies are streamed, because apps of the type Agent cannot answer otherwise."
            }
            Self::LangGraph => {
                "The connection has the base URL of the Agent Server, such as http://127.0.0.1:2024. For LangSmith add the header X-Api-Key to it. assistant_id is the name of the graph."
            }
            Self::N8n => {
                "The connection has the chat URL of the Chat Trigger node as its base URL, up to /webhook. Replace YOUR_WEBHOOK_ID. The workflow responds when its last node finishes."
            }
        }
    }

    /// Public documentation of the requests and responses, read in November 2026.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::RetellChat => "https://docs.retellai.com/api-references/create-chat-completion",
            Self::VapiChat => "https://docs.vapi.ai/chat/session-management",
            Self::Dify => {
                "https://docs.dify.ai/en/guides/application-publishing/developing-with-apis"
            }
            Self::LangGraph => {
                "https://docs.langchain.com/langsmith/agent-server-api/thread-runs/create-run-wait-for-output"
            }
            Self::N8n => {
                "https://docs.n8n.io/integrations/builtin/core-nodes/n8n-nodes-langchain.chattrigger"
            }
        }
    }

    /// The part `http` of an agent, without its purpose.
    #[must_use]
    pub fn http(self) -> Value {
        match self {
            Self::RetellChat => json!({
                "session": {
                    "mode": "server",
                    "id": {"at": "/chat_id"},
                    "start": {"path": "/create-chat", "body": {"agent_id": "YOUR_AGENT_ID"}},
                    "end": {"method": "PATCH", "path": "/end-chat/{{session_id}}"},
                },
                "request": {
                    "path": "/create-chat-completion",
                    "body": {"chat_id": "{{session_id}}", "content": "{{message}}"},
                },
                "response": {
                    "text": "/messages/*[role=agent]/content",
                    "tool_calls": {
                        "list": "/messages/*[role=tool_call_invocation]",
                        "name": "/name",
                        "arguments": "/arguments",
                    },
                },
                "tools": "in_response",
            }),
            Self::VapiChat => json!({
                "session": {
                    "mode": "server",
                    "id": {"at": "/id"},
                    "start": {"path": "/session", "body": {"assistantId": "YOUR_ASSISTANT_ID"}},
                },
                "request": {
                    "path": "/chat",
                    "body": {"sessionId": "{{session_id}}", "input": "{{message}}"},
                },
                "response": {"text": "/output/*[role=assistant]/content"},
            }),
            // Apps of the type Agent refuse the response mode `blocking`.
            Self::Dify => json!({
                "session": {"mode": "server", "id": {"at": "/conversation_id"}},
                "request": {
                    "path": "/chat-messages",
                    "body": {
                        "inputs": {},
                        "query": "{{message}}",
                        "response_mode": "streaming",
                        "conversation_id": "{{session_id}}",
                        "user": "{{run_id}}",
                    },
                },
                "response": {
                    "format": "sse",
                    "text": "/answer",
                    "events": "message, agent_message",
                    "stop": "message_end",
                    "error": "/message",
                    "input_tokens": "/metadata/usage/prompt_tokens",
                    "output_tokens": "/metadata/usage/completion_tokens",
                },
            }),
            Self::LangGraph => json!({
                "session": {
                    "mode": "server",
                    "id": {"at": "/thread_id"},
                    "start": {"path": "/threads", "body": {}},
                    "end": {"method": "DELETE", "path": "/threads/{{session_id}}"},
                },
                "request": {
                    "path": "/threads/{{session_id}}/runs/wait",
                    "body": {
                        "assistant_id": "agent",
                        "input": {"messages": [{"role": "user", "content": "{{message}}"}]},
                    },
                },
                "response": {"text": "/messages/-1/content", "error": "/__error__"},
            }),
            Self::N8n => json!({
                "session": {"mode": "client"},
                "request": {
                    "path": "/YOUR_WEBHOOK_ID/chat",
                    "body": {
                        "action": "sendMessage",
                        "sessionId": "{{session_id}}",
                        "chatInput": "{{message}}",
                    },
                },
                "response": {"text": "/output"},
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AgentPreset;
    use crate::{AgentSpec, Draft};
    use serde_json::json;

    #[test]
    fn every_preset_is_valid_once_it_has_a_purpose() {
        for (word, preset) in AgentPreset::ALL {
            let mut http = preset.http();
            http["purpose"] = json!("Helps.");
            let draft = json!({"name": "A", "http": http,
                "connection_id": "018f2f1e-0000-7000-8000-000000000001"});
            let parsed = AgentSpec::parse(&Draft(draft));
            assert!(parsed.is_ok(), "{word}: {:?}", parsed.err());
            assert!(preset.hint().contains("base URL"), "{word}");
            assert!(preset.source().starts_with("https://"), "{word}");
        }
    }
}
