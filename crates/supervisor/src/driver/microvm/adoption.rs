//! What a later server needs to go on with a machine that runs, in the machine's folder.
//!
//! ```text
//!  sandboxes/<sandbox>/identity.json   what it was restored from, without which it cannot be hibernated; absent if it booted
//!  sandboxes/<sandbox>/session.json    what was last noted of its session, every few seconds
//! ```
//!
//! Nothing is synced: these files need not outlive the machine, and that does not outlive the host.

use std::fs;
use std::io;
use std::path::Path;

use coracle_types::SandboxId;
use coracle_vmm::Vm;

use super::hibernation::Identity;
use super::power::PoweredOn;
use super::{Cause, Microvms, blocking};
use crate::driver::{AgentSpec, Note};

const IDENTITY_FILE: &str = "identity.json";
const NOTE_FILE: &str = "session.json";
const DRAFT_FILE: &str = "session.json.draft";

/// Writes down what a restored machine is.
pub(super) fn keep_identity(folder: &Path, identity: &Identity) -> io::Result<()> {
    fs::write(folder.join(IDENTITY_FILE), serde_json::to_vec(identity)?)
}

/// Writes down what is known of the session.
pub(super) fn keep_note(folder: &Path, note: &Note) -> io::Result<()> {
    let draft = folder.join(DRAFT_FILE);
    fs::write(&draft, serde_json::to_vec(note)?)?;
    fs::rename(draft, folder.join(NOTE_FILE))
}

fn identity(folder: &Path) -> Option<Identity> {
    serde_json::from_slice(&fs::read(folder.join(IDENTITY_FILE)).ok()?).ok()
}

fn note(folder: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(folder.join(NOTE_FILE)).ok()?).ok()
}

impl Microvms {
    pub(super) async fn last_note(&self, sandbox: SandboxId) -> Option<Note> {
        let folder = self.sandboxes().join(sandbox.to_string());
        // One that cannot be read is as good as none.
        blocking(move || Ok::<_, io::Error>(note(&folder))).await.ok()?
    }

    /// Takes over a machine that runs.
    pub(super) async fn adopt(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
    ) -> Result<(PoweredOn, Option<Identity>), Cause> {
        let folder = self.sandboxes().join(sandbox.to_string());
        let mut vm = match Vm::adopt(&folder).await {
            Ok(vm) => vm,
            Err(error) => {
                // What cannot be removed now is removed by the next sweep.
                tokio::fs::remove_dir_all(&folder).await.ok();
                return Err(error.into());
            }
        };
        let (egress, notices) = self.network(&mut vm, agent, None).await?;
        let channel = vm.channel(self.config.boot_timeout).await?;
        let identity = blocking(move || Ok::<_, io::Error>(identity(&folder))).await?;
        let powered_on = PoweredOn {
            vm,
            channel,
            egress,
            notices,
            timing: Vec::new(),
        };
        Ok((powered_on, identity))
    }
}
