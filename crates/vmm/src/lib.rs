//! Microvms as QEMU processes.
//!
//! ```text
//!  MachineConfig ──arguments──▶ qemu ── sandbox folder: channel, qmp, console, network (sockets), machine.json, disks
//!                                 │
//!  Vm ◀── ended, console tail ────┘
//! ```
//!
//! A machine has one folder, which is its process's working directory and holds all that it has. The process
//! does not die with the server: a later one takes it over with [`Vm::adopt`], or [`sweep()`] ends it, found by the
//! folder's record or, when the server was killed before it wrote one, by its working directory. What QEMU and the guest
//! say is hostile: lines, logs and waits are bounded.

mod config;
mod connect;
mod emulation;
mod own_pages;
mod probe;
mod process;
mod procfs;
mod qmp;
mod record;
mod snapshot;
mod sweep;
mod tail;
mod vm;

pub use config::{Accelerator, Access, Disk, MachineConfig, Memory, NetworkCard};
pub use emulation::emulation_arguments;
pub use probe::{KvmProbe, KvmVerdict, ProbeError};
pub use procfs::{MemoryMap, cpu_time_of_processes_in, memory_of_processes_in};
pub use qmp::{Event, Qmp, QmpError};
pub use snapshot::SnapshotError;
pub use sweep::{Swept, sweep};
pub use vm::{HIBERNATED_PAGES, HIBERNATED_STATE, Vm, VmError};
