"""Makes a container image with an agent in it and pushes it to a registry, and prints what it is, as JSON.

Run by `coracle bench images` with the image to make as its only argument (JSON). The image is the same for the same
interpreter, packages and size: the interpreter that runs this with its libraries, the agent with its packages, and for
the rest of its size as much text in many small files as there is in few large files that do not compress.
"""

import gzip
import hashlib
import http.client
import json
import os
import platform
import random
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, urlsplit

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
MIB = 1024 * 1024
TIMEOUT_SECONDS = 600
# What builders compress with.
COMPRESSION = 6
MTIME = 1_700_000_000
# Of the standard library; images for agents have none of it.
LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib")
FILLING_LAYERS = 2
WORDS = 10_000
TEXT_POOL = 4 * MIB
TEXT_FILE = (512, 24 * 1024)
LARGE_FILE = 16 * MIB
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Measured:
    """Hashes and counts what is written through it."""

    def __init__(self, inner):
        self.inner, self.hash, self.size = inner, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        return self.inner.write(data)

    def flush(self):
        self.inner.flush()

    @property
    def digest(self):
        return f"sha256:{self.hash.hexdigest()}"


class Layer:
    """A layer's archive, compressed on its way into a file."""

    def __init__(self):
        self.file = tempfile.TemporaryFile()
        self.compressed = Measured(self.file)
        self.gzip = gzip.GzipFile("", "wb", COMPRESSION, self.compressed, mtime=0)
        self.plain = Measured(self.gzip)
        self.archive = tarfile.open(fileobj=self.plain, mode="w|", bufsize=MIB, format=tarfile.PAX_FORMAT)
        self.contents = self.files = 0

    def add(self, name, content, mode=0o644):
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.size, entry.mode, entry.mtime = len(content), mode, MTIME
        self.archive.addfile(entry, BytesIO(content))
        self.contents += len(content)
        self.files += 1

    def add_file(self, name, path):
        self.add(name, path.read_bytes(), path.stat().st_mode & 0o777)

    def add_folder(self, name, folder, without=()):
        """What is in a folder, in the order of its names."""
        for path in sorted(folder.iterdir()):
            if path.name in without:
                continue
            if path.is_dir():
                self.add_folder(f"{name}/{path.name}", path, without)
            elif path.is_file():
                self.add_file(f"{name}/{path.name}", path)

    def close(self):
        self.archive.close()
        self.gzip.close()
        self.file.seek(0)
        return self


def libraries(programs):
    """The libraries that programs of this machine are linked to, by the names they are looked for."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, timeout=60, check=False).stdout
    return {found for found in re.findall(r"(?:=>|^)\s*(/\S+) \(", said, re.MULTILINE) if os.path.isfile(found)}


def interpreter_layer(program, packages):
    """The interpreter, and what of this machine it and the packages are linked to."""
    layer = Layer()
    standard = Path(sysconfig.get_path("stdlib"))
    extensions = [*(standard / "lib-dynload").glob("*.so"), *packages.rglob("*.so")]
    linked = (path for path in libraries([program, *extensions]) if not path.startswith(f"{packages}/"))
    for path in sorted({str(program), *linked}):
        layer.add_file(path, Path(path))
    layer.add_folder(str(standard), standard, {*LEFT_OUT, Path(sysconfig.get_config_var("LIBPL")).name})
    return layer.close()


def packages_layer(folder):
    layer = Layer()
    layer.add_folder("packages", folder)
    return layer.close()


def text_layer(number, size):
    """Small files, which compress as text does."""
    chance = random.Random(f"text {number}")
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(WORDS)]
    # As often as words are in a language.
    pool = " ".join(chance.choices(words, [1 / rank for rank in range(1, WORDS + 1)], k=TEXT_POOL // 6)).encode()
    layer = Layer()
    while layer.contents < size:
        length = min(int(chance.triangular(*TEXT_FILE, TEXT_FILE[0])), size - layer.contents)
        start = chance.randrange(len(pool) - length)
        layer.add(f"data/text-{number}/{layer.files // 100}/{layer.files}.txt", pool[start : start + length])
    return layer.close()


def large_layer(number, size):
    """Large files, which do not compress, as models and compressed data do not."""
    chance = random.Random(f"large {number}")
    layer = Layer()
    while layer.contents < size:
        length = min(LARGE_FILE, size - layer.contents)
        layer.add(f"data/large-{number}/{layer.files}.bin", chance.randbytes(length))
    return layer.close()


def layers(plan, program):
    """The layers, one at a time."""
    made, packages = 0, Path(plan["packages"])
    for layer in (interpreter_layer(program, packages), packages_layer(packages)):
        made += layer.contents
        yield layer
    share = max(0, plan["mebibytes"] * MIB - made) // (2 * FILLING_LAYERS)
    for number in range(FILLING_LAYERS if share else 0):
        yield text_layer(number, share)
        yield large_layer(number, share)
    agent = Layer()
    agent.add("app/main.py", Path(plan["agent"]).read_bytes())
    yield agent.close()


class Repository:
    """Where the image goes."""

    def __init__(self, host, name):
        self.host, self.base = host, f"/v2/{name}"

    def request(self, method, target, body=b"", size=0, kind="application/octet-stream"):
        connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS, blocksize=MIB)
        connection.request(method, target, body, {"Content-Length": str(size), "Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
        connection.close()
        if answer.status >= 300:
            sys.exit(f"the registry answered {answer.status} to {method} {target}: {said[:300]}")
        return answer.headers

    def push(self, kind, content, size, digest):
        """Uploads a blob and returns its descriptor."""
        place = urlsplit(self.request("POST", f"{self.base}/blobs/uploads/")["Location"])
        query = "&".join(filter(None, [place.query, f"digest={quote(digest)}"]))
        self.request("PUT", f"{place.path}?{query}", content, size)
        return {"mediaType": kind, "digest": digest, "size": size}

    def push_document(self, kind, document):
        content = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return self.push(kind, content, len(content), digest)

    def tag(self, manifest):
        content = json.dumps(manifest).encode()
        self.request("PUT", f"{self.base}/manifests/latest", content, len(content), MANIFEST)


def main():
    plan = json.loads(sys.argv[1])
    program = Path(sys.executable).resolve()
    repository = Repository(plan["registry"], plan["repository"])
    descriptors, diff_ids, unpacked, files = [], [], 0, 0
    for layer in layers(plan, program):
        compressed = layer.compressed
        descriptors.append(repository.push(LAYER, layer.file, compressed.size, compressed.digest))
        layer.file.close()
        diff_ids.append(layer.plain.digest)
        unpacked += layer.contents
        files += layer.files
    config = {"Cmd": [str(program), "/app/main.py"], "Env": ["PYTHONPATH=/packages"], "WorkingDir": "/app"}
    described = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    configuration = repository.push_document(CONFIG, described)
    repository.tag({"schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": descriptors})
    compressed = sum(descriptor["size"] for descriptor in descriptors)
    made = {"compressed_bytes": compressed, "unpacked_bytes": unpacked, "files": files, "layers": len(diff_ids)}
    print(json.dumps(made))


if __name__ == "__main__":
    main()
