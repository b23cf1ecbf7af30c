//! Server-sent events, as far as AgentCore answers use them: the data of each event, whatever way the network cut
//! the stream (WHATWG HTML, section 9.2).

/// Largest event, in bytes; the service's limit for one piece of an answer is 10 MB.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// An event that never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the answer is larger than {MAX_EVENT} bytes")]
pub(crate) struct EventTooLarge;

/// Takes pieces of a stream and gives whole events.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    after_carriage_return: bool,
    after_first_line: bool,
}

impl Decoder {
    /// The data of every event that this piece completes.
    ///
    /// # Errors
    /// When an event grows beyond what any answer holds.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, EventTooLarge> {
        let mut events = Vec::new();
        for &byte in piece {
            let follows_carriage_return = std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                b'\n' if follows_carriage_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => {
                    self.line.push(byte);
                    if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > MAX_EVENT {
                        return Err(EventTooLarge);
                    }
                }
            }
        }
        Ok(events)
    }

    /// What is left when the stream ends. The standard drops an event without its blank line; agents that forget it
    /// still mean what they said.
    pub(crate) fn finish(mut self) -> Option<String> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_line()
    }

    fn end_line(&mut self) -> Option<String> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.after_first_line, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            return self
                .data
                .take()
                .map(|data| String::from_utf8_lossy(&data).into_owned());
        }
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line.as_slice(), &[][..]),
        };
        if field == b"data" {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut events: Vec<_> = pieces
            .into_iter()
            .flat_map(|piece| decoder.push(piece).unwrap())
            .collect();
        events.extend(decoder.finish());
        events
    }

    #[test]
    fn every_kind_of_line_is_understood() {
        let stream = "\u{feff}data: one\n\n: comment\r\nevent: x\r\nid: 7\r\ndata: two\r\ndata:three\r\n\r\ndata\n\nlast: x\ndata: four";
        assert_eq!(decode([stream.as_bytes()]), ["one", "two\nthree", "", "four"]);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut decoder = Decoder::default();
        let piece = vec![b'x'; 1024 * 1024];
        let refused = (0..=16).any(|_| decoder.push(&piece) == Err(EventTooLarge));
        assert!(refused);
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_makes_no_difference(
            events in prop::collection::vec("[a-zé→ ]{0,20}(\n[a-z]{0,5})?", 0..6),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream: String = events
                .iter()
                .map(|event| event.split('\n').map(|line| format!("data: {line}{ending}")).collect::<String>() + ending)
                .collect();
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(pieces), events);
        }
    }
}
