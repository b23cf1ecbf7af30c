"""What a server left behind on this machine, found without its help."""

import errno
import os
import stat
from pathlib import Path


def _links(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    names = [f"/proc/{pid}/cwd", f"/proc/{pid}/exe"]
    try:
        names += [str(entry) for entry in folder.iterdir()]
    except OSError:
        return []
    targets = []
    for name in names:
        try:
            targets.append(os.readlink(name))
        except OSError:
            continue
    return targets


def command_line(pid: int) -> str:
    """The arguments of a process, or nothing when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def users_of(folder: Path, *, ignoring: frozenset[int] = frozenset()) -> dict[int, str]:
    """Processes that have something of a folder in their arguments, working directory or open files."""
    ignored = ignoring | {os.getpid()}
    found = {}
    for pid in all_pids():
        if pid in ignored:
            continue
        line = command_line(pid)
        if str(folder) in line or any(link.startswith(str(folder)) for link in _links(pid)):
            found[pid] = line
    return found


def with_argument(text: str) -> dict[int, str]:
    """Processes whose arguments contain a text."""
    lines = {pid: command_line(pid) for pid in all_pids() if pid != os.getpid()}
    return {pid: line for pid, line in lines.items() if text in line}


def sockets_in(folder: Path) -> list[Path]:
    """Unix sockets below a folder."""
    found = []
    for path in folder.rglob("*"):
        try:
            if stat.S_ISSOCK(path.lstat().st_mode):
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def memory_kib(pid: int, field: str) -> int:
    """A field of /proc/PID/status that is given in kB, such as `VmHWM` (peak) or `VmRSS` (now)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no {field}")


class PeakMemory:
    """How far a process's resident memory rises above where it was when measuring began, in MiB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak so far
        self._start_kib = memory_kib(pid, "VmRSS")

    def growth_mib(self) -> float:
        return (memory_kib(self._pid, "VmHWM") - self._start_kib) / 1024


def remove_group(group: Path) -> bool:
    """Whether a control group is gone, or could be removed because nobody is in it any more."""
    try:
        group.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True
