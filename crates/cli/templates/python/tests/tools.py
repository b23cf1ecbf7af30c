"""Tries the tools."""

from tools import add_numbers


def test_numbers_are_added() -> None:
    assert add_numbers(2, 40) == 42
