"""A whole machine in emulation whose processor has AMD's virtualisation, with a `coracle serve` in it.

QEMU's emulated `-cpu max` has SVM with nested paging, so a Debian guest gets a working `/dev/kvm`, and the server in
it runs its microVMs under KVM: slow, but the production path, on hosts that have no KVM of their own.

```text
 test (boto3) ──▶ forwarded port ──▶ outer machine (emulated, SVM) ──▶ coracle serve ──▶ microVM under KVM
```
"""

import os
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from harness.server import BINARIES, CACHE, IMAGES, LOGS, toml
from harness.waiting import wait_until


def suite() -> str:
    """The oldest Debian whose C library runs what this host builds: an old QEMU runs an old kernel best."""
    version = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.36").split()[1]
    return "bookworm" if tuple(map(int, version.split("."))) <= (2, 36) else "trixie"


PACKAGES = "linux-image-cloud-amd64,qemu-system-x86,kmod,iproute2,e2fsprogs,initramfs-tools"
PORT = 4580
BOOT_TIMEOUT = 600.0

INIT = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys 2>/dev/null
mount -t devtmpfs dev /dev 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm
for module in virtio_net kvm_amd; do modprobe "$module"; done
ip link set lo up
for card in /sys/class/net/e*; do
    ip link set "${{card##*/}}" up
    ip address add 10.0.2.15/24 dev "${{card##*/}}"
done
ls -l /dev/kvm
/opt/coracle serve --listen 0.0.0.0:{PORT} --data-dir /data --images-dir /images --config /opt/coracle.toml \\
    --driver microvm --accelerator kvm &
server=$!
until [ -s /data/address ]; do sleep 0.2; done
echo "--- credentials"
cat /data/credentials
echo "--- end of credentials"
while sleep 2; do
    for file in /sys/fs/cgroup/coracle/*/*.max /sys/fs/cgroup/coracle/*/cpu.idle; do
        [ -e "$file" ] && echo "--- $file: $(cat "$file")"
    done
done &
wait "$server"
echo "--- the server has ended"
sync
echo o > /proc/sysrq-trigger
sleep 60
"""


class HostCannot(Exception):
    """This host lacks what building the machine needs."""


def root_file_system() -> Path:
    """The tar of the outer machine's system, made once and kept in the cache."""
    tar = CACHE / "nested" / f"{suite()}.tar"
    if not tar.exists():
        if not shutil.which("mmdebstrap"):
            raise HostCannot("mmdebstrap is not installed")
        tar.parent.mkdir(parents=True, exist_ok=True)
        draft = tar.with_suffix(f".{os.getpid()}.tar")
        command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite(), str(draft)]
        subprocess.run(command, check=True, capture_output=True, timeout=900)
        draft.rename(tar)
    return tar


def _copy_images(target: Path, runtime: str) -> None:
    """The kernel and one base image."""
    for name in ("kernel", f"base/{runtime}"):
        shutil.copytree(IMAGES / name, target / name, symlinks=True)


@dataclass
class NestedMachine:
    """The outer machine. Its server's clients are ordinary AWS clients."""

    runtime: str
    folder: Path = field(init=False)
    console: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    port: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cor-nested-"))
        LOGS.mkdir(parents=True, exist_ok=True)
        self.console = LOGS / f"{self.folder.name}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Where a client finds its credentials."""
        return self.folder / "data"

    def said(self) -> str:
        """What its console has shown: the server's log, and the limits of the control groups there are."""
        return self.console.read_text(errors="replace").replace("\r", "")

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            return answer.read().decode()

    def client_environment(self) -> dict[str, str]:
        return {
            "AWS_SHARED_CREDENTIALS_FILE": str(self.data / "credentials"),
            "AWS_REGION": "us-east-1",
        }

    def build(self) -> None:
        """Makes disk, kernel and initial file system."""
        root = self.folder / "root"
        root.mkdir()
        with tarfile.open(root_file_system()) as archive:
            members = [member for member in archive if not member.isdev()]
            archive.extractall(root, members, filter="tar")
        boot = sorted((root / "boot").iterdir())
        for prefix in ("vmlinuz-", "initrd.img-"):
            found = next(path for path in boot if path.name.startswith(prefix))
            found.rename(self.folder / prefix.rstrip("-"))
        opt = root / "opt"
        for name in ("coracle", "coracle-guest"):
            shutil.copy(BINARIES / name, opt / name)
        limits = {"init_timeout_secs": 300}
        (opt / "coracle.toml").write_text(toml({"sandbox": {"memory_mib": 384, "vcpus": 1}, "limits": limits}))
        init = root / "sbin" / "nested-init"
        init.write_text(INIT)
        init.chmod(0o755)
        (root / "data").mkdir()
        _copy_images(root / "images", self.runtime)
        disk = self.folder / "disk.ext4"
        command = ["mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", "-d", str(root), str(disk), "4G"]
        subprocess.run(command, check=True, capture_output=True)
        shutil.rmtree(root)

    def start(self) -> None:
        """Boots the machine and waits until the server in it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # With two processors that run guests of the machine's own, its kernel locks up now and then.
        network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:{PORT}"
        command = [
            "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "3072",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-kernel", str(self.folder / "vmlinuz"), "-initrd", str(self.folder / "initrd.img"),
            "-append", "console=ttyS0 root=/dev/vda rw init=/sbin/nested-init quiet panic=-1 mitigations=off",
            "-drive", f"file={self.folder / 'disk.ext4'},format=raw,if=virtio,cache=unsafe",
            "-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile=",
        ]  # fmt: skip
        with self.console.open("wb") as console:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        credentials = wait_until(f"the nested server (console: {self.console})", self._credentials, BOOT_TIMEOUT)
        self.data.mkdir()
        (self.data / "credentials").write_text(credentials)

    def _credentials(self) -> str | None:
        assert self.process is not None
        text = self.said()
        assert self.process.poll() is None, f"the machine ended:\n{text[-3000:]}"
        assert "--- the server has ended" not in text, text[-3000:]
        found = re.search(r"--- credentials\n(.*)--- end of credentials", text, re.DOTALL)
        return found[1] if found else None

    def clean_up(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
