//! What an operator says of the jail around the processes of microVMs: the section `[jail]`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use coracle_vmm::{JailMode, JailSettings};
use serde::Deserialize;

/// This very program, also after its file has been replaced by a later version.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// How the processes of microVMs are jailed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JailConfig {
    /// Whether they are.
    pub mode: JailMode,
    /// The first of the user numbers that nobody but microVMs has. It is that of the group of all of them, too.
    pub first_user: u32,
    /// How many there are: one more than microVMs at once.
    pub users: NonZeroU32,
    /// Folders that QEMU is loaded from, where those of the system are not all.
    pub programs: Vec<PathBuf>,
}

impl Default for JailConfig {
    fn default() -> Self {
        Self {
            mode: JailMode::Auto,
            // Beyond what distributions and containers give out.
            first_user: 0x7000_0000,
            users: const { NonZeroU32::new(0x0010_0000).unwrap() },
            programs: Vec::new(),
        }
    }
}

impl JailConfig {
    /// The settings for machines.
    pub fn settings(&self) -> JailSettings {
        JailSettings {
            mode: self.mode,
            users: self.first_user..self.first_user.saturating_add(self.users.get()),
            programs: self.programs.clone(),
            launcher: OWN_PROGRAM.into(),
        }
    }
}
