"""Container images without any builder, and the programs that go into them."""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import zstandard

from harness.aws import AGENTS

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OTHER_ARCHITECTURE = {"amd64": "arm64", "arm64": "amd64"}[ARCHITECTURE]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"

Json = dict[str, Any]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Layer:
    """A layer's archive, written entry by entry."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._archive = tarfile.TarFile(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, content: bytes = b"", **members: Any) -> "Layer":
        """Adds an entry: a file unless `type` says otherwise."""
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o644
        entry.mtime = 1_700_000_000
        for key, value in members.items():
            setattr(entry, key, value)
        self._archive.addfile(entry, io.BytesIO(content))
        return self

    def folder(self, name: str, **members: Any) -> "Layer":
        return self.add(name, type=tarfile.DIRTYPE, **({"mode": 0o755} | members))

    def link(self, name: str, target: str, **members: Any) -> "Layer":
        return self.add(name, type=tarfile.SYMTYPE, linkname=target, **members)

    def hard_link(self, name: str, target: str) -> "Layer":
        return self.add(name, type=tarfile.LNKTYPE, linkname=target)

    def file(self, name: str, path: Path, mode: int = 0o755) -> "Layer":
        return self.add(name, path.read_bytes(), mode=mode)

    def debian(self, architecture: str, packages: str) -> "Layer":
        """Packages of Debian with all they need, for any processor: unpacked, and nothing of them is run."""
        command = ["mmdebstrap", "--variant=extract", f"--architectures={architecture}", f"--include={packages}"]
        done = subprocess.run([*command, "bookworm", "-"], capture_output=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr.decode()
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as unpacked:
            for member in unpacked:
                if not member.isdev():
                    self._archive.addfile(member, unpacked.extractfile(member) if member.isreg() else None)
        return self

    def archive(self) -> bytes:
        self._archive.close()
        return self._buffer.getvalue()


@dataclass
class Image:
    """An image: its blobs by digest, and the document that stands for it."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    root: bytes = b""
    kind: str = MANIFEST

    def blob(self, kind: str, content: bytes, **members: Any) -> Json:
        digest = digest_of(content)
        self.blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)} | members

    @property
    def digest(self) -> str:
        return digest_of(self.root)


def image(
    layers: Iterable[Layer],
    compress: Iterable[Callable[[bytes], bytes]] = (),
    architecture: str = ARCHITECTURE,
    **config: Any,
) -> Image:
    """An image of these layers; `config` is what its configuration says, in the words of OCI."""
    made = Image()
    archives = [layer.archive() for layer in layers]
    how = [*compress, *([_gzip] * len(archives))]
    descriptors = [
        made.blob(LAYER + SUFFIXES.get(pack, ""), pack(archive)) for archive, pack in zip(archives, how, strict=False)
    ]
    configuration = {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(archive) for archive in archives]},
    }
    descriptor = made.blob(CONFIG, json.dumps(configuration).encode())
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": descriptors}
    made.root = json.dumps(manifest).encode()
    return made


def index(images: dict[str, Image]) -> Image:
    """An index of images by their architecture."""
    made = Image(kind=INDEX)
    entries = []
    for architecture, each in images.items():
        made.blobs |= each.blobs
        platform = {"os": "linux", "architecture": architecture}
        entries.append(made.blob(MANIFEST, each.root, platform=platform))
    made.root = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return made


def layout_archive(made: Image) -> bytes:
    """The image as a tar archive of an OCI layout."""
    outer = Layer()
    outer.add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    entry = {"mediaType": made.kind, "digest": made.digest, "size": len(made.root)}
    outer.add("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
    for digest, content in ({made.digest: made.root} | made.blobs).items():
        outer.add(f"blobs/{digest.replace(':', '/')}", content)
    return outer.archive()


def plain(archive: bytes) -> bytes:
    return archive


def zstd(archive: bytes) -> bytes:
    return zstandard.compress(archive)


def _gzip(archive: bytes) -> bytes:
    return gzip.compress(archive, compresslevel=1, mtime=0)


SUFFIXES = {zstd: "+zstd", _gzip: "+gzip"}


@cache
def witness(*compiler: str) -> bytes:
    """The test agent in C, compiled with this command."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "witness"
        command = [*compiler, "-O1", "-Wall", "-Werror", "-o", str(program), str(AGENTS / "witness.c")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr}"
        return program.read_bytes()


def static_witness() -> bytes:
    return witness("cc", "-static")


def musl_witness() -> bytes:
    return witness("musl-gcc")


def program_layer(path: Path) -> Layer:
    """A program of this machine with the libraries it is linked to."""
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=60, check=True).stdout
    libraries = [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]
    layer = Layer().file(f"usr/local/bin/{path.name}", path)
    for library in libraries:
        layer.file(library.lstrip("/"), Path(library).resolve())
    return layer


def told(answer: Json) -> dict[str, list[str]]:
    """What the witness says, by the first word of each line."""
    found: dict[str, list[str]] = {}
    for line in answer["response"].read().decode().splitlines():
        key, _, rest = line.partition(" ")
        found.setdefault(key, []).append(rest)
    return found
