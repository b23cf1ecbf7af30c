//! Whether KVM really works here. `/dev/kvm` existing proves nothing: on some machines guests hang in it. So a
//! tiny guest is booted under a deadline, once for each host kernel, QEMU and guest kernel; the verdict is kept
//! in a file.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use coracle_guest_proto::{PROBE_ANSWER, PROBE_ARGUMENT};
use coracle_types::{Architecture, SandboxId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{Accelerator, DiskRate, MachineConfig, Memory};
use crate::jail::Jail;
use crate::vm::Vm;

const DEVICE: &str = "/dev/kvm";
/// How long the tiny guest may take. Under working KVM it takes less than a second.
const DEADLINE: Duration = Duration::from_secs(10);
const MEMORY_MIB: u32 = 128;

/// Why nothing can be said about KVM.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// QEMU itself does not run.
    #[error("{} does not run; install QEMU or name its program in the configuration", program.display())]
    Qemu {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file or folder of the probe.
    #[error("the probe's files could not be used")]
    Files(#[from] io::Error),
}

/// What is known of KVM on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum KvmVerdict {
    /// A guest ran in it.
    Works,
    /// It cannot be used.
    Unusable {
        /// Why, for the operator.
        reason: String,
    },
}

/// The question whether KVM works.
#[derive(Debug, Clone)]
pub struct KvmProbe {
    /// This machine's own.
    pub architecture: Architecture,
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The guest kernel.
    pub kernel: PathBuf,
    /// An initramfs with the guest program.
    pub initramfs: PathBuf,
    /// The folder of the machines: the tiny guest's is among them, so that a sweep ends it.
    pub sandboxes: PathBuf,
    /// The jail of its process.
    pub jail: Jail,
    /// The file that remembers the verdict.
    pub memory: PathBuf,
}

/// What a verdict holds for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Circumstances {
    host_kernel: String,
    qemu: String,
    guest_kernel: String,
    jail: String,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    #[serde(flatten)]
    circumstances: Circumstances,
    #[serde(flatten)]
    verdict: KvmVerdict,
}

impl KvmProbe {
    /// Remembers the verdict or finds it out, which takes up to 10 seconds.
    ///
    /// # Errors
    /// When QEMU does not run or the folders cannot be written.
    pub async fn verdict(&self) -> Result<KvmVerdict, ProbeError> {
        if let Some(reason) = device_refusal(Path::new(DEVICE)) {
            // Not remembered: the operator mends it, and finding it out costs nothing.
            return Ok(KvmVerdict::Unusable { reason });
        }
        let circumstances = self.circumstances().await?;
        if let Some(verdict) = self.remembered(&circumstances) {
            return Ok(verdict);
        }
        let verdict = self.boot().await?;
        let remembered = serde_json::to_vec(&Remembered {
            circumstances,
            verdict: verdict.clone(),
        });
        let draft = self.memory.with_extension("draft");
        std::fs::write(&draft, remembered.map_err(io::Error::from)?)?;
        std::fs::rename(&draft, &self.memory)?;
        Ok(verdict)
    }

    fn remembered(&self, circumstances: &Circumstances) -> Option<KvmVerdict> {
        let remembered: Remembered = serde_json::from_slice(&std::fs::read(&self.memory).ok()?).ok()?;
        (remembered.circumstances == *circumstances).then_some(remembered.verdict)
    }

    async fn circumstances(&self) -> Result<Circumstances, ProbeError> {
        let mut version = tokio::process::Command::new(&self.qemu);
        version.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, version.output()).await;
        let output = output
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| ProbeError::Qemu {
                program: self.qemu.clone(),
                source,
            })?;
        let kernel = self.kernel.clone();
        let digest = tokio::task::spawn_blocking(move || digest(&kernel)).await;
        Ok(Circumstances {
            host_kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            qemu: String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
            guest_kernel: digest.map_err(io::Error::from).flatten()?,
            jail: self.jail.describe(),
        })
    }

    async fn boot(&self) -> Result<KvmVerdict, ProbeError> {
        let sandbox = SandboxId::new();
        let folder = self.sandboxes.join(sandbox.to_string());
        std::fs::create_dir_all(&folder)?;
        let config = MachineConfig {
            sandbox,
            architecture: self.architecture,
            qemu: self.qemu.clone(),
            accelerator: Accelerator::Kvm,
            vcpus: 1,
            memory_mib: MEMORY_MIB,
            memory: Memory::Fresh,
            kernel: self.kernel.clone(),
            initramfs: self.initramfs.clone(),
            kernel_arguments: vec![PROBE_ARGUMENT.to_owned()],
            disks: Vec::new(),
            disk_rate: DiskRate::default(),
            network: None,
        };
        let unusable = |reason: String| KvmVerdict::Unusable { reason };
        let mut vm = match Vm::spawn(&config, &self.jail, &folder).await {
            Ok(vm) => vm,
            Err(error) => {
                // The machine may have removed it already; what is left is removed by the next sweep.
                std::fs::remove_dir_all(&folder).ok();
                return Ok(unusable(format!("{DEVICE} is there, but {error}")));
            }
        };
        let ended = tokio::time::timeout(DEADLINE, vm.ended()).await;
        let verdict = match ended {
            _ if vm.console_says(PROBE_ANSWER) => KvmVerdict::Works,
            Ok(report) => unusable(format!("{DEVICE} is there, but a guest in it fails: {report}")),
            Err(_) => unusable(format!("{DEVICE} is there, but a guest in it hangs")),
        };
        vm.destroy().await;
        Ok(verdict)
    }
}

/// Why the device cannot even be opened, if so.
fn device_refusal(device: &Path) -> Option<String> {
    let error = std::fs::File::options()
        .read(true)
        .write(true)
        .open(device)
        .err()?;
    let device = device.display();
    Some(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no {device} (no virtualisation, or its module is not loaded)")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{device} may not be opened by this user; add the user to the group kvm")
        }
        _ => format!("{device} cannot be opened: {error}"),
    })
}

fn digest(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(std::fs::read(file)?);
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(folder: &Path) -> KvmProbe {
        KvmProbe {
            architecture: Architecture::Amd64,
            qemu: "qemu".into(),
            kernel: "kernel".into(),
            initramfs: "initramfs".into(),
            sandboxes: folder.join("sandboxes"),
            jail: Jail::none(),
            memory: folder.join("kvm.json"),
        }
    }

    fn circumstances(host_kernel: &str) -> Circumstances {
        Circumstances {
            host_kernel: host_kernel.into(),
            qemu: "7".into(),
            guest_kernel: "ab".into(),
            jail: "none".to_owned(),
        }
    }

    #[test]
    fn a_verdict_holds_for_the_same_circumstances_only() {
        let folder = tempfile::tempdir().unwrap();
        let probe = probe(folder.path());
        let verdict = KvmVerdict::Unusable {
            reason: "it hangs".into(),
        };
        let remembered = Remembered {
            circumstances: circumstances("6.1"),
            verdict: verdict.clone(),
        };
        std::fs::write(&probe.memory, serde_json::to_vec(&remembered).unwrap()).unwrap();
        assert_eq!(probe.remembered(&circumstances("6.1")), Some(verdict));
        assert_eq!(probe.remembered(&circumstances("6.2")), None);
    }

    #[test]
    fn a_damaged_memory_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let probe = probe(folder.path());
        std::fs::write(&probe.memory, b"{").unwrap();
        assert_eq!(probe.remembered(&circumstances("6.1")), None);
    }

    #[test]
    fn a_missing_device_is_named() {
        assert!(
            device_refusal(Path::new("/dev/no-such-device"))
                .unwrap()
                .contains("there is no")
        );
    }
}
