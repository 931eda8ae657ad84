//! Reading a stream of server-sent events or JSON lines.

use crate::read::{ReadError, ReadReply, add_common, check_error, find, texts};
use domain::http_agent::{HttpAgent, ResponseFormat};
use serde_json::Value;
use std::sync::Arc;

/// The number of types of events that a message lists.
const LISTED_TYPES: usize = 10;

/// Reads a stream piece by piece.
#[derive(Debug)]
pub struct StreamReader {
    agent: Arc<HttpAgent>,
    /// The incomplete last line.
    line: Vec<u8>,
    /// The type and the data of the server-sent event so far.
    event: String,
    data: Option<String>,
    reply: ReadReply,
    has_text: bool,
    stopped: bool,
    /// The session id of the latest event that has one.
    session_id: Option<Value>,
    seen: Vec<String>,
}

impl StreamReader {
    #[must_use]
    pub fn new(agent: Arc<HttpAgent>) -> Self {
        Self {
            agent,
            line: Vec::new(),
            event: String::new(),
            data: None,
            reply: ReadReply::default(),
            has_text: false,
            stopped: false,
            session_id: None,
            seen: Vec::new(),
        }
    }

    /// Reads the next bytes. Returns whether the stream is complete.
    ///
    /// # Errors
    /// An event cannot be read or reports an error.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, ReadError> {
        for byte in bytes {
            if self.stopped {
                break;
            }
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.read_line(&line)?;
            } else {
                self.line.push(*byte);
            }
        }
        Ok(self.stopped)
    }

    /// The reply, and the document with the newest session id.
    ///
    /// # Errors
    /// The stream ended too early, or contained no text.
    pub fn finish(mut self) -> Result<(ReadReply, Option<Value>), ReadError> {
        if !self.stopped {
            let line = std::mem::take(&mut self.line);
            self.read_line(&line)?;
            self.dispatch()?;
        }
        let mapping = &self.agent.response;
        if let Some(stop) = mapping.stop.as_deref().filter(|_| !self.stopped) {
            return Err(ReadError::Cut(format!("the stream ended before {stop} (response.stop)")));
        }
        if !self.has_text && self.reply.tool_calls.is_empty() {
            let seen = if self.seen.is_empty() { "none".to_owned() } else { self.seen.join(", ") };
            let message = format!(
                "no event has text at {} (response.text); types of events: {seen}",
                mapping.text
            );
            return Err(ReadError::Unreadable(message));
        }
        Ok((self.reply, self.session_id))
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), ReadError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line)
            .map_err(|_| ReadError::unreadable("the stream is not valid UTF-8"))?;
        if self.agent.response.format == ResponseFormat::Ndjson {
            if line.trim().is_empty() {
                return Ok(());
            }
            return self.read_data(line.trim(), "");
        }
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments keep the connection open; ids and retry times do not matter.
            _ => {}
        }
        Ok(())
    }

    /// Ends a server-sent event.
    fn dispatch(&mut self) -> Result<(), ReadError> {
        let event = std::mem::take(&mut self.event);
        let Some(data) = self.data.take() else { return Ok(()) };
        self.read_data(&data, &event)
    }

    fn read_data(&mut self, data: &str, event: &str) -> Result<(), ReadError> {
        let stop = self.agent.response.stop.as_deref();
        if stop == Some(data.trim()) {
            self.stopped = true;
            return Ok(());
        }
        // The end marker of OpenAI, also where it is not configured.
        if data.trim() == "[DONE]" {
            return Ok(());
        }
        let document: Value = serde_json::from_str(data).map_err(|_| {
            let start: String = data.chars().take(100).collect();
            ReadError::Unreadable(format!("an event is not JSON: {start}"))
        })?;
        let kind = event_type(event, &document).to_owned();
        if !self.seen.contains(&kind) && self.seen.len() < LISTED_TYPES {
            self.seen.push(kind.clone());
        }
        self.read_event(&document, &kind)?;
        let stop = self.agent.response.stop.as_deref();
        self.stopped = stop == Some(kind.as_str());
        Ok(())
    }

    fn read_event(&mut self, document: &Value, kind: &str) -> Result<(), ReadError> {
        let agent = self.agent.clone();
        check_error(agent.response.error.as_deref(), document)?;
        add_common(&agent, document, &mut self.reply)?;
        if let Some(id) = &agent.session.id
            && !find(&id.at, document).is_empty()
        {
            self.session_id = Some(document.clone());
        }
        let events = agent.response.events.as_deref();
        let is_read = events.is_none_or(|events| events.split(',').any(|e| e.trim() == kind));
        if is_read && let Some(texts) = texts(&agent.response.text, document)? {
            self.has_text = true;
            self.reply.text.extend(texts);
        }
        Ok(())
    }
}

/// The type of an event: its `event` line, or the field `event` or `type` of its data.
fn event_type<'a>(event: &'a str, document: &'a Value) -> &'a str {
    let field = |name| document.get(name).and_then(Value::as_str);
    if !event.is_empty() {
        return event;
    }
    field("event").or_else(|| field("type")).unwrap_or("message")
}
