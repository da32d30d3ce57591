"""On which machines runs were made, and whether their times can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from evalkit.analysis.side import Side
from evalkit.runs.folder import Session


class Machine(NamedTuple):
    """What tells one machine from another, as far as a run records it; None is unknown.

    `device` is what an engine in the same process computes on, `servers` the hosts of a served model.
    """

    cpu: str | None
    cpus: int | None
    kind: str | None
    device: str | None
    servers: str | None

    def __str__(self) -> str:
        """For people."""
        parts = [
            f"{self.cpus} x {self.cpu}",
            self.kind,
            self.device and f"model on {self.device}",
            self.servers and f"served from {self.servers}",
        ]
        return ", ".join(str(part) for part in parts if part)


def machine(session: Session) -> Machine | None:
    """The machine of one start of a run; None where it is not recorded."""
    place, engine = session.environment, session.engine
    if not place:
        return None
    return Machine(place.get("cpu"), place.get("cpus"), place.get("machine"), engine.get("device"), _hosts(engine))


def times_apart(old: Side, new: Side) -> str:
    """Why the two runs' times as run say nothing of the models; "" where they can be compared."""
    if why := machines_apart(old, new):
        return why
    flights = [{session.concurrency for session in side.info.sessions} for side in (old, new)]
    if flights[0] != flights[1] or len(flights[0]) > 1:
        first, second = (" and ".join(sorted(map(str, flight))) for flight in flights)
        return f"{old.label} ran with {first} trajectories in flight, {new.label} with {second}"
    return ""


def machines_apart(old: Side, new: Side) -> str:
    """Why the two runs were not made on one kind of machine, as far as that is recorded; "" where they were."""
    found = []
    for side in (old, new):
        machines = {machine(session) for session in side.info.sessions}
        if not machines or None in machines:
            return f"{side.label} does not say on which machine it ran"
        if len(machines) > 1:
            return f"{side.label} ran on several machines"
        found.append(machines)
    return "" if found[0] == found[1] else "the runs were made on different machines"


def _hosts(engine: Mapping[str, Any]) -> str | None:
    """The hosts of an engine's servers, without ports."""
    try:
        hosts = {urlsplit(url.strip()).hostname for url in str(engine.get("base_url") or "").split(",")}
    except ValueError:
        return None
    return ", ".join(sorted(host for host in hosts if host)) or None
