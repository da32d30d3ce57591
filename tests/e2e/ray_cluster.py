"""A Ray cluster of several nodes on this machine, in a process of its own that does what it is told, a line at a time.

`add CPUS [FOLDER]` (the folder goes first in the node's module path), `remove NODE`, `lose` (the head); it answers each
with a line. The end of its input is its end.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from typing import Any

from ray._private import services, utils
from ray.cluster_utils import Cluster

_STORE_BYTES = 80 * 2**20


def patient(*arguments: Any) -> Any:
    """Ray gives its processes half a minute to start, which a machine with much to do does not always keep."""
    deadline = time.monotonic() + 240
    while True:
        try:
            return get_node(*arguments)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


get_node = services.get_node
services.get_node = patient
# nothing outside the cluster's own folder
utils.write_ray_address = lambda *arguments: None
Cluster._wait_for_node = functools.partialmethod(Cluster._wait_for_node, timeout=240)


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)

    def say(line: str) -> None:
        os.write(out, f"{line}\n".encode())

    with tempfile.TemporaryDirectory(prefix="ray-test-", dir="/tmp") as folder:
        common = {"object_store_memory": _STORE_BYTES, "include_dashboard": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args={**common, "num_cpus": 0})
        nodes: dict[str, Any] = {}
        say(cluster.address)
        for line in sys.stdin:
            what, *more = line.split()
            if what == "add":
                before = os.environ.get("PYTHONPATH", "")
                os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*more[1:], before]))
                node = cluster.add_node(num_cpus=int(more[0]), **common)
                os.environ["PYTHONPATH"] = before
                nodes[node.node_id[:8]] = node
                say(node.node_id[:8])
            elif what == "remove":
                cluster.remove_node(nodes.pop(more[0]), allow_graceful=False)
                say("gone")
            else:
                cluster.head_node.kill_gcs_server(check_alive=False)
                cluster.head_node.kill_raylet(check_alive=False)
                say("lost")
    os._exit(0)


if __name__ == "__main__":
    main()
