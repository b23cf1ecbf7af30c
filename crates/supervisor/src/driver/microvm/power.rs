//! From the files of a machine to a guest that can be spoken to.
//!
//! ```text
//!  disks ─▶ process ─▶ network ─▶ its state, if it goes on from one ─▶ channel
//! ```
//!
//! What was begun is undone where a step fails; the phase says which it was. A guest that has misjudged its timer while
//! it booted boots again, and each time a little more is put up with: a host that is busy now may be so for long.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_artifact::scratch::ScratchTemplate;
use coracle_egress::{Egress, Link, MAX_PACKET, Reach};
use coracle_types::{SandboxId, StorageId};
use coracle_vmm::{Access, Disk, MachineConfig, Memory, NetworkCard, Vm, VmError};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::hibernation::Hibernated;
use super::platform::Platform;
use super::program::{self, Loaded};
use super::template::Template;
use super::{Cause, MEMORY_FILE, Microvms, SCRATCH_DISK, SCRATCH_FILE, blocking, storage};
use crate::driver::{AgentSpec, BootError, BootPhase};

/// By which part of its rate a booted guest's timer may be off at first. Each time it boots again it is twice as much.
const FIRST_TOLERANCE: f64 = 0.01;
/// More is not put up with.
const LAST_TOLERANCE: f64 = 0.32;
/// How often a guest boots, if its timer is off each time.
const MOST_BOOTS: u32 = 12;

/// The files of one machine's disks.
struct Disks {
    /// What the machine runs.
    program: Vec<Disk>,
    scratch: PathBuf,
    /// For what the session finds again, if it keeps anything.
    storage: Option<Disk>,
}

/// What a machine begins with.
pub(super) enum Source<'a> {
    Boot,
    /// As `Boot`, with its memory kept in this file.
    Record(&'a Path),
    Template(&'a Template),
    Hibernated(&'a Hibernated),
}

/// What is copied or linked into a machine's folder.
struct Origins {
    scratch: ScratchTemplate,
    memory: Option<PathBuf>,
    /// What is mounted in it already.
    storage: Option<StorageId>,
}

impl Source<'_> {
    fn origins(&self, platform: &Platform) -> Origins {
        match self {
            Self::Template(template) => Origins {
                scratch: ScratchTemplate::at(template.scratch()),
                memory: Some(template.memory()),
                storage: None,
            },
            Self::Hibernated(machine) => Origins {
                scratch: ScratchTemplate::at(machine.scratch()),
                memory: Some(machine.memory()),
                storage: machine.identity.storage,
            },
            Self::Boot | Self::Record(_) => Origins {
                scratch: platform.scratch.clone(),
                memory: None,
                storage: None,
            },
        }
    }
}

/// Gives a machine the state it goes on from, if there is one.
async fn bring_back(vm: &mut Vm, source: &Source<'_>) -> Result<(), Cause> {
    match source {
        Source::Boot | Source::Record(_) => {}
        Source::Template(template) => vm.restore(&tokio::fs::read(template.state()).await?).await?,
        Source::Hibernated(machine) => {
            let state = tokio::fs::read(machine.state()).await?;
            vm.wake(&state, machine.pages()).await?;
        }
    }
    Ok(())
}

/// A machine whose guest can be spoken to.
pub(super) struct PoweredOn {
    pub(super) vm: Vm,
    pub(super) channel: UnixStream,
    pub(super) egress: Egress,
    /// What its log is to be told of its network.
    pub(super) notices: mpsc::Receiver<String>,
    pub(super) timing: Vec<(BootPhase, Duration)>,
}

/// How long each phase takes.
struct Stopwatch {
    timing: Vec<(BootPhase, Duration)>,
    begun: Instant,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            timing: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// This phase is over, and the next one begins.
    fn passed(&mut self, phase: BootPhase) {
        self.timing.push((phase, self.begun.elapsed()));
        self.begun = Instant::now();
    }
}

fn failed(phase: BootPhase) -> impl FnOnce(Cause) -> BootError {
    move |source| BootError { phase, source }
}

fn has_misjudged_timer(error: &BootError) -> bool {
    matches!(error.source.downcast_ref(), Some(VmError::Timer { .. }))
}

fn note_of_boot(sandbox: SandboxId, error: &(dyn Error + 'static)) {
    tracing::info!(%sandbox, error, "the host was busy while a guest booted, which boots again");
}

impl Microvms {
    /// The agent's program, whose disks are made where they are missing.
    pub(super) async fn load(&self, agent: &AgentSpec) -> Result<Loaded, Cause> {
        let (config, agent) = (self.config.clone(), agent.clone());
        blocking(move || program::load(&config, &agent)).await
    }

    /// The disks of a machine that runs this program. Memory that it is restored from is linked beside.
    async fn disks(
        &self,
        program: Vec<Disk>,
        agent: &AgentSpec,
        folder: &Path,
        origins: Origins,
    ) -> Result<Disks, Cause> {
        let (folder, storages) = (folder.to_owned(), Arc::clone(&self.storages));
        let has_storage = agent.storage.is_some();
        blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let disks = Disks {
                program,
                scratch: folder.join(SCRATCH_FILE),
                storage: match origins.storage {
                    Some(storage) => Some(storages.link(storage, &folder)?),
                    None if has_storage => Some(storage::blank(&folder)?),
                    None => None,
                },
            };
            origins.scratch.copy_to(&disks.scratch)?;
            if let Some(memory) = origins.memory {
                std::fs::hard_link(memory, folder.join(MEMORY_FILE))?;
            }
            Ok(disks)
        })
        .await
    }

    fn machine(
        &self,
        sandbox: SandboxId,
        platform: &Platform,
        initramfs: &Path,
        disks: Disks,
        folder: &Path,
        source: &Source<'_>,
    ) -> MachineConfig {
        let linked = folder.join(MEMORY_FILE);
        let scratch = Disk {
            serial: SCRATCH_DISK.to_owned(),
            path: disks.scratch,
            access: Access::Private,
        };
        let (memory, kernel_arguments) = match source {
            Source::Boot => (Memory::Fresh, &platform.kernel_arguments),
            Source::Record(path) => (Memory::Recorded((*path).to_owned()), &platform.kernel_arguments),
            Source::Template(template) => (Memory::Restored(linked), &template.kernel_arguments),
            Source::Hibernated(machine) => (Memory::Woken(linked), &machine.identity.kernel_arguments),
        };
        MachineConfig {
            sandbox,
            architecture: platform.architecture,
            qemu: platform.qemu.clone(),
            accelerator: platform.accelerator,
            vcpus: self.config.vcpus,
            memory_mib: self.config.memory_mib,
            memory,
            kernel: platform.kernel.clone(),
            initramfs: initramfs.to_owned(),
            kernel_arguments: kernel_arguments.clone(),
            disks: disks
                .program
                .into_iter()
                .chain([scratch])
                .chain(disks.storage)
                .collect(),
            disk_rate: self.config.disk_rate,
            network: Some(NetworkCard {
                address: Link::GUEST_CARD,
                mtu: MAX_PACKET,
            }),
        }
    }

    /// Runs a machine until its guest can be spoken to. What was begun is undone when that fails.
    pub(super) async fn power_on(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        source: Source<'_>,
    ) -> Result<PoweredOn, BootError> {
        let mut stopwatch = Stopwatch::start();
        let mut tolerance = FIRST_TOLERANCE;
        let mut boots = 1;
        loop {
            let powered_on = self
                .try_power_on(sandbox, agent, &source, tolerance, &mut stopwatch)
                .await;
            match powered_on {
                Err(error) if has_misjudged_timer(&error) && boots < MOST_BOOTS => {
                    note_of_boot(sandbox, &error);
                    if let Source::Record(memory) = &source {
                        let removed = tokio::fs::remove_file(memory).await;
                        removed.map_err(|error| failed(BootPhase::Disks)(error.into()))?;
                    }
                    stopwatch.passed(BootPhase::Kernel);
                    tolerance = LAST_TOLERANCE.min(tolerance * 2.0);
                    boots += 1;
                }
                powered_on => return powered_on,
            }
        }
    }

    async fn try_power_on(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        source: &Source<'_>,
        tolerance: f64,
        stopwatch: &mut Stopwatch,
    ) -> Result<PoweredOn, BootError> {
        let folder = self.sandboxes().join(sandbox.to_string());
        let loaded = self.load(agent).await.map_err(failed(BootPhase::Disks))?;
        let platform = self
            .platform(loaded.architecture)
            .await
            .map_err(|error| failed(BootPhase::Disks)(error.into()))?;
        let spawning = async {
            let disks = self
                .disks(loaded.disks, agent, &folder, source.origins(platform))
                .await;
            let disks = disks.map_err(failed(BootPhase::Disks))?;
            stopwatch.passed(BootPhase::Disks);
            let initramfs = self.initramfs(platform, agent).await;
            let initramfs = initramfs.map_err(|error| failed(BootPhase::Disks)(error.into()))?;
            let machine = self.machine(sandbox, platform, initramfs, disks, &folder, source);
            let spawned = Vm::spawn(&machine, &platform.jail, &folder).await;
            spawned.map_err(|error| failed(BootPhase::Machine)(error.into()))
        };
        let mut vm = match spawning.await {
            Ok(vm) => vm,
            Err(error) => {
                // What cannot be removed now is removed by the next sweep.
                tokio::fs::remove_dir_all(&folder).await.ok();
                return Err(error);
            }
        };
        let remark = self.remark(platform);
        match self
            .bring_up(&mut vm, agent, remark, source, tolerance, stopwatch)
            .await
        {
            Ok((channel, egress, notices)) => Ok(PoweredOn {
                vm,
                channel,
                egress,
                notices,
                timing: std::mem::take(&mut stopwatch.timing),
            }),
            Err(error) => {
                vm.destroy().await;
                Err(error)
            }
        }
    }

    /// From a machine's process to a guest that can be spoken to.
    async fn bring_up(
        &self,
        vm: &mut Vm,
        agent: &AgentSpec,
        remark: Option<String>,
        source: &Source<'_>,
        tolerance: f64,
        stopwatch: &mut Stopwatch,
    ) -> Result<(UnixStream, Egress, mpsc::Receiver<String>), BootError> {
        let network = self.network(vm, agent, remark).await;
        let (egress, notices) = network.map_err(|error| failed(BootPhase::Machine)(error.into()))?;
        stopwatch.passed(BootPhase::Machine);
        bring_back(vm, source).await.map_err(failed(BootPhase::Kernel))?;
        let limit = self.config.boot_timeout;
        let channel = match source {
            Source::Boot | Source::Record(_) => vm.booted(limit, tolerance).await,
            Source::Template(_) | Source::Hibernated(_) => vm.channel(limit).await,
        };
        let channel = channel.map_err(|error| failed(BootPhase::Kernel)(error.into()))?;
        stopwatch.passed(BootPhase::Kernel);
        Ok((channel, egress, notices))
    }

    /// Plugs a machine's network card in. Also returns what its log is to be told of it.
    pub(super) async fn network(
        &self,
        vm: &mut Vm,
        agent: &AgentSpec,
        remark: Option<String>,
    ) -> Result<(Egress, mpsc::Receiver<String>), VmError> {
        let cable = vm.network().await?;
        let (noting, notices) = coracle_egress::notices();
        remark.into_iter().for_each(|remark| noting.give(remark));
        let reach = Reach {
            rules: Arc::clone(&agent.egress),
            servers: self.config.name_servers.clone(),
            door: self.config.door.clone(),
            folders: agent.folders.iter().map(|mount| mount.folder.clone()).collect(),
        };
        Ok((coracle_egress::serve(cable, reach, noting), notices))
    }
}
