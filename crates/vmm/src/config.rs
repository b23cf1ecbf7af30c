//! What a machine consists of, and the command line that says so to QEMU. No I/O.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use coracle_guest_proto::PORT_NAME;
use coracle_types::{Architecture, SandboxId};
use serde_json::{Value, json};

use crate::cgroup::Limits;
use crate::jail::{FileUse, Start, Usage};

/// The channel's socket in the machine's run folder.
pub(crate) const CHANNEL_SOCKET: &str = "channel";
/// The monitor's socket in the machine's run folder.
pub(crate) const QMP_SOCKET: &str = "qmp";
/// The serial console's socket in the machine's run folder.
pub(crate) const CONSOLE_SOCKET: &str = "console";
/// The network card's socket in the machine's run folder.
pub(crate) const NETWORK_SOCKET: &str = "network";
/// The channel in what the monitor says.
pub(crate) const CHANNEL_ID: &str = "channel";

/// What the disks of a machine share their rate in.
const RATE_GROUP: &str = "rate";

/// Memory that QEMU may take beside the guest's, in bytes.
const OVERHEAD: u64 = 512 * 1024 * 1024;
/// Memory for translated code in emulation, in bytes; QEMU takes no more by itself.
const TRANSLATED_CODE: u64 = 1024 * 1024 * 1024;
/// Most threads of QEMU: its processors' and those that wait for disks.
const MAX_TASKS: u64 = 512;

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation: slow, and no security boundary.
    Tcg,
}

/// Whether a disk can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read-only, and shared by many machines at once.
    Shared,
    /// Written by this machine alone. It need not survive a crash of the host.
    Private,
    /// Written by this machine alone, and there for a later one: what the guest was told is written survives a crash
    /// of the host.
    Lasting,
}

/// A raw disk image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// By which the guest tells disks apart, at most 20 bytes.
    pub serial: String,
    /// The image.
    pub path: PathBuf,
    /// Who uses it how.
    pub access: Access,
}

/// How fast all of a machine's disks together may be; nothing: as fast as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskRate {
    /// Bytes read and written in a second.
    pub bytes: Option<NonZeroU64>,
    /// Reads and writes in a second.
    pub operations: Option<NonZeroU64>,
}

/// Where a machine's memory comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Empty, and nobody else's.
    Fresh,
    /// A file that ends up holding it all, to be kept by [`crate::Vm::save`].
    Recorded(PathBuf),
    /// What such a file holds. The machine's own writes stay its own; it waits for [`crate::Vm::restore`].
    Restored(PathBuf),
    /// As `Restored`, for a machine that goes on from where [`crate::Vm::hibernate`] left another; it waits for
    /// [`crate::Vm::wake`].
    Woken(PathBuf),
}

impl Memory {
    /// The file that the machine's own pages lie over.
    pub(crate) fn original(&self) -> Option<&Path> {
        match self {
            Self::Fresh | Self::Recorded(_) => None,
            Self::Restored(path) | Self::Woken(path) => Some(path),
        }
    }
}

/// A network card, whose cable ends in a socket of the machine's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkCard {
    /// Its hardware address.
    pub address: [u8; 6],
    /// Largest packet in bytes.
    pub mtu: u16,
}

/// A microVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineConfig {
    /// Whose machine it is.
    pub sandbox: SandboxId,
    /// What the guest is made for.
    pub architecture: Architecture,
    /// The QEMU program, for that architecture.
    pub qemu: PathBuf,
    /// What executes the guest. Only one of the host's own architecture can have hardware virtualisation.
    pub accelerator: Accelerator,
    /// Processors.
    pub vcpus: u8,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Where its memory comes from.
    pub memory: Memory,
    /// The guest kernel: an ELF image with a PVH entry, a bzImage, or for ARM an Image.
    pub kernel: PathBuf,
    /// The initramfs with the guest program.
    pub initramfs: PathBuf,
    /// Kernel arguments besides those every machine gets.
    pub kernel_arguments: Vec<String>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// How fast they may be.
    pub disk_rate: DiskRate,
    /// Its network card, if it has one.
    pub network: Option<NetworkCard>,
}

/// How its architecture shapes a machine.
struct Board {
    machine: &'static str,
    console: &'static str,
    /// The processor in emulation.
    emulated: &'static str,
}

impl Board {
    fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Amd64 => Self {
                // Without a clock chip this kernel looks for one for two seconds.
                machine: "microvm,rtc=on",
                console: "ttyS0",
                emulated: "max",
            },
            Architecture::Arm64 => Self {
                machine: "virt,gic-version=max",
                console: "ttyAMA0",
                // A server's, without what takes an emulator most time: signed pointers and scalable vectors.
                emulated: "neoverse-n1",
            },
        }
    }
}

impl MachineConfig {
    /// QEMU's arguments. Paths of sockets are relative to its working directory, because a socket's path has
    /// room for 107 bytes only.
    pub fn arguments(&self) -> Vec<String> {
        let board = Board::of(self.architecture);
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("-name", machine_name(self.sandbox));
        add("-machine", format!("{},memory-backend=memory", board.machine));
        let (accelerator, processor) = match self.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Tcg => ("tcg", board.emulated),
        };
        add("-accel", accelerator.to_owned());
        add("-cpu", processor.to_owned());
        add("-smp", self.vcpus.to_string());
        add("-m", format!("{}M", self.memory_mib));
        add("-object", self.memory_backend());
        if self.memory.original().is_some() {
            add("-incoming", "defer".to_owned());
        }
        if matches!(self.memory, Memory::Woken(_)) {
            // The state of devices alone, which a hibernated machine leaves, comes without this section.
            add("-global", "migration.send-configuration=off".to_owned());
        }
        add("-kernel", text(&self.kernel));
        add("-initrd", text(&self.initramfs));
        add("-append", self.kernel_command_line(board.console));
        add("-chardev", server_socket("console", CONSOLE_SOCKET));
        add("-serial", "chardev:console".to_owned());
        add("-chardev", server_socket("qmp", QMP_SOCKET));
        add("-mon", "chardev=qmp,mode=control".to_owned());
        add("-device", "virtio-serial-device,max_ports=2".to_owned());
        add("-chardev", server_socket(CHANNEL_ID, CHANNEL_SOCKET));
        add(
            "-device",
            format!("virtserialport,chardev={CHANNEL_ID},id={CHANNEL_ID},name={PORT_NAME}"),
        );
        add("-device", "virtio-rng-device".to_owned());
        let limits = self.disk_rate.limits();
        if let Some(limits) = &limits {
            let group = json!({"qom-type": "throttle-group", "id": RATE_GROUP, "limits": limits});
            add("-object", group.to_string());
        }
        for disk in &self.disks {
            add("-blockdev", disk.blockdev(&disk.file()).to_string());
            let mut drive = disk.node();
            if limits.is_some() {
                let throttled = disk.throttled();
                drive = disk.throttled_node();
                add("-blockdev", throttled.to_string());
            }
            let device = json!({"driver": "virtio-blk-device", "drive": drive, "serial": disk.serial});
            add("-device", device.to_string());
        }
        if let Some(card) = &self.network {
            let cable = json!({
                "type": "stream",
                "id": "network",
                "server": true,
                "addr": {"type": "unix", "path": NETWORK_SOCKET},
            });
            add("-netdev", cable.to_string());
            add("-device", card.device());
        }
        let deny = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
        add("-sandbox", deny.to_owned());
        for flag in ["-nodefaults", "-no-user-config", "-no-reboot", "-nographic"] {
            arguments.push(flag.to_owned());
        }
        arguments
    }

    /// What is to be started.
    pub(crate) fn start(&self) -> Start<'_> {
        let memory = self.memory_bytes();
        let translated = match self.accelerator {
            Accelerator::Kvm => 0,
            Accelerator::Tcg => TRANSLATED_CODE,
        };
        Start {
            sandbox: self.sandbox,
            program: &self.qemu,
            arguments: self.arguments(),
            files: self.files(),
            kvm: self.accelerator == Accelerator::Kvm,
            limits: Limits {
                memory: memory + OVERHEAD + translated,
                tasks: MAX_TASKS,
                // One more for its devices.
                processors: u64::from(self.vcpus) + 1,
                disk: self.disk_rate,
            },
            memory,
        }
    }

    fn files(&self) -> Vec<FileUse<'_>> {
        let used = |usage| move |path| FileUse { path, usage };
        let mut files: Vec<_> = [self.kernel.as_path(), &self.initramfs]
            .map(used(Usage::Reads))
            .to_vec();
        files.extend(self.disks.iter().map(|disk| match disk.access {
            Access::Shared => used(Usage::Reads)(disk.path.as_path()),
            Access::Private | Access::Lasting => used(Usage::Owns)(&disk.path),
        }));
        match &self.memory {
            Memory::Fresh => {}
            Memory::Recorded(path) => files.push(used(Usage::Owns)(path)),
            Memory::Restored(path) | Memory::Woken(path) => files.push(used(Usage::Maps)(path)),
        }
        files
    }

    fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_mib) * 1024 * 1024
    }

    fn memory_backend(&self) -> String {
        let bytes = self.memory_bytes();
        let in_file = |path: &Path, share: bool| {
            json!({
                "qom-type": "memory-backend-file",
                "id": "memory",
                "size": bytes,
                "mem-path": path,
                "share": share,
            })
        };
        match &self.memory {
            Memory::Fresh => json!({"qom-type": "memory-backend-ram", "id": "memory", "size": bytes}),
            Memory::Recorded(path) => in_file(path, true),
            Memory::Restored(path) | Memory::Woken(path) => in_file(path, false),
        }
        .to_string()
    }

    fn kernel_command_line(&self, console: &str) -> String {
        let mut line = format!("console={console} reboot=t panic=-1 quiet cryptomgr.notests");
        for argument in &self.kernel_arguments {
            line.push(' ');
            line.push_str(argument);
        }
        line
    }
}

impl DiskRate {
    /// In QEMU's words, if anything is limited.
    fn limits(self) -> Option<Value> {
        let limits = [("bps-total", self.bytes), ("iops-total", self.operations)];
        let limits: serde_json::Map<_, _> = limits
            .into_iter()
            .filter_map(|(name, limit)| Some((name.to_owned(), json!(limit?))))
            .collect();
        (!limits.is_empty()).then_some(Value::Object(limits))
    }
}

impl NetworkCard {
    fn device(&self) -> String {
        let address = self.address.map(|byte| format!("{byte:02x}")).join(":");
        json!({
            "driver": "virtio-net-device",
            "netdev": "network",
            "mac": address,
            "host_mtu": self.mtu,
        })
        .to_string()
    }
}

impl Disk {
    /// What QEMU is told of the disk, above the node of its file.
    fn blockdev(&self, file: &Value) -> Value {
        json!({
            "driver": "raw",
            "node-name": self.node(),
            "read-only": self.access == Access::Shared,
            // A flush of a disk that vanishes with its machine protects nothing.
            "cache": {"no-flush": self.access == Access::Private},
            "discard": self.discard(),
            "file": file,
        })
    }

    /// The node above that of the image, which keeps to the rate.
    fn throttled(&self) -> Value {
        json!({
            "driver": "throttle",
            "node-name": self.throttled_node(),
            "read-only": self.access == Access::Shared,
            "discard": self.discard(),
            "throttle-group": RATE_GROUP,
            "file": self.node(),
        })
    }

    fn file(&self) -> Value {
        json!({
            "driver": "file",
            "filename": self.path,
            "locking": match self.access {
                Access::Shared => "off",
                Access::Private => "auto",
                Access::Lasting => "on",
            },
            "discard": self.discard(),
        })
    }

    /// What the guest gives up of a disk that stays is given back to the host.
    fn discard(&self) -> &'static str {
        match self.access {
            Access::Shared | Access::Private => "ignore",
            Access::Lasting => "unmap",
        }
    }

    /// The commands that put this image in the place of another that a running machine has under the same serial
    /// number. Once for each machine.
    pub(crate) fn replacement(&self) -> [(&'static str, Value); 2] {
        let name = format!("{}-file", self.node());
        let mut file = self.file();
        file["node-name"] = json!(name);
        let disk = self.blockdev(&json!(name));
        [
            ("blockdev-add", file),
            ("blockdev-reopen", json!({"options": [disk]})),
        ]
    }

    fn node(&self) -> String {
        format!("disk-{}", self.serial)
    }

    fn throttled_node(&self) -> String {
        format!("throttled-{}", self.serial)
    }
}

/// What the process of a machine is called, by which a left-over is recognised.
pub(crate) fn machine_name(sandbox: SandboxId) -> String {
    format!("coracle-{sandbox}")
}

fn server_socket(id: &str, name: &str) -> String {
    format!("socket,id={id},path={name},server=on,wait=off")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MachineConfig {
        MachineConfig {
            sandbox: SandboxId::new(),
            architecture: Architecture::Amd64,
            qemu: "/usr/bin/qemu-system-x86_64".into(),
            accelerator: Accelerator::Tcg,
            vcpus: 2,
            memory_mib: 512,
            memory: Memory::Fresh,
            kernel: "/k/vmlinux".into(),
            initramfs: "/k/init.cpio".into(),
            kernel_arguments: vec!["extra=1".into()],
            disks: vec![
                Disk {
                    serial: "base".into(),
                    path: "/i/base,1.erofs".into(),
                    access: Access::Shared,
                },
                Disk {
                    serial: "scratch".into(),
                    path: "/s/scratch".into(),
                    access: Access::Private,
                },
            ],
            disk_rate: DiskRate::default(),
            network: None,
        }
    }

    fn values<'a>(arguments: &'a [String], option: &str) -> Vec<&'a str> {
        let pairs = arguments.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].as_str()).collect()
    }

    #[test]
    fn emulation_and_hardware_differ_in_the_processor() {
        let emulated = config().arguments();
        assert_eq!(
            (values(&emulated, "-accel"), values(&emulated, "-cpu")),
            (vec!["tcg"], vec!["max"])
        );
        let hardware = MachineConfig {
            accelerator: Accelerator::Kvm,
            ..config()
        }
        .arguments();
        assert_eq!(
            (values(&hardware, "-accel"), values(&hardware, "-cpu")),
            (vec!["kvm"], vec!["host"])
        );
    }

    #[test]
    fn the_architecture_decides_machine_console_and_processor() {
        let arguments = |architecture| {
            MachineConfig {
                architecture,
                ..config()
            }
            .arguments()
        };
        let says = |arguments: &[String], option, text| values(arguments, option)[0].contains(text);
        let amd64 = arguments(Architecture::Amd64);
        assert!(says(&amd64, "-machine", "microvm,") && says(&amd64, "-append", "console=ttyS0 "));
        let arm64 = arguments(Architecture::Arm64);
        assert!(says(&arm64, "-machine", "virt,") && says(&arm64, "-append", "console=ttyAMA0 "));
        assert_eq!(values(&arm64, "-cpu"), ["neoverse-n1"]);
        let devices = |arguments: &[String]| values(arguments, "-device").join(" ");
        assert_eq!(
            devices(&amd64),
            devices(&arm64),
            "the guest finds the same devices"
        );
    }

    #[test]
    fn shared_images_cannot_be_written_and_private_ones_are_locked() {
        let arguments = config().arguments();
        let disks: Vec<Value> = values(&arguments, "-blockdev")
            .into_iter()
            .map(|disk| serde_json::from_str(disk).unwrap())
            .collect();
        assert_eq!(disks[0]["read-only"], true);
        assert_eq!(disks[0]["file"]["locking"], "off");
        assert_eq!(disks[0]["file"]["filename"], "/i/base,1.erofs");
        assert_eq!(disks[1]["read-only"], false);
        assert_eq!(disks[1]["file"]["locking"], "auto");
    }

    #[test]
    fn the_rate_of_disks_is_that_of_all_of_them_together() {
        let disk_rate = DiskRate {
            bytes: NonZeroU64::new(1 << 20),
            operations: None,
        };
        let arguments = MachineConfig {
            disk_rate,
            ..config()
        }
        .arguments();
        let group: Value = serde_json::from_str(values(&arguments, "-object")[1]).unwrap();
        assert_eq!(group["limits"], json!({"bps-total": 1 << 20}));
        let nodes: Vec<Value> = values(&arguments, "-blockdev")
            .into_iter()
            .map(|node| serde_json::from_str(node).unwrap())
            .collect();
        for pair in nodes.chunks(2) {
            assert_eq!(pair[1]["throttle-group"], group["id"]);
            assert_eq!(pair[1]["file"], pair[0]["node-name"]);
            assert_eq!(pair[1]["read-only"], pair[0]["read-only"]);
        }
        let drives = values(&arguments, "-device").join(" ");
        assert!(!drives.contains(r#""drive":"disk-"#), "{drives}");
        assert!(!config().arguments().join(" ").contains("throttle"));
    }

    #[test]
    fn a_lasting_disk_is_flushed_and_locked_and_a_replacement_is_the_same_disk() {
        let lasting = Disk {
            serial: "storage".into(),
            path: "/s/storage".into(),
            access: Access::Lasting,
        };
        let disk = lasting.blockdev(&lasting.file());
        assert_eq!(
            (&disk["cache"]["no-flush"], &disk["file"]["locking"]),
            (&json!(false), &json!("on"))
        );
        let [(_, file), (_, reopened)] = lasting.replacement();
        let reopened = &reopened["options"][0];
        assert_eq!(
            (&file["filename"], &file["locking"]),
            (&json!("/s/storage"), &json!("on"))
        );
        assert_eq!(
            (&reopened["node-name"], &reopened["file"]),
            (&disk["node-name"], &file["node-name"])
        );
    }

    #[test]
    fn restored_memory_is_private_and_recorded_memory_is_not() {
        let backend = |memory| {
            let arguments = MachineConfig { memory, ..config() }.arguments();
            let backend: Value = serde_json::from_str(values(&arguments, "-object")[0]).unwrap();
            (backend, values(&arguments, "-incoming").len())
        };
        let (recorded, waits) = backend(Memory::Recorded("/t/a,b".into()));
        assert_eq!((&recorded["share"], waits), (&json!(true), 0));
        assert_eq!(recorded["mem-path"], "/t/a,b");
        let (restored, waits) = backend(Memory::Restored("/t/a,b".into()));
        assert_eq!((&restored["share"], waits), (&json!(false), 1));
    }

    #[test]
    fn the_machine_has_no_default_devices_and_no_network_but_its_cable() {
        let arguments = config().arguments();
        assert!(arguments.iter().any(|argument| argument == "-nodefaults"));
        assert!(
            !arguments.iter().any(|argument| argument.contains("net")),
            "{arguments:?}"
        );
        let network = Some(NetworkCard {
            address: [2, 0, 0, 0, 0, 0xa],
            mtu: 9000,
        });
        let arguments = MachineConfig { network, ..config() }.arguments();
        let cable: Value = serde_json::from_str(values(&arguments, "-netdev")[0]).unwrap();
        assert_eq!(
            (&cable["type"], &cable["addr"]["type"]),
            (&json!("stream"), &json!("unix"))
        );
        let card = values(&arguments, "-device").pop().unwrap();
        assert!(
            card.contains("02:00:00:00:00:0a") && card.contains("9000"),
            "{card}"
        );
    }

    #[test]
    fn kernel_arguments_follow_those_of_every_machine() {
        let arguments = config().arguments();
        let line = values(&arguments, "-append")[0].to_owned();
        assert!(line.contains("panic=-1") && line.ends_with(" extra=1"), "{line}");
    }
}
