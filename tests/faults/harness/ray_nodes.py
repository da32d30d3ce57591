"""A Ray cluster on this machine, in a process of its own: `python -m tests.faults.harness.ray_nodes FOLDER`.

It prints its address, then takes one word a line on standard input: `lose` ends a node at once, as a machine that
loses its power does, `add` adds one. It ends when that closes.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

_CPUS = 2
_TRIES = 3
_STORE_BYTES = 80 * 2**20


def main(folder: str) -> None:
    """Serve until standard input closes."""
    common = {"num_cpus": _CPUS, "object_store_memory": _STORE_BYTES}
    head = {**common, "num_cpus": 1, "include_dashboard": False, "temp_dir": folder}
    cluster = Cluster()
    nodes: list[Any] = []

    def add(**what: Any) -> None:
        for left in reversed(range(_TRIES)):
            try:
                nodes.append(cluster.add_node(**what))
                return
            except Exception:
                # Ray gives its own processes half a minute, which a machine with much to do does not always keep
                if not left:
                    raise

    try:
        add(**head)
        add(**common)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "lose" and len(nodes) > 1:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            elif line.strip() == "add":
                add(**common)
            print("done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
