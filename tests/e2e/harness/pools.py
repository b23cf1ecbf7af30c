"""Warm pools, as a server counts them."""

from harness.metrics import metric
from harness.server import Server
from harness.waiting import wait_until

READY_TIMEOUT = 120.0


def ready(server: Server, count: int) -> None:
    def standing() -> bool:
        states = [metric(server, "warm_pool_sandboxes", state=state) for state in ("ready", "starting")]
        return states == [count, 0]

    wait_until(f"{count} sandboxes to stand ready", standing, READY_TIMEOUT)
