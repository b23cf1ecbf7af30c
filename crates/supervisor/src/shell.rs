//! A shell in a sandbox, as whoever is attached to it sees it.

use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::shell::{Attached, FromShell, ToShell};
use futures::stream::{self, Stream};
use tokio::io::{ReadHalf, WriteHalf};

use crate::connection::ConnectError;
use crate::guest::cut;

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The guest said no.
    #[error("{0}")]
    Refused(String),
    /// The guest could not be asked.
    #[error("the sandbox cannot be reached")]
    Unreachable(#[from] ConnectError),
}

/// An attachment to a shell. The shell goes on when it is dropped.
#[derive(Debug)]
pub struct AttachedShell {
    /// How the shell was found.
    pub attached: Attached,
    /// What it says.
    pub screen: Screen,
    /// What it is told.
    pub keyboard: Keyboard,
}

/// What a shell says.
#[derive(Debug)]
pub struct Screen(ReadHalf<ChannelStream>);

/// What a shell is told.
#[derive(Debug)]
pub struct Keyboard(WriteHalf<ChannelStream>);

impl AttachedShell {
    /// Waits for the guest's first word.
    pub(crate) async fn begin(stream: ChannelStream) -> Result<Self, ShellError> {
        let (mut read, write) = tokio::io::split(stream);
        let unreachable = |error: FrameError| ShellError::Unreachable(ConnectError::Channel(error.into()));
        match FromShell::read(&mut read).await.map_err(unreachable)? {
            FromShell::Attached(attached) => Ok(Self {
                attached,
                screen: Screen(read),
                keyboard: Keyboard(write),
            }),
            FromShell::Refused(reason) => Err(ShellError::Refused(cut(reason))),
            FromShell::Output(_) | FromShell::Ended(_) | FromShell::Replaced => Err(unreachable(
                FrameError::Io(std::io::ErrorKind::InvalidData.into()),
            )),
        }
    }
}

impl Screen {
    /// What happens, one after the other, until the shell has ended, somebody else has attached, or the sandbox is gone.
    pub fn events(self) -> impl Stream<Item = Result<FromShell, FrameError>> + Send {
        stream::unfold(Some(self.0), |read| async move {
            let mut read = read?;
            let event = FromShell::read(&mut read).await;
            let goes_on = matches!(event, Ok(FromShell::Output(_)));
            Some((event, goes_on.then_some(read)))
        })
    }
}

impl Keyboard {
    /// Tells the shell. Waits while it does not take what it was told before.
    ///
    /// # Errors
    /// When the sandbox is gone.
    pub async fn tell(&mut self, message: &ToShell) -> Result<(), FrameError> {
        message.write(&mut self.0).await
    }
}
