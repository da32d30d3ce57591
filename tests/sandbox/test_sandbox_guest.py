"""Parts of the guest, without a process."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evalkit.sandbox.guest import wire
from evalkit.sandbox.guest.display import _AfterImport
from evalkit.sandbox.guest.names import LazyNames


def test_a_frame_comes_back() -> None:
    read, write = os.pipe()
    try:
        wire.send(write, {"a": [1, "é"]}, [b"one", b"", b"two"])
        assert wire.receive(read) == ({"a": [1, "é"]}, b"onetwo")
        os.close(write)
        with pytest.raises(wire.Hangup):
            wire.receive(read)
    finally:
        os.close(read)


@pytest.mark.parametrize(
    "prefix",
    [
        wire.PREFIX.pack(b"evk0", 2, 0),
        wire.PREFIX.pack(wire.MAGIC, wire.MAX_HEADER + 1, 0),
        wire.PREFIX.pack(wire.MAGIC, 2, 11),
    ],
)
def test_a_bad_prefix_is_refused(prefix: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.sizes(prefix, max_payload=10)


def test_an_oversized_header_is_not_sent() -> None:
    with pytest.raises(wire.WireError, match="header"):
        wire.encode({"a": "x" * wire.MAX_HEADER}, 0)


def test_an_interrupted_import_is_hooked_when_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hooked.py").write_text("import sys\nif not sys.hooked_ready: raise KeyboardInterrupt\nvalue = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "hooked_ready", False, raising=False)
    seen: list[ModuleType] = []
    monkeypatch.setattr(sys, "meta_path", [_AfterImport({"hooked": seen.append}), *sys.meta_path])
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("hooked")
    monkeypatch.setattr(sys, "hooked_ready", True)
    assert seen == []
    assert importlib.import_module("hooked") is seen[0]


@pytest.mark.parametrize(
    ("code", "bound"),
    [
        ("a", {"a"}),
        ("a = 1", set()),
        ("a += 1", {"a"}),
        ("del a", {"a"}),
        ("x.a", set()),
        ("# a", set()),
        ("'a'", set()),
        ("f'{a}'", {"a"}),
        ("exec('a.b')", {"a", "image_1"}),
        ("globals()", {"image_1"}),
        ("lambda: (a, image_1)", {"a", "image_1"}),
        ("@a\nclass C: pass", {"a"}),
        ("kept", set()),
        ("(" * 90 + "a" + ")" * 90, {"a"}),
    ],
)
def test_names_are_bound_when_a_cell_reads_them(code: str, bound: set[str]) -> None:
    namespace: dict[str, Any] = {"kept": 1}
    LazyNames(namespace, {"a": "a = 1", "kept": "1 / 0"}, [lambda: "image"]).bind(ast.parse(code))
    assert namespace.keys() - {"__builtins__", "kept"} == bound
