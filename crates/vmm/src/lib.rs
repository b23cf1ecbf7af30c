//! Microvms as QEMU processes.
//!
//! ```text
//!  MachineConfig ──arguments──▶ qemu ── sandbox folder: machine.json, disks, run/{channel,qmp,console,network}
//!                                 │
//!  Vm ◀── ended, console tail ────┘
//! ```
//!
//! A machine has one folder, which holds all that it has; its process works in the folder `run` there. The process
//! does not die with the server: a later one takes it over with [`Vm::adopt`], or [`sweep()`] ends it, found by the
//! folder's record or, when the server was killed before it wrote one, by its working directory. What QEMU and the guest
//! say is hostile: lines, logs and waits are bounded.

mod cgroup;
mod config;
mod emulation;
mod jail;
mod own_pages;
mod probe;
mod process;
mod procfs;
mod qmp;
mod record;
mod remove;
mod run_folder;
mod snapshot;
mod sweep;
mod tail;
mod turns;
mod vm;

pub use config::{Accelerator, Access, Disk, DiskRate, MachineConfig, Memory, NetworkCard};
pub use emulation::emulation_arguments;
pub use jail::{Jail, JailError, JailMode, JailSettings, LaunchError, become_jailed};
pub use probe::{KvmProbe, KvmVerdict, ProbeError};
pub use procfs::{MemoryMap, cpu_time_of_processes_in, memory_of_processes_in};
pub use qmp::{Event, Qmp, QmpError};
pub use remove::settled;
pub use snapshot::SnapshotError;
pub use sweep::{Swept, sweep};
pub use vm::{HIBERNATED_PAGES, HIBERNATED_STATE, Vm, VmError};
