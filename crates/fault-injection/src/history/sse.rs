//! Frames of an event stream, read from whatever pieces they come in.

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its `event:`.
    pub event: String,
    /// Its `id:`.
    pub id: Option<i64>,
    /// Its `data:`.
    pub data: String,
}

/// A reader of frames.
#[derive(Default)]
pub struct Frames {
    rest: Vec<u8>,
    frame: Frame,
}

impl Frames {
    /// Takes a piece in; answers the frames that it completes.
    pub fn take(&mut self, piece: &[u8]) -> Vec<Frame> {
        self.rest.extend_from_slice(piece);
        let mut done = Vec::new();
        let mut read = 0;
        while let Some(length) = self.rest[read..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.rest[read..read + length]).into_owned();
            read += length + 1;
            if let Some(frame) = self.line(line.trim_end_matches('\r')) {
                done.push(frame);
            }
        }
        self.rest.drain(..read);
        done
    }

    /// An empty line ends a frame; comments and `retry:` are nothing to us.
    fn line(&mut self, line: &str) -> Option<Frame> {
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
    fn frames_are_read_in_any_pieces() {
        let text = "retry: 2000\n\nevent: turn\nid: 7\ndata: {\"a\":1}\n\n: ping\n\nevent:finished\ndata:{}\n\n";
        let expected = [
            Frame { event: "turn".into(), id: Some(7), data: "{\"a\":1}".into() },
            Frame { event: "finished".into(), id: None, data: "{}".into() },
        ];
        for size in 1..text.len() {
            let mut frames = Frames::default();
            let pieces = text.as_bytes().chunks(size);
            let seen: Vec<_> = pieces.flat_map(|piece| frames.take(piece)).collect();
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }
}
