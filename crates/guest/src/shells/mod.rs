//! Shells beside the agent, each at a terminal of its own, for hosts to attach to and leave.
//!
//! ```text
//!            attach ──▶ attached ──replaced, host gone──▶ detached ──attach──▶ attached …
//!                          └──exit, hang-up──▶ ended ◀──exit, abandoned──┘
//! ```
//!
//! A shell is known by its id until it ends. One host at a time is attached to it; a newer one replaces it.

mod backlog;
mod shell;
mod terminal;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::shell::{AttachShell, FromShell, MAX_SHELLS};
use tokio::io::AsyncWriteExt as _;

use self::shell::Shell;
use crate::beside::Beside;
use crate::confine::Confinement;
use crate::console::chain;
use crate::failure::Failure;

/// The shells that have not ended, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Shells(Arc<Mutex<HashMap<String, Arc<Shell>>>>);

impl Shells {
    /// Attaches a host to a shell, which is begun if need be, until the host leaves, is replaced, or the shell ends.
    pub(crate) async fn attach(
        &self,
        mut stream: ChannelStream,
        wanted: AttachShell,
        beside: &Beside,
        confinement: Result<Confinement, Failure>,
    ) -> Result<(), FrameError> {
        match confinement.and_then(|confinement| self.find_or_begin(wanted.id, beside, confinement)) {
            Ok((shell, reconnected)) => shell.serve(stream, reconnected).await,
            Err(failure) => {
                FromShell::Refused(chain(&failure)).write(&mut stream).await?;
                stream.shutdown().await.map_err(FrameError::Io)
            }
        }
    }

    /// The shell of this id, and whether there was one.
    fn find_or_begin(
        &self,
        id: String,
        beside: &Beside,
        confinement: Confinement,
    ) -> Result<(Arc<Shell>, bool), Failure> {
        let mut open = lock(&self.0);
        if let Some(shell) = open.get(&id) {
            return Ok((Arc::clone(shell), true));
        }
        if open.len() >= MAX_SHELLS {
            let full = format!("the session has {MAX_SHELLS} shells, which is the most it may have");
            return Err(Failure::new("opening a shell", full));
        }
        let (shell, ended) = Shell::begin(beside, confinement)?;
        let shell = Arc::new(shell);
        open.insert(id.clone(), Arc::clone(&shell));
        let (others, living) = (Arc::clone(&self.0), Arc::clone(&shell));
        tokio::spawn(async move {
            let end = living.live(ended).await;
            // Whoever comes from now on begins anew; whoever is attached hears of the end.
            lock(&others).remove(&id);
            living.finish(end);
        });
        Ok((shell, false))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
