//! A pseudo-terminal: this end of it, and the end that is a shell's.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use coracle_guest_proto::shell::{MAX_PIECE, TerminalSize};
use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::readiness;

/// The size of a terminal nobody has given another one.
const USUAL_SIZE: TerminalSize = TerminalSize {
    columns: 80,
    rows: 24,
};

/// The end that stands for screen and keyboard.
#[derive(Debug)]
pub(super) struct Terminal(AsyncFd<File>);

impl Terminal {
    /// A new terminal, and the end for the programs at it.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&screen)?;
        rustix::pty::unlockpt(&screen)?;
        let programs = rustix::pty::ioctl_tiocgptpeer(&screen, flags)?;
        let mut modes = rustix::termios::tcgetattr(&programs)?;
        // A character of several bytes is erased by one key.
        modes.input_modes |= InputModes::IUTF8;
        rustix::termios::tcsetattr(&programs, OptionalActions::Now, &modes)?;
        rustix::fs::fcntl_setfl(&screen, OFlags::RDWR | OFlags::NONBLOCK)?;
        let terminal = Self(readiness::register(screen.into())?);
        terminal.resize(USUAL_SIZE)?;
        Ok((terminal, programs))
    }

    /// Makes it this large and tells the programs at it.
    pub(super) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize {
            ws_col: size.columns,
            ws_row: size.rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(rustix::termios::tcsetwinsize(&self.0, size)?)
    }

    /// What was written next; `None` once no program has the terminal open. Nothing is lost when the future is dropped.
    pub(super) async fn read(&self) -> Option<Bytes> {
        let mut piece = vec![0; MAX_PIECE];
        let reading = self.0.async_io(Interest::READABLE, |screen| {
            rustix::io::read(screen, &mut piece[..]).map_err(io::Error::from)
        });
        // The end of a terminal is an error (EIO).
        let length = reading.await.ok().filter(|length| *length > 0)?;
        piece.truncate(length);
        Some(piece.into())
    }

    /// Presses keys. Waits while the programs do not read.
    pub(super) async fn write(&self, mut keys: &[u8]) -> io::Result<()> {
        while !keys.is_empty() {
            let writing = self.0.async_io(Interest::WRITABLE, |screen| {
                rustix::io::write(screen, keys).map_err(io::Error::from)
            });
            let written = writing.await?;
            keys = &keys[written..];
        }
        Ok(())
    }
}
