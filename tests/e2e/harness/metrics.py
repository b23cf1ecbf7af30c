"""What a server says of itself at `/metrics`."""

import re

from harness.server import Server


def metric(server: Server, name: str, **labels: str) -> float:
    """The value of a counter or gauge; 0 while there is none."""
    wanted = ",".join(f'{key}="{value}"' for key, value in labels.items())
    series = re.escape(f"coracle_{name}{{{wanted}}}" if labels else f"coracle_{name}")
    text = server.metrics()
    found = re.search(rf"^{series} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
