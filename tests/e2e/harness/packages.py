"""Python packages from the registry: in the zip of an agent, for whatever Python it runs on, or for a client."""

import compileall
import hashlib
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.aws import AGENTS, host_python, zip_of
from harness.server import CACHE

INSTALL_TIMEOUT = 300
# What a wheel may ask of the C library, newest first; Debian's Python images have a newer one.
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux1")
# Thousands of files that only clients of AWS read, which these agents are not.
UNUSED = "botocore/data/"


def installed(requirements: tuple[str, ...], python: str) -> Path:
    """A folder with these packages for a managed runtime such as `PYTHON_3_13`. It is made once and kept."""
    version = python.removeprefix("PYTHON_").replace("_", ".")
    digest = hashlib.sha256("\n".join([*requirements, version, platform.machine()]).encode()).hexdigest()
    folder = CACHE / "agents" / digest[:24]
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(draft), "--only-binary", ":all:", "--python-version", version]
    for name in PLATFORMS:
        command += ["--platform", f"{name}_{platform.machine()}"]
    done = subprocess.run(
        [*command, *requirements], capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr}"
    if python == host_python():
        # Emulated guests import several times faster what is compiled. A zip does not keep the times of files.
        compileall.compile_dir(draft, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    try:
        draft.rename(folder)
    except OSError:
        # Another process of the tests was quicker.
        shutil.rmtree(draft)
    return folder


def bundle(agent: str, requirements: tuple[str, ...], python: str, data: tuple[str, ...] = ()) -> bytes:
    """The zip of one of the test agents with its packages, and those of botocore's data that begin like this."""
    folder = installed(requirements, python)
    files: dict[str, str | bytes] = {"main.py": (AGENTS / f"{agent}.py").read_text()}
    for root, _, names in os.walk(folder):
        for path in (Path(root, name) for name in names):
            inside = path.relative_to(folder).as_posix()
            if not inside.startswith(UNUSED) or inside.startswith(tuple(UNUSED + name for name in data)):
                files[inside] = path.read_bytes()
    return zip_of(files)
