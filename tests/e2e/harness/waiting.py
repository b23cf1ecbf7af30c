"""Waits with an end, which say what they waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.05


def wait_until(what: str, condition: Callable[[], T], timeout: float) -> T:
    """Polls until `condition` returns something true, and returns that.

    Raises an `AssertionError` that names `what` and the last value seen when time is up.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; last seen: {value!r}")
        time.sleep(POLL_SECONDS)


def consistently(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Asserts that `condition` holds from now on for some time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"{what} did not hold for {seconds:g} s"
        time.sleep(POLL_SECONDS)
