//! Frames of RFC 6455, as far as somebody between the two ends has to know them: where one ends, and whether it
//! may pass. Payloads are neither unmasked nor put together, so no message has to fit into memory.

use std::io::{self, Cursor};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tungstenite::protocol::frame::coding::{CloseCode, Control, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

/// How much is read at a time when no frame is under way.
const READ_SIZE: usize = 8 * 1024;
/// Longest payload of a control frame, in bytes.
const MAX_CONTROL: u64 = 125;
/// Longest reason in a close frame, in bytes.
const MAX_REASON: usize = 123;

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// Who opened it.
    Client,
    /// The agent in the sandbox.
    Agent,
}

/// Why a connection is closed, as a close frame says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Closing {
    pub(in crate::data) code: CloseCode,
    pub(in crate::data) reason: String,
}

impl Closing {
    pub(in crate::data) fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        Self { code, reason }
    }

    /// The close frame for this party. What goes to an agent is masked, because a client sends it.
    pub(super) fn frame_for(&self, receiver: Party) -> Vec<u8> {
        let mut frame = Frame::close(Some(CloseFrame {
            code: self.code,
            reason: self.reason.as_str().into(),
        }));
        if receiver == Party::Agent {
            frame.header_mut().mask = Some(rand::random());
        }
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        frame.format(&mut bytes).ok();
        bytes
    }
}

/// A frame that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passing {
    /// All of it, as it came.
    pub(super) bytes: BytesMut,
    /// Whether it closes its direction.
    pub(super) is_close: bool,
}

/// Why there is no further frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The connection broke or ended.
    #[error("the connection ended")]
    Gone(#[source] io::Error),
    /// The sender broke a rule.
    #[error("{}", .0.reason)]
    Broken(Closing),
}

/// Reads one party's frames.
pub(super) struct Frames<R> {
    read: R,
    sender: Party,
    max_payload: u64,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(read: R, sender: Party, max_payload: u64) -> Self {
        Self {
            read,
            sender,
            max_payload,
            buffer: BytesMut::new(),
        }
    }

    /// The next frame. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When there is none, or when it may not pass.
    pub(super) async fn next(&mut self) -> Result<Passing, FrameError> {
        loop {
            let missing = match take(&mut self.buffer, self.sender, self.max_payload) {
                Ok(Taken::Frame(frame)) => return Ok(frame),
                Ok(Taken::Missing(bytes)) => bytes,
                Err(closing) => return Err(FrameError::Broken(closing)),
            };
            self.buffer.reserve(missing.max(READ_SIZE));
            match self.read.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(FrameError::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(FrameError::Gone(error)),
            }
        }
    }

    /// Whether the next frame may already be here.
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// What is left to read when frames no longer matter.
    pub(super) fn into_inner(self) -> R {
        self.read
    }
}

enum Taken {
    Frame(Passing),
    /// So many bytes are missing at least.
    Missing(usize),
}

/// Takes the first frame off the buffer, if it is all there and may pass.
fn take(buffer: &mut BytesMut, sender: Party, max_payload: u64) -> Result<Taken, Closing> {
    let mut cursor = Cursor::new(&buffer[..]);
    let parsed = FrameHeader::parse(&mut cursor)
        .map_err(|error| Closing::new(CloseCode::Protocol, error.to_string()))?;
    let Some((header, payload)) = parsed else {
        return Ok(Taken::Missing(1));
    };
    check(&header, payload, sender, max_payload)?;
    // Both fit: the payload has just been checked against a limit that is far below.
    let total = usize::try_from(cursor.position() + payload).unwrap_or(usize::MAX);
    if buffer.len() < total {
        return Ok(Taken::Missing(total - buffer.len()));
    }
    Ok(Taken::Frame(Passing {
        bytes: buffer.split_to(total),
        is_close: header.opcode == OpCode::Control(Control::Close),
    }))
}

fn check(header: &FrameHeader, payload: u64, sender: Party, max_payload: u64) -> Result<(), Closing> {
    let protocol = |reason: &str| Err(Closing::new(CloseCode::Protocol, reason));
    if payload > max_payload {
        return Err(Closing::new(
            CloseCode::Size,
            format!("a frame has {payload} bytes, over the limit of {max_payload}"),
        ));
    }
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return protocol("a frame uses an extension, but none was agreed on");
    }
    match (sender, header.mask) {
        (Party::Client, None) => return protocol("a client's frame is not masked"),
        (Party::Agent, Some(_)) => return protocol("a server's frame is masked"),
        _ => {}
    }
    let is_control = matches!(header.opcode, OpCode::Control(_));
    if is_control && (payload > MAX_CONTROL || !header.is_final) {
        return protocol("a control frame is too long or fragmented");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::frame::coding::Data;

    use super::*;

    const MAX: u64 = 64 * 1024;

    fn bytes_of(opcode: OpCode, payload: Vec<u8>, is_final: bool, mask: Option<[u8; 4]>) -> Vec<u8> {
        let header = FrameHeader {
            is_final,
            opcode,
            mask,
            ..FrameHeader::default()
        };
        let mut bytes = Vec::new();
        Frame::from_payload(header, payload.into())
            .format(&mut bytes)
            .unwrap();
        bytes
    }

    fn refused(bytes: &[u8], sender: Party) -> CloseCode {
        match take(&mut BytesMut::from(bytes), sender, MAX) {
            Err(closing) => closing.code,
            Ok(_) => panic!("{bytes:?} passed"),
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_its_head_alone() {
        let text = OpCode::Data(Data::Text);
        let mask = Some([1; 4]);
        let long = bytes_of(text, vec![0; 65_537], true, mask);
        assert_eq!(refused(&long[..14], Party::Client), CloseCode::Size);
        let ping = OpCode::Control(Control::Ping);
        for broken in [
            bytes_of(text, vec![0], true, None),
            bytes_of(ping, vec![0; 126], true, mask),
            bytes_of(ping, vec![0], false, mask),
            vec![0xC1, 0x80, 0, 0, 0, 0],
            vec![0x83, 0x80, 0, 0, 0, 0],
        ] {
            assert_eq!(refused(&broken, Party::Client), CloseCode::Protocol);
        }
        assert_eq!(
            refused(&bytes_of(text, vec![0], true, mask), Party::Agent),
            CloseCode::Protocol
        );
    }

    #[test]
    fn a_close_frame_is_readable_by_its_receiver() {
        let closing = Closing::new(CloseCode::Policy, "ä".repeat(100));
        for (receiver, sender) in [(Party::Client, Party::Agent), (Party::Agent, Party::Client)] {
            let mut bytes = BytesMut::from(&closing.frame_for(receiver)[..]);
            let Ok(Taken::Frame(frame)) = take(&mut bytes, sender, MAX) else {
                panic!("no frame")
            };
            assert!(frame.is_close);
        }
    }

    proptest! {
        /// Frames come out as they went in, however the network cuts them.
        #[test]
        fn frames_survive_any_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8),
            mask in any::<[u8; 4]>(),
            cut in 1..64_usize,
        ) {
            let frames: Vec<Vec<u8>> = payloads
                .into_iter()
                .map(|payload| bytes_of(OpCode::Data(Data::Binary), payload, true, Some(mask)))
                .collect();
            let mut buffer = BytesMut::new();
            let mut passed = Vec::new();
            for piece in frames.concat().chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Ok(Taken::Frame(frame)) = take(&mut buffer, Party::Client, MAX) {
                    passed.push(frame.bytes.to_vec());
                }
            }
            prop_assert_eq!(passed, frames);
            prop_assert!(buffer.is_empty());
        }

        /// No bytes do more than be refused, and what is kept waiting is bounded.
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(taken) = take(&mut buffer, Party::Client, MAX) {
                if let Taken::Missing(missing) = taken {
                    prop_assert!(missing as u64 <= MAX + 14);
                    break;
                }
            }
        }
    }
}
