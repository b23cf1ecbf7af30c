//! What agents run in, and what becomes of it.

use coracle_supervisor::PoolSize;
use serde::Deserialize;

use super::parsed;

/// Which driver makes sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// A QEMU microVM each.
    Microvm,
    /// A child process each, without isolation: for development where QEMU cannot run.
    Process,
    /// A fake that runs no code: for testing clients.
    Simulated,
}

/// What becomes of sessions when the server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnStop {
    /// They end.
    End,
    /// Those that are ready go on, for the next server on this data folder to adopt (`microvm` only).
    Keep,
}

/// How QEMU runs guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AcceleratorChoice {
    /// KVM when a probe proves that it works, else emulation.
    Auto,
    /// KVM, or refuse to start.
    Kvm,
    /// Emulation.
    Tcg,
}

/// How sandboxes are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// The driver.
    pub driver: DriverKind,
    /// The accelerator of the `microvm` driver.
    pub accelerator: AcceleratorChoice,
    /// Memory of a sandbox, in MiB.
    pub memory_mib: u32,
    /// Virtual processors of a sandbox.
    pub vcpus: u8,
    /// Private disk of a sandbox, in MiB. Takes only what is written.
    pub disk_mib: u32,
    /// MiB that the disks of a sandbox may read and write in a second; 0: as much as they can (`microvm` only).
    pub disk_mib_per_second: u32,
    /// Reads and writes of these disks in a second; 0: as many as they can (`microvm` only).
    pub disk_operations_per_second: u32,
    /// Whether sessions of platform V2 are restored from a snapshot of their version (`microvm` only). Off, they
    /// boot.
    pub snapshots: bool,
    /// How many sandboxes stand ready for each endpoint that its tags say nothing of: a number, or minimum and
    /// maximum as in `1-4`.
    #[serde(deserialize_with = "parsed")]
    pub warm: PoolSize,
    /// What becomes of sessions when the server is told to stop.
    pub on_stop: OnStop,
    /// A session that is unused for so many seconds is hibernated (`microvm` only, sessions from a snapshot only).
    /// Never, unless set.
    pub hibernate_after_secs: Option<u64>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            driver: DriverKind::Microvm,
            accelerator: AcceleratorChoice::Auto,
            memory_mib: 2048,
            vcpus: 2,
            disk_mib: 8192,
            disk_mib_per_second: 256,
            disk_operations_per_second: 16_000,
            snapshots: true,
            warm: PoolSize::default(),
            on_stop: OnStop::End,
            hibernate_after_secs: None,
        }
    }
}
