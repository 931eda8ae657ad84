//! Tests of the demo model as a provider, in every role.

use super::*;
use domain::END_CONVERSATION;
use llm_types::testing::{chat_request, endpoint};
use llm_types::{OutputSchema, ToolSpec};
use serde_json::json;

async fn reply(request: &ChatRequest) -> ChatReply {
    DemoModel::new(0.0).complete(&endpoint(""), request).await.expect("it always answers")
}

fn form(properties: Value) -> OutputSchema {
    let schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    OutputSchema { name: "any_name".into(), schema }
}

fn judge_form() -> OutputSchema {
    let item = json!({ "type": "object", "properties": {
        "reason": { "type": "string" }, "met": { "type": ["boolean", "null"] },
        "basis": { "type": "string", "enum": ["evidence", "absence"] },
        "evidence": { "type": "array", "items": { "type": "object", "properties": { "turn": { "type": "integer" }, "quote": { "type": "string" } } } } } });
    let items = json!({ "item_0": item, "item_1": item, "item_2": item });
    form(
        json!({ "items": { "type": "object", "properties": items }, "issues": { "type": "array" }, "confidence": { "type": "number" } }),
    )
}

const QUESTION: &str = "\
# AGENT INSTRUCTIONS
| You help.
| # ITEMS
| [0] criterion

# TRANSCRIPT
[0] USER
| I am furious, and I verified my identity.
[1] AGENT
| Of course, I have the account open.
| The address on file is 12 Garden Street.
[2] AGENT CALLS
| look_up_order({\"id\":7})

# ITEMS
[0] expected behavior, required
| Verifies the identity of the caller
[1] criterion
| Looks up the order
[2] failure condition
| Tells the address without verifying the identity

# REPLY
";

#[tokio::test]
async fn judge_quotes_transcript() {
    let reply = reply(&ChatRequest { output: Some(judge_form()), ..chat_request(QUESTION) }).await;
    let judged: Value = serde_json::from_str(&reply.text).expect("JSON");
    let fields: Vec<&String> = judged.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["items", "issues", "confidence"], "exactly what the schema has");
    let met: Vec<&Value> =
        judged["items"].as_object().expect("items").values().map(|item| &item["met"]).collect();
    assert_eq!(met, [&json!(false), &json!(true), &json!(true)]);
    let quotes = ["item_1", "item_2"].map(|item| judged["items"][item]["evidence"].clone());
    assert_eq!(quotes[0], json!([{ "turn": 2, "quote": "look_up_order({\"id\":7})" }]));
    assert_eq!(
        quotes[1],
        json!([{ "turn": 1, "quote": "The address on file is 12 Garden Street." }])
    );
    assert_eq!(judged["issues"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn user_plays_role() {
    let mut request = chat_request("(seed)");
    request.system = "Rules.\n\n# PERSONA\nname\n| Dana\n\n# GOAL\n| Book a visit\n\n# FACTS\n[0]\n| Name: Dana Reed\n".into();
    let done = json!({ "type": "string", "enum": ["no", "goal_reached", "gave_up"] });
    request.output = Some(form(json!({ "message": { "type": "string" }, "done": done })));
    let turn: Value = serde_json::from_str(&reply(&request).await.text).expect("JSON");
    assert_eq!(turn, json!({ "message": "Hello. I would like to book a visit.", "done": "no" }));
}

#[tokio::test]
async fn other_schema_gets_plausible_values() {
    let output = form(json!({ "order_id": { "type": "string" }, "items": { "type": "string" } }));
    let output = OutputSchema {
        schema: json!({ "properties": { "order_id": { "type": "string" }, "ready": { "type": "boolean" } } }),
        ..output
    };
    let made_up = reply(&ChatRequest { output: Some(output), ..chat_request("look_up({})") }).await;
    assert_eq!(
        serde_json::from_str::<Value>(&made_up.text).expect("JSON"),
        json!({ "order_id": "A-1042", "ready": true })
    );
}

#[tokio::test]
async fn agent_calls_tools_and_ends_conversation() {
    let tool = |name: &str, description: &str| ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters: json!({ "type": "object" }),
    };
    let tools = vec![
        tool("transfer_call", "Puts the caller through to a person."),
        tool(END_CONVERSATION, "Hangs up."),
    ];
    let human = reply(&ChatRequest {
        tools: tools.clone(),
        ..chat_request("Transfer me to a person, please")
    })
    .await;
    assert_eq!(
        (human.finish, human.tool_calls[0].name.as_str()),
        (FinishReason::ToolCalls, "transfer_call")
    );
    let bye = reply(&ChatRequest { tools, ..chat_request("Thanks, goodbye!") }).await;
    assert_eq!(bye.tool_calls[0].name, END_CONVERSATION);
    assert!(bye.text.contains("have a good day"));
}

#[tokio::test(start_paused = true)]
async fn latency_is_deterministic() {
    let clock = tokio::time::Instant::now;
    let mut seen = Vec::new();
    for text in ["Hello", "Hello", "What does it cost?", "Where are you?"] {
        let began = clock();
        DemoModel::default()
            .complete(&endpoint(""), &chat_request(text))
            .await
            .expect("it always answers");
        seen.push(began.elapsed().as_millis());
    }
    assert!(seen.iter().all(|millis| (150..=702).contains(millis)), "{seen:?}");
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0] != seen[2] && seen[2] != seen[3], "{seen:?}");
}

#[tokio::test]
async fn complete_never_panics() {
    for text in
        ["", "\u{0}", "İİİ my name is İ", "🦀 at 25:99 😡😡😡!!!", "# ITEMS\n[x] \n| ", "[0] AGENT"]
    {
        let agent = reply(&chat_request(text)).await;
        assert!(!agent.text.is_empty());
        reply(&ChatRequest { output: Some(judge_form()), ..chat_request(text) }).await;
    }
    reply(&ChatRequest { messages: vec![], ..chat_request("") }).await;
}
