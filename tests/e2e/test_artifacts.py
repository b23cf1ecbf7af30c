"""A code zip is checked before anything of it runs, and what is wrong with it is said."""

import io
import stat
import zipfile

import pytest

from harness.aws import Aws, agent_zip, zip_of


def _named(*names: str) -> bytes:
    return zip_of(dict.fromkeys(names, b"pass\n"))


def _readable(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def _duplicate() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_readable("main.py"), "a = 1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(_readable("main.py"), "a = 2")
    return buffer.getvalue()


def _link(target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_readable("main.py"), "pass")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, target)
    return buffer.getvalue()


def _bomb() -> bytes:
    return zip_of({"main.py": b"pass", "zeros": bytes(800 * 1024 * 1024)})


def _lies_about_its_size() -> bytes:
    """A small declared size in front of more than that."""
    content = bytearray(zip_of({"main.py": b"pass\n" * 1000}))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(signature) + offset
        content[at : at + 4] = (1).to_bytes(4, "little")
    return bytes(content)


BAD_ZIPS = {
    "no zip": (lambda: b"this is no zip", "zip"),
    "empty": (lambda: b"", "zip"),
    "cut off": (lambda: agent_zip("toolbox")[:-30], "zip"),
    "without its entry point": (lambda: _named("other.py"), "main.py"),
    "climbs out of its folder": (lambda: _named("main.py", "../outside.py"), "../outside.py"),
    "absolute path": (lambda: _named("main.py", "/etc/passwd"), "/etc/passwd"),
    "link out of the tree": (lambda: _link("../../etc/passwd"), "link"),
    "absolute link": (lambda: _link("/etc/passwd"), "link"),
    "duplicate names": (_duplicate, "same name"),
    "bomb": (_bomb, ""),
    "lies about its size": (_lies_about_its_size, ""),
}


@pytest.mark.parametrize("case", BAD_ZIPS)
def test_a_bad_zip_fails_the_version_with_the_reason(cloud: Aws, case: str) -> None:
    make, expected = BAD_ZIPS[case]
    runtime = cloud.create(make())
    runtime.wait_for("CREATE_FAILED")
    reason = runtime.get()["failureReason"]
    assert expected in reason
    assert reason.strip()
    runtime.delete()


def test_an_object_that_is_not_there(cloud: Aws) -> None:
    artifact = cloud.artifact(agent_zip("toolbox"))
    artifact["codeConfiguration"]["code"]["s3"]["prefix"] = "missing.zip"
    runtime = cloud.create(b"", agentRuntimeArtifact=artifact)
    runtime.wait_for("CREATE_FAILED")
    assert "missing.zip" in runtime.get()["failureReason"]
    runtime.delete()


def test_an_entry_point_of_another_language(cloud: Aws) -> None:
    try:
        artifact = cloud.artifact(zip_of({"main.js": "1"}), entry_point="main.js")
        runtime = cloud.create(b"", agentRuntimeArtifact=artifact)
    except cloud.control.exceptions.ValidationException as error:
        text = str(error)
    else:
        runtime.wait_for("CREATE_FAILED")
        text = runtime.get()["failureReason"]
    assert "Entrypoint file type does not match your selected runtime" in text


def test_a_link_within_the_tree_is_fine(cloud: Aws) -> None:
    runtime = cloud.create(_link("main.py"))
    runtime.wait_for("READY")
    runtime.delete()


@pytest.mark.microvm
def test_a_base_image_that_is_missing_is_named(aws: Aws) -> None:
    artifact = aws.artifact(agent_zip("toolbox"), runtime="PYTHON_3_10")
    runtime = aws.create(b"", agentRuntimeArtifact=artifact)
    runtime.wait_for("CREATE_FAILED")
    reason = runtime.get()["failureReason"]
    assert "PYTHON_3_10" in reason
    assert "coracle image" in reason
    runtime.delete()
