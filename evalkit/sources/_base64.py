"""Images as base64 text in a cell."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

END = 4096
"""Characters at either end of a cell that are looked at when a table is opened."""

_ALPHABET = re.compile(rb"[A-Za-z0-9+/]*={0,2}\Z")


def wrong_base64(head: bytes, tail: bytes, size: int) -> str:
    """Why a text cannot be base64, told from its ends alone; "" if nothing speaks against it.

    Args:
        head: its first bytes.
        tail: its last bytes.
        size: its length.
    """
    if not _ALPHABET.match(tail) or (b"=" in head and size > len(head)) or not _ALPHABET.match(head):
        return "is not base64 text"
    if size % 4:
        return f"is not base64 text: its length {size:,} is no multiple of 4"
    return ""


def decoded_size(tail: bytes, size: int) -> int:
    """Bytes that a base64 text of `size` characters stands for."""
    return size // 4 * 3 - tail[-2:].count(b"=")


def mark(head: bytes, tail: bytes, size: int) -> str:
    """A cheap mark of an image's content: the length and a digest of both ends of its base64 text."""
    return f"{size}:{hashlib.sha256(head + tail).hexdigest()[:16]}"


def decode(text: bytes) -> bytes | None:
    """The bytes that a base64 text stands for; None where it is not base64 throughout."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
