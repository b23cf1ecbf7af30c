"""The benchmarks end with a figure in every place. What the figures are is told, not asserted."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from harness.server import BINARIES, IMAGES, PATH

TIMEOUT = 1500
# As little as each of them does.
SMALLEST = {
    "start": ["--sessions", "1", "--boots", "1", "--rate-seconds", "1", "--agent", "strands"],
    "protocols": ["--round-trips", "1", "--frames", "10", "--mebibytes", "1"],
    "neighbours": ["--seconds", "1", "--load", "processors"],
    "images": ["--small", "1", "--large", "300", "--pulls", "1", "--sessions", "1"],
}


def leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Every value that has no others in it, with where it stands."""
    match value:
        case dict() if value:
            for key, inner in value.items():
                yield from leaves(inner, f"{place}.{key}")
        case list() if value:
            for number, inner in enumerate(value):
                yield from leaves(inner, f"{place}[{number}]")
        case _:
            yield place, value


def is_a_figure(value: object) -> bool:
    match value:
        case bool():
            return True
        case int() | float():
            return value > 0
        case str():
            return bool(value)
    return False


@pytest.mark.microvm
@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT + 60)
@pytest.mark.parametrize("what", SMALLEST)
def test_a_benchmark_ends_with_figures(what: str) -> None:
    command = [BINARIES / "coracle", "bench", what, *SMALLEST[what], "--json", "--images-dir", IMAGES]
    done = subprocess.run(
        command, env=os.environ | {"PATH": PATH}, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    missing = {place: value for place, value in leaves(report) if not is_a_figure(value)}
    assert not missing, done.stdout
    assert any(isinstance(value, float) for _, value in leaves(report))
