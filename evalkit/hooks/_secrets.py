"""Texts that go to a terminal or a server: what must not be in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

_USER = re.compile(r"(?<=://)[^/\s]+@")
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s]+)@")
_NAMED = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_HEADERS = re.compile(r"HEADERS$", re.IGNORECASE)
_SHORTEST = 6
"""Characters of a secret; what is shorter stands in other words too."""


def without_secrets(text: object) -> str:
    """`text` without user names and passwords of URLs, and without what the environment's variables keep secret."""
    shown = _USER.sub("***@", str(text))
    found = {form for secret in _secrets() for form in (secret, unquote(secret)) if len(form) >= _SHORTEST}
    # the longest first: one can be a part of another
    for secret in sorted(found, key=len, reverse=True):
        shown = shown.replace(secret, "***")
    return shown


def _secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        if _NAMED.search(name):
            yield value
        elif _HEADERS.search(name):
            # name=value pairs as OpenTelemetry has them; a value is "Bearer …" or a bare key
            yield value
            for pair in value.split(","):
                sent = pair.partition("=")[2].strip()
                yield sent
                yield unquote(sent).rpartition(" ")[2]
        yield from _PASSWORD.findall(value)
