//! An incremental parser of server-sent events.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseFrame {
    pub event: String,
    pub id: Option<i64>,
    pub data: String,
}

#[derive(Default)]
pub struct SseParser {
    rest: Vec<u8>,
    frame: SseFrame,
}

impl SseParser {
    /// Takes the next chunk and returns the frames that it completes.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<SseFrame> {
        self.rest.extend_from_slice(chunk);
        let mut frames = Vec::new();
        let mut read = 0;
        while let Some(length) = self.rest[read..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.rest[read..read + length]).into_owned();
            read += length + 1;
            frames.extend(self.push_line(line.trim_end_matches('\r')));
        }
        self.rest.drain(..read);
        frames
    }

    /// An empty line ends a frame. Comments and `retry:` are ignored.
    fn push_line(&mut self, line: &str) -> Option<SseFrame> {
        let Some((name, value)) = line.split_once(':') else {
            let frame = std::mem::take(&mut self.frame);
            return (line.is_empty() && !frame.event.is_empty()).then_some(frame);
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.frame.event),
            "id" => self.frame.id = value.parse().ok(),
            "data" => self.frame.data.push_str(value),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_frames_in_chunks_of_any_size() {
        let text = "retry: 2000\n\nevent: turn\nid: 7\ndata: {\"a\":1}\n\n: ping\n\nevent:finished\ndata:{}\n\n";
        let expected = [
            SseFrame { event: "turn".into(), id: Some(7), data: "{\"a\":1}".into() },
            SseFrame { event: "finished".into(), id: None, data: "{}".into() },
        ];
        for size in 1..text.len() {
            let mut parser = SseParser::default();
            let chunks = text.as_bytes().chunks(size);
            let frames: Vec<_> = chunks.flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(frames, expected, "in chunks of {size}");
        }
    }
}
