"""A session that is a Jupyter kernel. Beside the standard library it needs ipykernel."""

from __future__ import annotations

import os
import sys
from _thread import start_new_thread
from importlib import import_module
from typing import Any

from . import wire
from .names import LazyNames
from .session import _end_with_host, _opener, limit

# What a kernel holds before its first cell: sockets, and the address space of its threads.
_FILES = 64
_BYTES = 1 << 30


def main(fd: int) -> None:
    """Run a kernel until the host closes the socket `fd`; returns when the kernel is asked to end.

    It starts in its working folder; the connection file lies in the folder above.
    """
    os.set_inheritable(fd, False)
    setup, _ = wire.receive(fd)
    for image, *_ in setup["images"]:
        os.set_inheritable(image, False)
    start_new_thread(_end_with_host, (fd,))
    import_module("site").main()
    sys.path.extend(path for path in setup["path"] if path not in sys.path)
    sys.argv = [""]
    app = import_module("ipykernel.kernelapp").IPKernelApp.instance()
    options = ("HistoryManager.enabled=False", "InteractiveShell.colors=nocolor")
    app.initialize(["-f", os.path.abspath("../kernel.json"), *(f"--{option}" for option in options)])
    _furnish(app.shell, setup)
    limits = setup["limits"]
    limits["NOFILE"] += _FILES
    limits["AS"] += _BYTES
    wire.send(fd, {"version": wire.VERSION, "limits": limit(limits)})
    app.start()


def _furnish(shell: Any, setup: dict[str, Any]) -> None:
    """Promise the session's names, and let images and `exit` do what they do in the other sandboxes."""
    images = [_opener(number, *image) for number, image in enumerate(setup["images"], 1)]
    names = LazyNames(shell.user_ns, setup["imports"], images)
    shell.ast_transformers.append(_Binder(names))
    # IPython's own end the kernel, and the state with it.
    shell.user_ns.update(exit=sys.exit, quit=sys.exit)
    try:
        viewers = import_module("PIL.ImageShow")
        viewers.register(viewers.IPythonViewer(), 0)
    except (ImportError, AttributeError):
        # No Pillow, so that no cell has an image either.
        return


class _Binder:
    """Binds promised names when IPython has parsed a cell; it leaves the cell as it is."""

    def __init__(self, names: LazyNames) -> None:
        self._names = names

    def visit(self, tree: Any) -> Any:
        try:
            self._names.bind(tree)
        except Exception as error:
            # Any other exception makes IPython forget this object.
            rejected = import_module("IPython.core.error").InputRejected
            raise rejected(f"{type(error).__name__}: {error}") from None
        return tree
