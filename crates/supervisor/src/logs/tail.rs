//! The last lines of a session, for error texts.

use std::collections::VecDeque;

/// How many lines are kept.
const MAX_LINES: usize = 20;
/// Longest line that is kept whole, in bytes.
const MAX_LINE: usize = 1024;

/// The newest lines, bounded in number and length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
}

impl Tail {
    /// Adds the newest line.
    pub(crate) fn push(&mut self, line: &str) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        let shown = line.floor_char_boundary(MAX_LINE);
        let ellipsis = if shown < line.len() { "…" } else { "" };
        self.lines.push_back(format!("{}{ellipsis}", &line[..shown]));
    }

    /// The lines, oldest first.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_and_long_ones_are_cut() {
        let mut tail = Tail::default();
        for number in 0..100 {
            tail.push(&format!("line {number}"));
        }
        tail.push(&"é".repeat(MAX_LINE));
        let lines = tail.into_lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines[0], "line 81");
        assert_eq!(lines[MAX_LINES - 1], format!("{}…", "é".repeat(MAX_LINE / 2)));
    }
}
