"""Addresses of object storage wherever a verb takes a run folder: the one place where they become folders here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError, InfrastructureError
from evalkit.runs.remote.address import address_of, address_of_spool, is_url

if TYPE_CHECKING:
    from evalkit.runs.remote.address import Address

Say = Callable[[str], None]


def out_folder(text: str | Path) -> Path:
    """The folder of this machine that a verb writes to: the one named, or the one that stands for an address.

    Raises:
        EvalkitError: it is an address at which there can be no run.
    """
    return address_of(str(text)).spool if is_url(text) else Path(text)


def run_folder(text: str | Path) -> Path:
    """A run folder, or a folder of them, to read: from object storage it is brought to this machine first.

    Raises:
        EvalkitError: there is none, or it cannot be brought.
    """
    return _brought(str(text), pictures=True) if is_url(text) else Path(text)


def run_without_images(text: str | Path) -> Path:
    """The same for a verb that looks at no image.

    Raises:
        EvalkitError: there is none, or it cannot be brought.
    """
    return _brought(str(text), pictures=False) if is_url(text) else Path(text)


def run_or_name(text: str) -> str:
    """The same for an option that takes other words too.

    Raises:
        EvalkitError: there is none, or it cannot be brought.
    """
    return str(_brought(text, pictures=False)) if is_url(text) else text


def reach(folder: Path, *, new: bool = False) -> None:
    """Where a folder has a store, make sure that it answers and the run is free, before anything slow is begun.

    Args:
        folder: of a run, or of runs.
        new: whether there must be no run yet.

    Raises:
        EvalkitError: what speaks to it is not installed.
        InfrastructureError: it does not answer, or the place is taken.
    """
    if (address := address_of_spool(folder)) is not None:
        from evalkit.runs.remote.run import check_free, check_new

        check_free(address)
        if new:
            check_new(address)


@contextlib.contextmanager
def filled(folder: Path, say: Say | None = None) -> Iterator[None]:
    """Send what is written to a run folder; one that stands for itself is left alone.

    Args:
        folder: of a run that has been brought.
        say: shows one line to the user.

    Raises:
        InfrastructureError: it is in use, or not everything could be sent.
    """
    say = say or _said
    address = address_of_spool(folder)
    if address is None:
        yield
        return
    from evalkit.runs.remote.run import RemoteRun

    run = RemoteRun(address, say)
    try:
        yield
    except BaseException:
        if problem := run.close(hurry=True):
            say(problem)
        raise
    if problem := run.close():
        raise InfrastructureError(problem)


def send(folder: Path) -> None:
    """Send a run folder that has just been made whole; one that stands for itself is left alone.

    Raises:
        InfrastructureError: the address is taken, or not everything could be sent.
    """
    address = address_of_spool(folder)
    if address is None:
        return
    from evalkit.runs.remote.run import RemoteRun

    try:
        problem = RemoteRun(address, _said, live=False, new=True).close()
    except InfrastructureError as error:
        problem = str(error)
    if problem:
        problem = problem.removesuffix("; run the same command again to send it")
        raise InfrastructureError(f"{problem}; the run is in {folder}, and evalkit score {address} sends it")
    _said(f"run folder: {address}")


def _brought(text: str, *, pictures: bool) -> Path:
    address = address_of(text)
    from evalkit.cli._console import Console, plain
    from evalkit.runs.find import is_run
    from evalkit.runs.remote.run import bring, bring_infos, is_there

    console = Console(stderr=True)
    with console.status(plain(f"fetching {address}")):
        runs: list[Address] = [address] if is_there(address) else bring_infos(address, _said)
        for run in runs:
            bring(run, _said, pictures=pictures)
    if not runs and not is_run(address.spool):
        raise DataError(f"{address}: there is no run, and no folder of runs")
    if not runs:
        _said(f"note: {address} is not there; what this machine has of it is read")
    return address.spool


def _said(line: str) -> None:
    from evalkit.cli._console import Console

    Console(stderr=True).print(line, markup=False, soft_wrap=True)
