"""Addresses of run folders in object storage, and the folders of this machine that stand for them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from evalkit.errors import EvalkitError, one_line

STORES = ("s3", "gs", "hf", "file", "memory")
"""What may stand before `://`."""

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:(?::|//)")
_ODD = re.compile(r"[?#*\[\]{}\\\x00-\x1f\x7f]")


class Address(msgspec.Struct, frozen=True):
    """A place in object storage.

    Attributes:
        store: one of `STORES`.
        parts: of its path; what comes first is the bucket, where the store has buckets.
    """

    store: str
    parts: tuple[str, ...]

    @property
    def path(self) -> str:
        """As fsspec names it within the store."""
        return ("/" if self.store in ("file", "memory") else "") + "/".join(self.parts)

    def __str__(self) -> str:
        return f"{self.store}://{self.path}"

    def __truediv__(self, name: str) -> Address:
        return Address(self.store, (*self.parts, name))

    @property
    def spool(self) -> Path:
        """The folder of this machine in which a run of this address is filled and read."""
        return spools().joinpath(self.store, *(quote(part, safe=" @+=,:") for part in self.parts))


def is_url(text: object) -> bool:
    """Whether a user means an address and not a folder of this machine."""
    return bool(_URL.match(str(text)))


def address_of(text: str) -> Address:
    """An address from what the user wrote.

    Raises:
        EvalkitError: no such store, or its path cannot be one of a run folder; a password in it is not repeated.
    """
    store, mark, rest = text.partition("://")
    if not mark or store.lower() not in STORES:
        known = ", ".join(f"{name}://" for name in STORES)
        raise EvalkitError(f"run folders can be at {known} or on this machine, not at {one_line(store, 40)}:")
    parts = tuple(part for part in rest.split("/") if part)
    if parts and "@" in parts[0] and store.lower() not in ("file", "memory"):
        raise EvalkitError(
            f"{store}://… has a user or a password in it, which would end up in logs; "
            "leave it to the store's own variables or files"
        )
    shown = one_line(text, 120)
    if odd := _ODD.search(rest):
        raise EvalkitError(f"{shown}: {odd.group()!r} cannot be in the address of a run folder")
    if any(part in (".", "..") for part in parts) or (parts and parts[-1].startswith(".")):
        raise EvalkitError(f"{shown}: the address of a run folder has no . and no .., and its name begins with no dot")
    if len(parts) < 2 and store.lower() not in ("file", "memory"):
        raise EvalkitError(f"{shown} is no place for a run folder: name one in it, {store}://BUCKET/FOLDER")
    if not parts:
        raise EvalkitError(f"{shown} is no place for a run folder: name one in it, {store}:///FOLDER")
    if store.lower() == "hf" and any("@" in part for part in parts):
        raise EvalkitError(f"{shown}: a run is written to the main branch; leave out the @")
    return Address(store.lower(), parts)


def address_of_spool(folder: Path) -> Address | None:
    """The address that a folder of this machine stands for; None where it stands for itself."""
    try:
        store, *parts = folder.absolute().relative_to(spools()).parts
    except ValueError:
        return None
    return Address(store, tuple(map(unquote, parts))) if store in STORES and parts else None


def shown(folder: Path) -> Path | Address:
    """What a user is told of a folder of this machine: the address that it stands for, where it stands for one."""
    return address_of_spool(folder) or folder


def spools() -> Path:
    """Where this machine keeps its copies."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "evalkit" / "remote"
