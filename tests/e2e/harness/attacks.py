"""What a hostile agent tries. Its source is sent into a sandbox, so it needs nothing but the standard library.

Each attempt ends as a word: `done` if it succeeded, or what refused it.
"""

import ctypes
import errno
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
REBOOT_MAGIC = (0xFEE1DEAD, 672274793, 0x01234567)
SYS_REBOOT = {"x86_64": 169, "aarch64": 142}
SYS_INIT_MODULE = {"x86_64": 175, "aarch64": 105}
MS_REMOUNT = 32
ETH_P_ALL = 3
VSOCK_HOST = 2


def attempt(action: Callable[[], Any]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def call(name: str, *arguments: Any) -> Callable[[], Any]:
    """A function of the C library."""

    def run() -> None:
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    return run


def opening(path: str, flags: int) -> Callable[[], Any]:
    return lambda: os.close(os.open(path, flags | os.O_NONBLOCK))


def writing(path: str, text: str) -> Callable[[], Any]:
    return lambda: Path(path).write_text(text)


def devices() -> dict[str, str]:
    """Memory, disks, console and channel, by the names they have and by nodes of one's own."""
    names = [
        "mem",
        "kmem",
        "port",
        "kmsg",
        "vda",
        "vdb",
        "console",
        "ttyS0",
        "hvc0",
        "vport0p1",
        "vport0p2",
        "vport1p1",
    ]
    tried = {f"open /dev/{name}": attempt(opening(f"/dev/{name}", os.O_RDWR)) for name in names}
    tried["open /proc/kcore"] = attempt(opening("/proc/kcore", os.O_RDONLY))
    tried["open /proc/1/mem"] = attempt(opening("/proc/1/mem", os.O_RDWR))
    for kind, major, minor in [(stat.S_IFBLK, 254, 0), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 4, 64)]:
        node = f"/tmp/node-{major}-{minor}"
        device = os.makedev(major, minor)
        tried[f"make {node}"] = attempt(
            lambda kind=kind, node=node, device=device: os.mknod(node, kind | 0o666, device)
        )
    return tried


def kernel() -> dict[str, str]:
    """The guest's kernel, its mounts and its first process."""
    machine = os.uname().machine
    tried = {
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "remount": call("mount", None, b"/", None, MS_REMOUNT, None),
        "unmount": call("umount2", b"/proc", 2),
        "chroot": lambda: os.chroot("/"),
        "reboot": call("syscall", SYS_REBOOT[machine], *REBOOT_MAGIC, None),
        "load a module": call("syscall", SYS_INIT_MODULE[machine], b"\x7fELF", 4, b""),
        "set the host name": lambda: socket.sethostname("other"),
        "set the clock": call("clock_settime", 0, (ctypes.c_long * 2)(0, 0)),
        "become root": lambda: os.setuid(0),
        "trace PID 1": call("ptrace", PTRACE_ATTACH, 1, None, None),
        "kill PID 1": lambda: os.kill(1, signal.SIGKILL),
        "interrupt PID 1": lambda: os.kill(1, signal.SIGTERM),
        "write core_pattern": writing("/proc/sys/kernel/core_pattern", "|/tmp/x"),
        "write modprobe": writing("/proc/sys/kernel/modprobe", "/tmp/x"),
        "write randomize_va_space": writing("/proc/sys/kernel/randomize_va_space", "0"),
        "write ip_forward": writing("/proc/sys/net/ipv4/ip_forward", "1"),
        "press a magic key": writing("/proc/sysrq-trigger", "b"),
        "read another's environment": opening("/proc/1/environ", os.O_RDONLY),
        "write a control group": writing("/sys/fs/cgroup/cgroup.procs", "1"),
        "suspend": writing("/sys/power/state", "mem"),
        "raise its priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -20),
        "raise a limit": call("prlimit", 0, 6, (ctypes.c_ulong * 2)(2**32, 2**32), None),
    }
    return {name: attempt(action) for name, action in tried.items()}


def network() -> dict[str, str]:
    """Frames and packets that no neighbour may get, and ways to the host that are no network."""
    packet = lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))  # noqa: E731
    raw = lambda family, protocol: lambda: socket.socket(family, socket.SOCK_RAW, protocol)  # noqa: E731

    def vsock() -> None:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as host:
            host.settimeout(5)
            host.connect((VSOCK_HOST, 1024))

    def bind_to_card() -> None:
        with socket.socket() as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
            own.settimeout(5)
            own.connect(("10.0.2.2", 4580))

    tried = {
        "send frames (ARP, ND)": packet,
        "send packets": raw(socket.AF_INET, socket.IPPROTO_RAW),
        "send ICMP": raw(socket.AF_INET, socket.IPPROTO_ICMP),
        "send ICMPv6": raw(socket.AF_INET6, socket.IPPROTO_ICMPV6),
        "connect by vsock": vsock,
        "connect past the routes": bind_to_card,
    }
    return {name: attempt(action) for name, action in tried.items()}


def namespaces() -> list[str]:
    """The network cards that a namespace of one's own shows, where packets could be made at will."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        cards = []
        if libc.unshare(0x10000000 | 0x40000000) == 0:
            cards = [name for _, name in socket.if_nameindex()]
        os.write(writer, " ".join(cards).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    return os.read(reader, 1000).decode().split()
