"""A builder of container images that needs no privileges, and a stand-in for the registry's image of Python."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.server import CACHE

BASE = "docker.io/library/python:3.13-slim"
# Of the distribution whose Python is the one of that image.
SUITE = "trixie"
TIMEOUT = 900


class Buildah:
    """Debian's `buildah` with a store in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        configuration = folder / "storage.conf"
        paths = f'runroot = "{folder}/run"\ngraphroot = "{folder}/store"\n'
        configuration.write_text(f'[storage]\ndriver = "vfs"\n{paths}')
        self.environment = {
            "CONTAINERS_STORAGE_CONF": str(configuration),
            "STORAGE_DRIVER": "vfs",
            "BUILDAH_ISOLATION": "chroot",
        }

    @staticmethod
    def possible() -> bool:
        return shutil.which("buildah") is not None and os.geteuid() == 0

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"buildah {arguments}:\n{done.stderr}"
        return done.stdout.strip()

    def add_python(self) -> None:
        """Makes the image: Debian's Python under the name of the registry's, trusting whom this machine trusts."""
        container = self._run("from", "scratch")
        self._run("add", "--quiet", container, str(_debian()), "/")
        self._run("copy", "--quiet", container, "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/")
        self._run("run", container, "--", "python3", "-m", "venv", "--copies", "/opt/python")
        variables = ["PATH=/opt/python/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        variables.append("PIP_CERT=/etc/ssl/certs/ca-certificates.crt")
        for variable in variables:
            self._run("config", "--env", variable, container)
        self._run("commit", "--quiet", container, BASE)
        self._run("rm", container)

    def clean_up(self) -> None:
        self._run("rmi", "--all", "--force")


def _debian() -> Path:
    """An archive of Debian with Python, made once and kept."""
    archive = CACHE / "nested" / f"python-{SUITE}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        draft = archive.with_name(f"draft-{os.getpid()}.tar")
        packages = "--include=python3,python3-venv,ca-certificates"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, SUITE, str(draft)]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT)
        draft.rename(archive)
    return archive
