"""Container images: pulled, kept as disks, and run as they say."""

import gzip
import itertools
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import commands
from harness.aws import AGENTS, Aws, Runtime
from harness.containers import (
    ARCHITECTURE,
    OTHER_ARCHITECTURE,
    Image,
    Layer,
    image,
    index,
    layout_archive,
    musl_witness,
    plain,
    program_layer,
    static_witness,
    told,
    zstd,
)
from harness.processes import PeakMemory
from harness.registry import IDENTITY_TOKEN, PASSWORD, USER, BadRegistry, DebianRegistry, TokenGate
from harness.server import BINARIES, IMAGES, Server, run
from javascript import NODE

# A pull of a small image, beside other tests.
PULL_TIMEOUT = 120.0
STALL_SECONDS = 2
# Of the server whose agents are never healthy.
INIT_SECONDS = 10
LONG_NAME = "n" * 200
# What docs/operations.md says that a pull takes.
PULL_MEMORY_MIB = 128


def container(uri: str) -> dict:
    return {"agentRuntimeArtifact": {"containerConfiguration": {"containerUri": uri}}}


def deploy(aws: Aws, uri: str, **members: object) -> Runtime:
    return aws.create(b"", **container(uri), **members).wait_for("READY", PULL_TIMEOUT)


def refused(aws: Aws, uri: str) -> str:
    """Why a runtime of this image cannot be created."""
    runtime = aws.create(b"", **container(uri)).wait_for("CREATE_FAILED", PULL_TIMEOUT)
    reason = runtime.get()["failureReason"]
    runtime.delete()
    return reason


@pytest.fixture(scope="module")
def locked() -> Iterator[DebianRegistry]:
    registry = DebianRegistry(with_password=True)
    yield registry
    registry.stop()


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    registry = BadRegistry()
    yield registry
    registry.stop()


@pytest.fixture(scope="module")
def small() -> Image:
    """An image that could be run, and is small."""
    return image([Layer().file("witness", Path("/bin/busybox"))], Entrypoint=["/witness"])


def _cloud(server: Server) -> Iterator[Aws]:
    yield from (Aws(started, "PYTHON_3_13") for started in run(server))


@pytest.fixture(scope="module")
def pulling(locked: DebianRegistry) -> Iterator[Aws]:
    """A server that pulls, and runs nothing."""
    config = {
        "containers": {"stall_timeout_secs": STALL_SECONDS, "max_image_mib": 64},
        f'registries."{locked.host}"': {"username": USER, "password": PASSWORD},
    }
    yield from _cloud(Server("simulated", "containers", config))


# --- what runs -----------------------------------------------------------------------------------------------


def everything() -> Image:
    """Layers with all that layers can do, around a static program and nothing else."""
    first = (
        Layer()
        .folder("app", mode=0o711, uid=65532, gid=65532)
        .file("app/witness", Path("/dev/null"))
        .add("gone", b"from the first layer")
        .add("hidden/old", b"from the first layer")
        .folder("real")
        .link("through", "real")
        .add("linked", b"shared by two names", uid=7, gid=8)
        .add(f"deep/{LONG_NAME}/{LONG_NAME}", b"a long name")
    )
    second = (
        Layer()
        .add("app/witness", static_witness(), mode=0o755)
        .add(".wh.gone")
        .add("hidden/.wh..wh..opq")
        .add("hidden/new", b"from the second layer")
        .add("through/file", b"beside the link's target")
        .hard_link("second-name", "linked")
        .add("large", bytes(range(256)) * 8192)
        .add("owned", b"x", mode=0o6751, uid=1234, gid=100_000)
    )
    third = Layer().add("etc/passwd", b"ann:x:1001:100:Ann:/home/ann:/nowhere\n").add("etc/group", b"staff:x:50:ann\n")
    return image(
        [first, second, third],
        compress=[plain, zstd],
        User="ann",
        WorkingDir="/made/for/it",
        Env=["FROM_IMAGE=yes", "OVERRIDDEN=image"],
        Entrypoint=["/app/witness"],
        Cmd=["--flag", "two words"],
    )


@pytest.mark.microvm
def test_a_static_image_runs_as_it_says(aws: Aws, registry: DebianRegistry) -> None:
    runtime = deploy(
        aws, registry.push(everything(), "team/everything", "1"), environmentVariables={"OVERRIDDEN": "runtime"}
    )
    paths = ["/gone", "/hidden/old", "/hidden/new", "/real/file", "/linked", "/second-name", "/large", "/owned"]
    paths += [f"/deep/{LONG_NAME}/{LONG_NAME}", "/through", "/dev/null", "/proc/self", "/tmp", "/etc/hosts"]
    session = runtime.session()
    found = told(session.invoke("\n".join(paths).encode()))
    session.stop()
    assert (found["uid"], found["gid"], found["groups"]) == (["1001"], ["100"], ["50"])
    assert found["cwd"] == ["/made/for/it"]
    assert found["argument"] == ["/app/witness", "--flag", "two words"]
    assert found["writes-tmp"] == ["yes"]
    variables = dict(variable.split("=", 1) for variable in found["variable"])
    assert variables["FROM_IMAGE"] == "yes"
    assert variables["OVERRIDDEN"] == "runtime"
    assert variables["HOME"] == "/home/ann"
    assert variables["AWS_REGION"] == "us-east-1"
    seen = {line.split()[0]: line.split()[1:] for line in found["path"]}
    assert seen["/gone"] == ["missing"]
    assert seen["/hidden/old"] == ["missing"]
    assert " ".join(seen["/hidden/new"][6:]) == "from the second layer"
    assert " ".join(seen["/real/file"][6:]) == "beside the link's target"
    assert seen["/through"][6] == "real"
    assert seen["/linked"] == seen["/second-name"], "a hard link into a lower layer is one inode"
    assert seen["/linked"][1:4] == ["7", "8", "2"]
    assert seen["/owned"][:3] == ["106751", "1234", "100000"]
    assert seen["/large"][5] == str(256 * 8192)
    assert " ".join(seen[f"/deep/{LONG_NAME}/{LONG_NAME}"][6:]) == "a long name"
    assert all(seen[path] != ["missing"] for path in ("/dev/null", "/proc/self", "/tmp", "/etc/hosts"))


# What root must not be able to do to its own machine, either. What ends the machine comes last.
ATTACKS_BY_ROOT = {
    "read-memory": "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem",
    "make-a-disk": "mknod /tmp/disk b 254 0",
    "mount": "mount -t tmpfs none /srv",
    "mount-control-groups": "mount -t cgroup2 none /srv",
    "remount": "mount -o remount,rw /sys",
    "unmount": "umount -l /proc",
    "load-a-module": "insmod /start.sh",
    "set-the-host-name": "hostname other",
    "set-the-clock": "date -s @0; [ $(date +%Y) = 1970 ]",
    "write-core-pattern": "echo '|/start.sh' > /proc/sys/kernel/core_pattern",
    "write-modprobe": "echo /start.sh > /proc/sys/kernel/modprobe",
    "write-ip-forward": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "write-interrupts": "echo 1 > /proc/irq/default_smp_affinity",
    "suspend": "echo mem > /sys/power/state",
    "read-the-guests-environment": "head -c 1 /proc/1/environ",
    "read-the-guests-memory": "dd if=/proc/1/mem of=/dev/null bs=1 count=1",
    "see-the-guests-root": "ls /proc/1/root/",
    "enter-the-guests-namespaces": "nsenter -t 1 -m true",
    "change-the-card": "ip link set eth0 down",
    "change-the-address": "ip addr add 10.0.2.3/24 dev eth0",
    "ask-by-ARP": "arping -c 1 -w 2 10.0.2.2",
    "press-a-magic-key": "echo b > /proc/sysrq-trigger",
    "power-off": "poweroff -f",
    "reboot": "reboot -f",
}


def tries(attacks: dict[str, str]) -> str:
    """A command that names the attacks that succeed."""
    return "; ".join(f"(({attack}) > /dev/null 2>&1 && echo {name})" for name, attack in attacks.items())


def alpine_like(architecture: str = ARCHITECTURE) -> Image:
    """As Alpine is: the C library musl, and BusyBox for a shell. No mirror of Alpine's is needed for it."""
    loader = next(Path("/lib").glob("ld-musl-*.so.1"))
    script = b'#!/bin/sh -e\ncd /srv\nexport STARTED_BY=$0\nexec witness "$@"\n'
    layers = [
        Layer().file("bin/busybox", Path("/bin/busybox")).link("bin/sh", "busybox").file(f"lib/{loader.name}", loader),
        Layer()
        .add("usr/local/bin/witness", musl_witness(), mode=0o755)
        .add("start.sh", script, mode=0o755)
        .folder("srv"),
    ]
    return image(layers, architecture=architecture, Entrypoint=["/start.sh"], Cmd=["a"])


@pytest.mark.microvm
def test_an_image_with_musl_and_busybox_runs_as_root_from_an_index(aws: Aws, registry: DebianRegistry) -> None:
    both = index({OTHER_ARCHITECTURE: alpine_like(OTHER_ARCHITECTURE), ARCHITECTURE: alpine_like()})
    runtime = deploy(aws, registry.push(both, "alpine-like"), platformVersion="V2")
    session = runtime.session()
    found = told(session.invoke(b"/etc/passwd"))
    succeeded = commands.run(session, tries(ATTACKS_BY_ROOT))[0].split()
    assert told(session.invoke(b""))["uid"] == ["0"], "the guest runs on"
    session.stop()
    assert not succeeded, f"root of a container can {succeeded}"
    assert (found["uid"], found["gid"], found["cwd"]) == (["0"], ["0"], ["/srv"])
    assert found["argument"] == ["witness", "a"]
    assert "STARTED_BY=/start.sh" in found["variable"]
    assert found["path"] == ["/etc/passwd missing"], "nothing is put there that the image does not have"


@pytest.mark.microvm
def test_a_node_agent_runs_from_an_imported_archive(aws: Aws, server: Server, tmp_path: Path) -> None:
    layers = [program_layer(NODE), Layer().file("app/main.js", AGENTS / "witness.js", 0o644)]
    made = image(layers, WorkingDir="/app", User="1000:1000", Cmd=["node", "main.js"])
    archive = tmp_path / "node.tar"
    archive.write_bytes(layout_archive(made))
    name = "registry.invalid/team/node:1"
    said = coracle_image(server, "import", str(archive), "--name", name)
    assert made.digest in said
    assert f"imported as {name}" in coracle_image(server, "list")
    session = deploy(aws, name, platformVersion="V2").session()
    answer = json.loads(session.invoke(b"{}")["response"].read())
    session.stop()
    assert answer["folder"] == "/app"
    assert answer["user"] == 1000
    assert answer["node"].startswith("v")


def coracle_image(server: Server, *arguments: str) -> str:
    command = [
        str(BINARIES / "coracle"),
        "image",
        *arguments,
        "--data-dir",
        str(server.data),
        "--images-dir",
        str(IMAGES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.microvm
def test_an_agent_that_listens_elsewhere_is_told_where_it_should(
    own_server: Callable[..., Server], registry: DebianRegistry
) -> None:
    server = own_server("microvm", "elsewhere", limits={"init_timeout_secs": INIT_SECONDS})
    aws = Aws(server, "PYTHON_3_13")
    layer = Layer().add("witness", static_witness(), mode=0o755)
    uri = registry.push(image([layer], Entrypoint=["/witness"]), "elsewhere")
    port = deploy(aws, uri, environmentVariables={"WITNESS_PORT": "9000"}, platformVersion="V1")
    loopback = deploy(aws, uri, environmentVariables={"WITNESS_ADDRESS": "loopback6"}, platformVersion="V1")
    with ThreadPoolExecutor(2) as pool:
        messages = list(pool.map(lambda runtime: runtime.session().fails("anything")["message"], (port, loopback)))
    assert "listens on port 9000 instead" in messages[0], messages[0]
    assert "on [::1]:8080 only" in messages[1], messages[1]
    assert all("must listen on 0.0.0.0:8080" in message for message in messages)


LARGE_LAYERS = 8
LARGE_FILE = 64 * 1024 * 1024
SMALL_FILES, SMALL_FILE = 4096, 16 * 1024
LARGE_TIMEOUT = 900.0


def large_layer(number: int) -> Layer:
    """128 MiB: one file that does not compress, and many that do."""
    layer = Layer().add(f"data/{number}/large", b"layer %d\n" % number + os.urandom(LARGE_FILE))
    for each in range(SMALL_FILES):
        layer.add(f"data/{number}/small/{each}", b"%08d" % each * (SMALL_FILE // 8))
    return layer


@pytest.mark.microvm
@pytest.mark.slow
@pytest.mark.timeout(3 * LARGE_TIMEOUT)
def test_a_gigabyte_of_layers_is_pulled_once_and_takes_little_memory(
    own_server: Callable[..., Server], registry: DebianRegistry
) -> None:
    server = own_server("microvm", "gigabyte")
    aws = Aws(server, "PYTHON_3_13")
    program = Layer().add("witness", static_witness(), mode=0o755)
    layers = itertools.chain([program], map(large_layer, range(LARGE_LAYERS)))
    made = image(layers, compress=[plain, zstd, zstd, *[plain] * 4], Entrypoint=["/witness"])
    uri = registry.push(made, "gigabyte")
    memory = PeakMemory(server.pid)
    runtime = aws.create(b"", **container(uri), platformVersion="V2").wait_for("READY", LARGE_TIMEOUT)
    # As docs/operations.md says.
    assert memory.growth_mib() < PULL_MEMORY_MIB
    session = runtime.session()
    last = LARGE_LAYERS - 1
    found = told(session.invoke(f"/data/{last}/large\n/data/0/small/{SMALL_FILES - 1}".encode()))
    session.stop()
    large, small = (path.split() for path in found["path"])
    assert " ".join(large[6:]) == f"{LARGE_FILE + len('layer 0') + 1} layer {last}"
    assert small[6] == str(SMALL_FILE)
    assert small[7].startswith(f"{SMALL_FILES - 1:08}")
    downloads = registry.downloads("gigabyte")
    assert downloads == LARGE_LAYERS + 2, "a layer each, and the configuration"
    aws.create(b"", **container(uri), platformVersion="V2").wait_for("READY", LARGE_TIMEOUT)
    assert registry.downloads("gigabyte") == downloads + 1, "only the configuration is asked for again"


# --- what is refused -----------------------------------------------------------------------------------------


def test_registries_with_passwords(pulling: Aws, bad: BadRegistry, locked: DebianRegistry, small: Image) -> None:
    deploy(pulling, locked.push(small, "team/small", "1"))
    pinned = f"{locked.host}/team/small@{small.digest}"
    deploy(pulling, pinned)
    bad.images["small"] = small
    bad.answer = gate = TokenGate(bad.host)
    reason = refused(pulling, f"{bad.host}/small:1")
    assert "no credentials are configured" in reason, reason
    assert "scope=repository%3Asmall%3Apull" in gate.scopes[0]
    assert "service=tests" in gate.scopes[0]


def test_credentials_of_dockers_file(
    own_server: Callable[..., Server], bad: BadRegistry, small: Image, tmp_path: Path
) -> None:
    bad.images["small"] = small
    bad.answer = TokenGate(bad.host)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {bad.host: {"username": USER, "password": PASSWORD}}}))
    server = own_server("simulated", "docker-config", containers={"docker_config": str(config)})
    deploy(Aws(server, "PYTHON_3_13"), f"{bad.host}/small:1")
    config.write_text(json.dumps({"auths": {bad.host: {"username": USER, "password": "wrong"}}}))
    reason = refused(Aws(server, "PYTHON_3_13"), f"{bad.host}/small:2")
    assert "do not suffice" in reason, reason
    # Of `docker login` at registries that keep no password.
    config.write_text(json.dumps({"auths": {bad.host: {"auth": "MDA6", "identitytoken": IDENTITY_TOKEN}}}))
    deploy(Aws(server, "PYTHON_3_13"), f"{bad.host}/small:3")
    assert bad.answer.scopes[-1] == "repository:small:pull"


def test_only_allowed_registries_are_asked(own_server: Callable[..., Server], bad: BadRegistry) -> None:
    server = own_server("simulated", "allowed", containers={"allowed_registries": ["registry.example.com"]})
    assert "not allowed" in refused(Aws(server, "PYTHON_3_13"), f"{bad.host}/small:1")
    assert not bad.requests


def test_references_that_lead_nowhere(pulling: Aws, registry: DebianRegistry, small: Image) -> None:
    registry.push(small, "known")
    for uri, said in (
        (f"{registry.host}/unknown:1", "has no the image unknown:1"),
        (f"{registry.host}/known:other", "known:other"),
        ("Not A Reference", "is not a reference to a container image"),
        ("127.0.0.1:9/small:1", "could not be reached"),
        ("s3://nowhere", "s3://BUCKET/KEY"),
        ("s3://no-such-bucket/image.tar", "There is no bucket no-such-bucket"),
    ):
        reason = refused(pulling, uri)
        assert said in reason, reason


def test_the_platforms_of_an_image_are_named(pulling: Aws, registry: DebianRegistry, small: Image) -> None:
    layer = Layer().file("witness", Path("/bin/busybox"))
    other = image([layer], architecture=OTHER_ARCHITECTURE, Cmd=["/witness"])
    for made in (other, index({OTHER_ARCHITECTURE: other})):
        reason = refused(pulling, registry.push(made, "foreign"))
        assert f"no image for linux/{ARCHITECTURE}" in reason, reason
        assert f"linux/{OTHER_ARCHITECTURE}" in reason, reason
        assert "other_architectures = true" in reason, reason


def test_a_registry_that_lies_or_stalls_is_found_out(pulling: Aws, bad: BadRegistry) -> None:
    # Layers of its own for each, so that nothing is there already.
    def one(name: str) -> Image:
        return image([Layer().file("witness", Path("/bin/busybox")).add("name", name.encode())], Cmd=["/witness"])

    lies, stalls, floods = one("lies"), one("stalls"), one("floods")
    bad.images |= {"lies": lies, "stalls": stalls, "floods": floods}
    layers = {name: json.loads(made.root)["layers"][0]["digest"] for name, made in bad.images.items()}

    def answer(request) -> bool:
        if layers["lies"] in request.path:
            content = lies.blobs[layers["lies"]]
            request.send_response(200)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(b"\0" + content[1:])
            return True
        if layers["stalls"] in request.path:
            request.send_response(200)
            request.send_header("Content-Length", "1000000")
            request.end_headers()
            request.wfile.write(b"x" * 1000)
            request.wfile.flush()
            time.sleep(STALL_SECONDS * 3)
            request.close_connection = True
            return True
        if request.path.startswith("/v2/floods/manifests"):
            request.send_response(200)
            request.send_header("Connection", "close")
            request.end_headers()
            while True:
                request.wfile.write(b" " * 1_000_000)
        return False

    bad.answer = answer
    assert "its digest is sha256:" in (reason := refused(pulling, f"{bad.host}/lies:1")), reason
    assert "sent nothing for" in (reason := refused(pulling, f"{bad.host}/stalls:1")), reason
    assert "sent more than the" in (reason := refused(pulling, f"{bad.host}/floods:1")), reason


BAD_LAYERS = {
    "leads out": (lambda: Layer().add("../../etc/cron.d/evil", b"x"), "leads out of the image"),
    "device": (lambda: Layer().add("disk", type=tarfile.BLKTYPE, devmajor=8), "is a device"),
    "hard link out": (lambda: Layer().hard_link("passwd", "../../etc/passwd"), "leads out of the image"),
    "hard link to nothing": (lambda: Layer().hard_link("passwd", "etc/shadow"), "hard link to nothing"),
    "links round and round": (
        lambda: Layer().link("one", "two").link("two", "one").add("one/file", b"x"),
        "round and round",
    ),
    "file as a folder": (lambda: Layer().add("file", b"x").add("file/file", b"x"), "not a directory"),
}


@pytest.mark.parametrize("case", BAD_LAYERS)
def test_hostile_layers_are_refused_by_name(pulling: Aws, registry: DebianRegistry, case: str) -> None:
    make, said = BAD_LAYERS[case]
    hostile = image([Layer().file("witness", Path("/bin/busybox")), make()], Cmd=["/witness"])
    reason = refused(pulling, registry.push(hostile, "hostile"))
    assert said in reason, reason


def test_layers_that_are_not_what_they_should_be(pulling: Aws, registry: DebianRegistry) -> None:
    bomb = image([Layer().add("zeros", bytes(100 * 1024 * 1024))], Cmd=["/zeros"])
    assert "unpacks to more than" in (reason := refused(pulling, registry.push(bomb, "bomb"))), reason
    other = image([Layer().add("file", b"x")], compress=[lambda _: gzip.compress(b"no archive")], Cmd=["/file"])
    reason = refused(pulling, registry.push(other, "noise"))
    assert "layer 1 of the image" in reason, reason
    changed = image(
        [Layer().add("file", b"x")], compress=[lambda _: Layer().add("file", b"y").archive()], Cmd=["/file"]
    )
    assert "configuration says" in (reason := refused(pulling, registry.push(changed, "changed"))), reason


def test_an_image_that_cannot_start_says_what_it_lacks(pulling: Aws, registry: DebianRegistry) -> None:
    dynamic = Layer().file("program", Path(os.path.realpath("/bin/cat"))).add("script", b"#!/bin/bash\n", mode=0o755)
    dynamic.add("text", b"x").add("etc/passwd", b"root:x:0:0::/:\n")
    made = dynamic.archive()

    class Same(Layer):
        def archive(self) -> bytes:
            return made

    for config, said in (
        ({}, "neither ENTRYPOINT nor CMD"),
        ({"Cmd": ["/missing"]}, '"/missing" is not in the image'),
        ({"Cmd": ["missing"], "Env": ["PATH=/opt"]}, "PATH is /opt"),
        ({"Cmd": ["/script"]}, "needs /bin/bash"),
        ({"Cmd": ["/program"]}, "ld-"),
        ({"Cmd": ["/text"]}, "chmod +x"),
        ({"Cmd": ["/etc"]}, "is not a file"),
        ({"Cmd": ["/script"], "User": "carl"}, 'USER is "carl"'),
    ):
        reason = refused(pulling, registry.push(image([Same()], **config), "lacking"))
        assert said in reason, reason


def test_the_process_driver_says_that_it_runs_no_images(
    own_server: Callable[..., Server], registry: DebianRegistry, small: Image
) -> None:
    server = own_server("process", "no-images")
    reason = refused(Aws(server, "PYTHON_3_13"), registry.push(small, "small"))
    assert "runs no container images" in reason, reason


# --- what is kept --------------------------------------------------------------------------------------------


def test_layers_are_fetched_once_and_shared(pulling: Aws, bad: BadRegistry) -> None:
    shared = Layer().add("shared", os.urandom(2_000_000)).archive()

    class Shared(Layer):
        def archive(self) -> bytes:
            return shared

    for name in ("one", "two"):
        own = Layer().file("witness", Path("/bin/busybox")).add(name, name.encode())
        bad.images[name] = image([Shared(), own], Cmd=["/witness"])
    runtimes = [pulling.create(b"", **container(f"{bad.host}/{name}:1")) for name in ("one", "two", "one")]
    for runtime in runtimes:
        runtime.wait_for("READY", PULL_TIMEOUT)
    layer = json.loads(bad.images["one"].root)["layers"][0]["digest"]
    assert sum(layer in path for path in bad.requests) == 1


def test_an_image_from_a_bucket(pulling: Aws, small: Image) -> None:
    location = pulling.upload(layout_archive(small))["s3"]
    deploy(pulling, f"s3://{location['bucket']}/{location['prefix']}")
    broken = pulling.upload(b"no archive")["s3"]
    reason = refused(pulling, f"s3://{broken['bucket']}/{broken['prefix']}")
    assert "neither an OCI layout nor a tar archive of one" in reason, reason


# --- agentcore deploy ----------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose agent is a container, and programs that stand for the builder's."""
    folder = tmp_path / "project"
    (folder / "agentcore").mkdir(parents=True)
    (folder / "app").mkdir()
    (folder / "app" / "Dockerfile").write_text("FROM scratch\n")
    runtime = {"name": "Boxed", "build": "Container", "entrypoint": "main.py", "codeLocation": "app"}
    (folder / "agentcore" / "agentcore.json").write_text(json.dumps({"runtimes": [runtime]}))
    return folder


def agentcore(server: Server, project: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = server.client_environment() | {"NO_COLOR": "1", "PATH": str(path)}
    return subprocess.run(
        [BINARIES / "agentcore", *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_deploy_builds_an_image_and_uploads_it(
    own_server: Callable[..., Server], project: Path, small: Image, tmp_path: Path
) -> None:
    server = own_server("simulated", "deploy-container")
    programs = tmp_path / "programs"
    programs.mkdir()
    none = agentcore(server, project, programs, "deploy")
    assert none.returncode == 2
    assert "neither buildah nor podman nor docker" in none.stderr
    # What it is asked is what the real one understands; what it answers is an image made here.
    archive = tmp_path / "image.tar"
    archive.write_bytes(layout_archive(small))
    asked = tmp_path / "asked"
    builder = programs / "buildah"
    builder.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\ncase $1 in\n'
        f'images) echo sha256:{"a" * 64} ;;\npush) /bin/cp {archive} "${{3#oci-archive:}}" ;;\nesac\n'
    )
    builder.chmod(0o755)
    done = agentcore(server, project, programs, "deploy", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "READY"
    listed = Aws(server, "PYTHON_3_13").control.list_agent_runtimes()["agentRuntimes"]
    assert [runtime["agentRuntimeName"] for runtime in listed] == ["Boxed"]
    assert f"--file {project}/app/Dockerfile --tag coracle/boxed:latest {project}/app" in asked.read_text()
    again = agentcore(server, project, programs, "deploy", "--json")
    assert json.loads(again.stdout)["changed"] is False
    assert asked.read_text().count("push") == 1, "what is there is not uploaded again"
