"""A builder of container images that needs no privileges, and stand-ins for the images of Python and Node."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.server import CACHE
from javascript import NODE as NODE_OF_TESTS

PYTHON = "docker.io/library/python:3.13-slim"
NODE = "docker.io/library/node:22-slim"
# Of the distribution whose Python is the one of that image.
SUITE = "trixie"
TIMEOUT = 900
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


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
        """Makes Debian's Python under the name of the registry's."""
        container = self._from_debian()
        self._run("run", container, "--", "python3", "-m", "venv", "--copies", "/opt/python")
        self._commit(container, PYTHON, f"PATH=/opt/python/bin:{SYSTEM}", f"PIP_CERT={AUTHORITIES}")

    def add_node(self) -> None:
        """Makes the tests' Node under the name of the registry's, with the user that it has there."""
        container = self._from_debian()
        self._run("run", container, "--", "useradd", "--create-home", "--uid", "1000", "node")
        self._run("copy", "--quiet", container, str(NODE_OF_TESTS.parents[1]), "/opt/node")
        # Wheels have no links: npm's is a copy, which does not find the rest of it.
        npm = ("../lib/node_modules/npm/bin/npm-cli.js", "/opt/node/bin/npm")
        self._run("run", container, "--", "ln", "--symbolic", "--force", *npm)
        self._commit(container, NODE, f"PATH=/opt/node/bin:{SYSTEM}", f"NODE_EXTRA_CA_CERTS={AUTHORITIES}")

    def _from_debian(self) -> str:
        """A container of Debian that trusts whom this machine trusts."""
        container = self._run("from", "scratch")
        self._run("add", "--quiet", container, str(_debian()), "/")
        self._run("copy", "--quiet", container, AUTHORITIES, "/etc/ssl/certs/")
        return container

    def _commit(self, container: str, name: str, *variables: str) -> None:
        for variable in variables:
            self._run("config", "--env", variable, container)
        self._run("commit", "--quiet", container, name)
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
