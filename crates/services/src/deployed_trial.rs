//! Tries a deployed agent with unsaved input: one message, the responses as they came, and
//! what the pointers took from them.

use super::deployed_chat::DeployedChat;
use domain::http_agent::{Begins, HttpAgent, Pointer, ResponseFormat, SessionIdPart};
use domain::is_blank;
use domain::services::{
    AgentTrial, AppResult, TrialDocument, TrialExchange, TrialFinding, TrialValue,
};
use llm::{CallError, ChatReply, HttpCall, HttpCallKind, LoggedResponse, ResponseLog};
use serde_json::Value;

/// The number of events of a stream that are shown.
const MAX_DOCUMENTS: usize = 12;
/// The number of values of a document that are shown.
const MAX_VALUES: usize = 200;
/// The depth to which a document is shown.
const MAX_DEPTH: u32 = 12;
/// The number of characters of a value, and of a body that is not JSON.
const MAX_VALUE_CHARS: usize = 200;
const MAX_TEXT_CHARS: usize = 4000;

impl DeployedChat<'_> {
    /// Starts a session if needed, sends the message, and ends the session.
    pub(super) async fn try_message(mut self, message: &str) -> AppResult<AgentTrial> {
        let begins = self.http.begins == Begins::Agent;
        let mut turns = match is_blank(message) && begins {
            true => Vec::new(),
            false => self.user_turn(message)?,
        };
        let _active = self.catalog.active_chats.begin(self.caller.user_id)?;
        let mut trial = AgentTrial::default();
        if let Some(call) = self.start_call(&turns) {
            match self.logged_call(call, &mut trial).await? {
                Ok(reply) => drop(self.started(&reply, &mut turns)),
                Err(error) => {
                    trial.error = Some(error.message);
                    return Ok(trial);
                }
            }
        }
        let call = self.message_call(&turns);
        match self.logged_call(call, &mut trial).await? {
            Ok(reply) => self.answered(reply, &mut turns),
            Err(error) => trial.error = Some(error.message),
        }
        self.end(&turns).await?;
        Ok(trial)
    }

    /// Makes the call and adds what was sent and what came.
    async fn logged_call(
        &mut self,
        call: HttpCall,
        trial: &mut AgentTrial,
    ) -> AppResult<Result<ChatReply, CallError>> {
        let log = ResponseLog::default();
        let call = HttpCall { log: Some(log.clone()), ..call };
        let shown = call.clone();
        let outcome = self.call(call).await?;
        let response = log.responses().pop();
        let documents = response.as_ref().map(|response| documents(response, &shown));
        let documents = documents.unwrap_or_default();
        trial.findings.extend(findings(&self.http, shown.kind, &documents));
        trial.exchanges.push(exchange(&shown, response, &documents));
        Ok(outcome)
    }
}

fn exchange(
    call: &HttpCall,
    response: Option<LoggedResponse>,
    documents: &[(String, Value)],
) -> TrialExchange {
    let request = &call.request;
    let body = request.body.as_ref().map(|body| format!("{body:#}")).unwrap_or_default();
    let title = match call.kind {
        HttpCallKind::Start => "Start of the session",
        HttpCallKind::Message => "Message",
        HttpCallKind::End => "End of the session",
    };
    let sent = format!("{} {}\n{body}", request.method, request.path);
    let shown = documents.iter().take(MAX_DOCUMENTS).map(|(event, value)| document(event, value));
    let headers = response.iter().flat_map(|response| &response.headers);
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
    let text = response.as_ref().filter(|_| documents.is_empty());
    TrialExchange {
        title: title.to_owned(),
        request: shorten(sent.trim(), MAX_TEXT_CHARS),
        status: response.as_ref().map(|response| response.status),
        headers: shorten(&headers.join("\n"), MAX_TEXT_CHARS),
        latency_ms: response
            .as_ref()
            .map_or(0, |response| u32::try_from(response.latency.as_millis()).unwrap_or(u32::MAX)),
        documents: shown.collect(),
        text: text.map(|response| shorten(&response.body, MAX_TEXT_CHARS)).unwrap_or_default(),
    }
}

/// The JSON documents of a response, each with the type of its event.
fn documents(response: &LoggedResponse, call: &HttpCall) -> Vec<(String, Value)> {
    let body = response.body.as_str();
    if let Ok(document) = serde_json::from_str::<Value>(body) {
        return vec![(String::new(), document)];
    }
    let is_sse = call.agent.response.format == ResponseFormat::Sse;
    let mut event = "";
    let mut documents = Vec::new();
    for line in body.lines() {
        let data = match line.split_once(':') {
            Some(("event", name)) if is_sse => {
                event = name.trim();
                continue;
            }
            Some(("data", data)) if is_sse => data.trim(),
            _ if is_sse => continue,
            _ => line.trim(),
        };
        let Ok(document) = serde_json::from_str::<Value>(data) else { continue };
        // Scalars occur in text that is no stream.
        if !document.is_object() && !document.is_array() {
            continue;
        }
        let field = |name: &str| document.get(name).and_then(Value::as_str);
        let kind = field("event").or_else(|| field("type")).unwrap_or("message");
        let kind = if event.is_empty() { kind.to_owned() } else { event.to_owned() };
        documents.push((kind, document));
        event = "";
    }
    documents
}

/// All values of a document from top to bottom.
fn document(event: &str, value: &Value) -> TrialDocument {
    let mut values = Vec::new();
    let mut left_out = 0;
    flatten(value, "", "", 0, &mut values, &mut left_out);
    TrialDocument { event: event.to_owned(), values, left_out }
}

fn flatten(
    value: &Value,
    name: &str,
    pointer: &str,
    depth: u32,
    values: &mut Vec<TrialValue>,
    left_out: &mut u32,
) {
    if depth > 0 {
        if values.len() == MAX_VALUES || depth > MAX_DEPTH {
            *left_out += 1;
            return;
        }
        let (pointer, name, text) = (pointer.to_owned(), shorten(name, 100), text_of(value));
        values.push(TrialValue { pointer, depth: depth - 1, name, text });
    }
    let mut below = |key: &str, inner: &Value| {
        let step = key.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{pointer}/{step}");
        flatten(inner, key, &pointer, depth + 1, values, left_out);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| below(key, inner)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, inner)| below(&at.to_string(), inner));
        }
        _ => {}
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => shorten(text, MAX_VALUE_CHARS),
        Value::Array(list) if list.len() == 1 => "list of 1 entry".to_owned(),
        Value::Array(list) => format!("list of {} entries", list.len()),
        Value::Object(map) if map.len() == 1 => "object with 1 field".to_owned(),
        Value::Object(map) => format!("object with {} fields", map.len()),
        scalar => scalar.to_string(),
    }
}

fn shorten(text: &str, limit: usize) -> String {
    let mut short: String = text.chars().take(limit).collect();
    if text.chars().nth(limit).is_some() {
        short.push('…');
    }
    short
}

/// What the pointers found in the documents of a response.
fn findings(
    http: &HttpAgent,
    kind: HttpCallKind,
    documents: &[(String, Value)],
) -> Vec<TrialFinding> {
    let mut pointers: Vec<(&str, Option<&String>)> = Vec::new();
    let (session, response) = (&http.session, &http.response);
    let id = session.id.as_ref().filter(|id| id.from == SessionIdPart::Body);
    let id_is_here = (kind == HttpCallKind::Start) == session.start.is_some();
    pointers.push(("http.session.id.at", id.filter(|_| id_is_here).map(|id| &id.at)));
    match kind {
        HttpCallKind::Start => {
            pointers.push(("http.session.greeting", session.greeting.as_ref()));
        }
        HttpCallKind::Message => {
            let calls = response.tool_calls.as_ref();
            let poll = http.poll.as_ref();
            pointers.extend([
                ("http.response.text", Some(&response.text)),
                ("http.response.tool_calls.list", calls.map(|calls| &calls.list)),
                ("http.response.end", response.end.as_ref()),
                ("http.response.error", response.error.as_ref()),
                ("http.response.input_tokens", response.input_tokens.as_ref()),
                ("http.response.output_tokens", response.output_tokens.as_ref()),
                ("http.poll.status", poll.map(|poll| &poll.status)),
                ("http.poll.url", poll.and_then(|poll| poll.url.as_ref())),
            ]);
        }
        HttpCallKind::End => {}
    }
    let finding = |(field, pointer): (&str, Option<&String>)| {
        let pointer = pointer?;
        let is_text = field == "http.response.text";
        let events = response.events.as_deref().filter(|_| is_text && documents.len() > 1);
        let is_read =
            |event: &str| events.is_none_or(|all| all.split(',').any(|e| e.trim() == event));
        let parsed = Pointer::parse(pointer).ok()?;
        let read = documents.iter().filter(|(event, _)| is_read(event));
        let found: Vec<String> =
            read.flat_map(|(_, value)| parsed.find(value)).map(found_text).collect();
        // The pieces of a stream are one text, the entries of a list are lines.
        let separator = if documents.len() > 1 { "" } else { "\n" };
        let found = (!found.is_empty()).then(|| shorten(&found.join(separator), MAX_VALUE_CHARS));
        Some(TrialFinding { field: field.to_owned(), pointer: pointer.clone(), found })
    };
    pointers.into_iter().filter_map(finding).collect()
}

fn found_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
