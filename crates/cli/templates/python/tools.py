"""What the agent can do besides talking. A tool is a function: its types and its first line tell the model how to
use it. Add yours to `TOOLS`."""


def add_numbers(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


TOOLS = [add_numbers]
