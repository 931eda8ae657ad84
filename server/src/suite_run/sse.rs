//! Reads server-sent events.

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SseEvent {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) data: String,
}

/// Assembles events from the parts in which they arrive.
#[derive(Debug, Default)]
pub(super) struct SseReader {
    /// The unfinished line.
    line: Vec<u8>,
    event: SseEvent,
}

impl SseReader {
    /// Takes the next part and returns the events that it completes. Comments and events
    /// without data complete nothing.
    pub(super) fn push(&mut self, part: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                events.extend(self.take_line(line.trim_end_matches(['\r', '\n'])));
            }
        }
        events
    }

    fn take_line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{SseEvent, SseReader};

    const STREAM: &str = "retry: 2000\n\nid: 3\nevent: turn\ndata: {\"a\":\ndata: 1}\n\n\
        : ping\n\nevent: progress\r\ndata:ü\r\n\r\nid: 4\n\ndata: cut off";

    fn expected() -> Vec<SseEvent> {
        let event = |id: Option<&str>, name: &str, data: &str| SseEvent {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data: data.to_owned(),
        };
        vec![event(Some("3"), "turn", "{\"a\":\n1}"), event(None, "progress", "ü")]
    }

    #[test]
    fn events_are_assembled_from_parts_of_any_size() {
        for size in 1..STREAM.len() {
            let mut reader = SseReader::default();
            let parts = STREAM.as_bytes().chunks(size);
            let events: Vec<_> = parts.flat_map(|part| reader.push(part)).collect();
            assert_eq!(events, expected(), "parts of {size} bytes");
        }
    }
}
