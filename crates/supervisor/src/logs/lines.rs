//! Lines from pieces of output.

use coracle_guest_proto::log::Output;
use jiff::Timestamp;

use super::LogLine;

/// Longest line that is kept whole, in bytes.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// Collects the pieces of one session's two outputs until a line is complete.
#[derive(Debug, Default)]
pub(crate) struct LineAssembler {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl LineAssembler {
    /// Takes a piece and returns the lines it completes.
    pub(crate) fn push(&mut self, output: Output, time: Timestamp, mut piece: &[u8]) -> Vec<LogLine> {
        let pending = match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        };
        let mut lines = Vec::new();
        while !piece.is_empty() {
            let room = MAX_LINE + 1 - pending.len();
            let window = &piece[..piece.len().min(room)];
            let taken = window
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(window.len(), |at| at + 1);
            pending.extend_from_slice(&window[..taken]);
            piece = &piece[taken..];
            if pending.last() == Some(&b'\n') {
                pending.pop();
                if pending.last() == Some(&b'\r') {
                    pending.pop();
                }
                lines.push(line(output, time, pending, false));
                pending.clear();
            } else if pending.len() > MAX_LINE {
                let cut = character_boundary(pending, MAX_LINE);
                lines.push(line(output, time, &pending[..cut], true));
                pending.drain(..cut);
            }
        }
        lines
    }

    /// What has been written since the last line break, standard output first.
    pub(crate) fn pending(&self, time: Timestamp) -> impl Iterator<Item = LogLine> {
        [(Output::Stdout, &self.stdout), (Output::Stderr, &self.stderr)]
            .into_iter()
            .filter(|(_, pending)| !pending.is_empty())
            .map(move |(output, pending)| line(output, time, pending, false))
    }
}

fn line(output: Output, time: Timestamp, bytes: &[u8], partial: bool) -> LogLine {
    LogLine {
        time,
        output,
        line: String::from_utf8_lossy(bytes).into_owned(),
        partial,
    }
}

/// The last place at or before `at` that does not cut a UTF-8 character in two.
fn character_boundary(bytes: &[u8], at: usize) -> usize {
    let longest_tail = 3;
    (at.saturating_sub(longest_tail)..=at)
        .rev()
        .find(|cut| bytes[*cut] & 0xc0 != 0x80)
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.line.as_str()).collect()
    }

    #[test]
    fn outputs_do_not_mix_and_line_breaks_go() {
        let (mut assembler, now) = (LineAssembler::default(), Timestamp::UNIX_EPOCH);
        assert!(assembler.push(Output::Stdout, now, b"hel").is_empty());
        assert_eq!(
            texts(&assembler.push(Output::Stderr, now, b"oops\r\n\n")),
            ["oops", ""]
        );
        assert_eq!(texts(&assembler.push(Output::Stdout, now, b"lo\nwor")), ["hello"]);
        assert_eq!(texts(&assembler.pending(now).collect::<Vec<_>>()), ["wor"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let (mut assembler, now) = (LineAssembler::default(), Timestamp::UNIX_EPOCH);
        let text = format!("a{}", "é".repeat(MAX_LINE));
        let mut lines = assembler.push(Output::Stdout, now, text.as_bytes());
        lines.extend(assembler.push(Output::Stdout, now, b"\n"));
        assert_eq!(
            lines.iter().map(|line| line.partial).collect::<Vec<_>>(),
            [true, true, false]
        );
        assert_eq!(texts(&lines).concat(), text);
    }

    proptest! {
        /// However the output is cut into pieces, the lines are the same and none is too long.
        #[test]
        fn pieces_do_not_matter(text in "[a-zé\\n]{0,300}", cuts in proptest::collection::vec(1_usize..50, 1..20)) {
            let (mut assembler, now) = (LineAssembler::default(), Timestamp::UNIX_EPOCH);
            let (mut rest, mut lines) = (text.as_bytes(), Vec::new());
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                lines.extend(assembler.push(Output::Stdout, now, piece));
                rest = after;
            }
            lines.extend(assembler.pending(now));
            prop_assert_eq!(texts(&lines), text.lines().collect::<Vec<_>>());
        }
    }
}
