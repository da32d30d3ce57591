"""Every fault, in the order of the table."""

from __future__ import annotations

import signal

from tests.faults.harness.clusters import ActorEnds, NodeEnds
from tests.faults.harness.ended import EvalkitEnds, SandboxEnds, ServerEnds
from tests.faults.harness.fault import Fault
from tests.faults.harness.machine import ClockJumps, DiskFull, DiskReadOnly, MemoryEaten
from tests.faults.harness.served import NAMES, ServerMisbehaves

KILL, TERM = signal.SIGKILL, signal.SIGTERM


def every() -> list[Fault]:
    """A new one of each."""
    return [
        EvalkitEnds(KILL),
        EvalkitEnds(TERM),
        ServerEnds(KILL),
        ServerEnds(TERM),
        SandboxEnds("fork server", KILL, "SIGKILL of the fork server"),
        SandboxEnds("fork server", TERM, "SIGTERM of the fork server"),
        SandboxEnds("keeper", KILL, "SIGKILL of the fork server's keeper"),
        *map(ServerMisbehaves, NAMES),
        DiskFull(),
        DiskReadOnly(),
        ClockJumps(1),
        ClockJumps(-1),
        ActorEnds(KILL),
        ActorEnds(TERM),
        NodeEnds(),
        SandboxEnds("session", KILL, "session killed as out of memory"),
        MemoryEaten(),
    ]
