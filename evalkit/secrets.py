"""Texts that go to a terminal, a server or a record: what must not be in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

_USER = re.compile(r"(?<=://)[^/\s]+@")
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s]+)@")
_NAMED = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_HEADERS = re.compile(r"HEADERS$", re.IGNORECASE)
_ARGUMENT = re.compile(r"(?:api[_-]?key|(?<!cache)[_.-]key|token|secret|password|passwd|credentials)$", re.IGNORECASE)
_SHORTEST = 6
"""Characters of a secret; what is shorter stands in other words too."""
_HIDDEN = "***"


def without_secrets(text: object) -> str:
    """`text` without user names and passwords of URLs, and without what the environment's variables keep secret."""
    shown = _USER.sub(f"{_HIDDEN}@", str(text))
    found = {form for secret in _secrets() for form in (secret, unquote(secret)) if len(form) >= _SHORTEST}
    # the longest first: one can be a part of another
    for secret in sorted(found, key=len, reverse=True):
        shown = shown.replace(secret, _HIDDEN)
    return shown


def command_without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line without secrets: also without the value of an argument whose name ends as that of one does."""
    shown: list[str] = []
    hidden = False
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if hidden and not argument.startswith("-"):
            shown.append(_HIDDEN)
        elif sign and value and _ARGUMENT.search(name):
            shown.append(f"{name}={_HIDDEN}")
        else:
            shown.append(without_secrets(argument))
        hidden = argument.startswith("-") and not sign and bool(_ARGUMENT.search(argument))
    return shown


def is_secret(name: str) -> bool:
    """Whether something called `name` holds a secret."""
    return bool(_ARGUMENT.search(name)) or name.lower() in ("key", "authorization")


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
