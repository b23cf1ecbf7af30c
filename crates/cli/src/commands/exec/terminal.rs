//! The user's terminal, given over to a shell: each key is passed on as it is pressed, and nothing is shown but what the
//! shell shows.

use std::io;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios};

/// A terminal that is the shell's until this is dropped.
pub(super) struct RawTerminal(Termios);

impl RawTerminal {
    /// Gives the terminal over, if keys come from one.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        if !rustix::termios::isatty(stdin()) {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        rustix::termios::tcsetattr(stdin(), OptionalActions::Flush, &self.0).ok();
    }
}

/// Columns and rows of the screen; `None` if there is none.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
