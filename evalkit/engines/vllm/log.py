"""Where vLLM's words go: into files, never onto the terminal; and what is left of them when an engine dies.

`EngineLog` is the log handler of every process that vLLM starts. Python's logging makes it from a configuration
file, so it is also the one place of evalkit's own code in those processes.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import signal
import sys
import threading
from pathlib import Path

from evalkit.errors import one_line

ENGINE_FILE, FRONT_FILE = "engine.log", "front.log"
# A dying engine also writes down all that it was working on.
_TAIL_BYTES = 2**20
_DIED = "died unexpectedly"
# What a process says of an error that another one has told already.
_POINTS_ELSEWHERE = ("root cause", "stack trace")
_LEVEL = re.compile(r"^(?:ERROR|CRITICAL) \S{1,80} ")
_RAISED = re.compile(r"[\w.]{0,200}(?:Error|Exception|Interrupt|Exit)\b.{0,2000}")


class EngineLog(logging.FileHandler):
    """Appends to a file in `folder`; in a process other than `owner` it also settles that process in.

    There it sends standard output and error to the file, leaves the terminal's process group (Ctrl-C is for
    evalkit, which then finishes what is in flight), and ends the process when its parent is gone.
    """

    def __init__(self, folder: str, owner: int) -> None:
        ours = os.getpid() == owner
        super().__init__(os.path.join(folder, FRONT_FILE if ours else ENGINE_FILE), mode="a", encoding="utf-8")
        if not ours:
            assert self.stream is not None
            _settle_in(self.stream.fileno())


def _settle_in(file: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    parent = multiprocessing.parent_process()
    if parent is not None and not any(thread.name == "evalkit-parent" for thread in threading.enumerate()):
        threading.Thread(target=_follow, args=(parent,), name="evalkit-parent", daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def write_config(folder: Path) -> Path:
    """A logging configuration (Python's dictConfig, as JSON) with `EngineLog` as vLLM's only handler."""
    handler = {"()": f"{__name__}.EngineLog", "folder": str(folder), "owner": os.getpid(), "formatter": "plain"}
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(levelname)s %(processName)s %(message)s"}},
        "handlers": {"evalkit": handler},
        "loggers": {"vllm": {"handlers": ["evalkit"], "level": "INFO", "propagate": False}},
    }
    file = folder / "logging.json"
    file.write_text(json.dumps(config), "utf-8")
    return file


def last_words(folder: Path) -> str:
    """Why the engine's processes ended, as far as their log says: one line, empty when it says nothing of it.

    The first process that died of itself, else the last exception named in the log, else its last error; ordinary
    lines say nothing of an end.
    """
    try:
        with (folder / ENGINE_FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    raised = [line for line in lines if _RAISED.match(line)]
    raised = [line for line in raised if not any(phrase in line for phrase in _POINTS_ELSEWHERE)] or raised
    errors = [line for line in lines if _LEVEL.match(line)]
    died = [line for line in errors if _DIED in line]
    return one_line(_LEVEL.sub("", (died[:1] or raised[-1:] or errors[-1:] or [""])[0]))


def how_it_ended(code: int | None) -> str:
    """A process's exit code in words."""
    if code is None:
        return "it no longer answers"
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (": often the machine's memory ran out" if name == "SIGKILL" else "")
