"""The session's main loop: set the limits, then answer each request with exactly one reply."""

from __future__ import annotations

import os
import sys
import warnings
from _thread import start_new_thread
from collections.abc import Callable
from signal import SIG_IGN, SIGINT, SIGKILL, signal
from typing import Any

from . import wire
from .cells import Interpreter
from .display import Screen, install
from .names import LazyNames

Confine = Callable[[dict[str, Any]], list[str]]


def main(fd: int, confine: Confine | None = None) -> None:
    """Serve the host on the socket `fd` until it hangs up; never returns.

    Args:
        fd: the socket.
        confine: isolates this process, given the first frame, and says how; by default only limits are set,
            and the process watches for the host's end itself.
    """
    code = 1
    try:
        serve(fd, confine)
    except (wire.WireError, OSError):
        code = 0
    finally:
        os._exit(code)


def serve(fd: int, confine: Confine | None) -> None:
    """Serve the host; the first frame says what the session starts with. See `main`.

    Raises:
        Hangup: the host closed the session.
        WireError: what came is not a request.
        OSError: the socket failed.
    """
    # An interrupt that comes before the first cell is late for a process that is gone.
    signal(SIGINT, SIG_IGN)
    os.set_inheritable(fd, False)
    for image, *_ in (setup := wire.receive(fd)[0])["images"]:
        os.set_inheritable(image, False)
    sys.path.extend(setup["path"])
    try:
        applied = confine(setup) if confine else limit(setup["limits"])
    except Exception as failure:
        # Without all of its isolation a session runs nothing.
        wire.send(fd, {"version": wire.VERSION, "limits": [], "problem": str(failure)[:1000]})
        raise
    interpreter = _interpreter(setup)
    if confine is None:
        start_new_thread(_end_with_host, (fd,))
    wire.send(fd, {"version": wire.VERSION, "limits": applied})
    while True:
        request, code = wire.receive(fd)
        try:
            header, parts = interpreter.run(code.decode("utf-8", "surrogatepass"))
        except MemoryError:
            error = b"MemoryError: not enough memory left to return the results\n"
            header = {"ok": False, "texts": [0, len(error), 0], "images": []}
            header |= {"dropped_chars": 0, "dropped_images": 0}
            parts = [error]
        wire.send(fd, {"id": request["id"], **header}, parts)
        del header, parts


def limit(limits: dict[str, int]) -> list[str]:
    """Set resource limits by their names without `RLIMIT_`; the names of those this system took."""
    import resource

    applied = []
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            # macOS does not take RLIMIT_AS; the host reports what is missing.
            continue
        applied.append(name)
    return applied


def _interpreter(setup: dict[str, Any]) -> Interpreter:
    module = type(sys)("__main__")
    # Pickle and dataclasses look classes up in the module that their `__module__` names.
    sys.modules["__main__"] = module
    sys.argv = [""]
    sys.path.append("")
    warnings.formatwarning = _warning
    screen = Screen(setup["max_images"], setup["image_pixels"])
    install(screen)
    namespace = module.__dict__
    namespace.update(display=screen.display, exit=sys.exit, quit=sys.exit)
    images = [_opener(number, *image) for number, image in enumerate(setup["images"], 1)]
    names = LazyNames(namespace, setup["imports"], images)
    return Interpreter(namespace, names, screen, setup["output_chars"])


def _opener(number: int, fd: int, offset: int, size: int, *pixels: Any) -> Callable[[], Any]:
    def open_image() -> Any:
        from io import BytesIO

        from PIL import Image, UnidentifiedImageError

        # Read as a whole: the offset of the descriptor is shared between copies of the image.
        data = os.pread(fd, size, offset)
        try:
            image: Any = Image.open(BytesIO(data))
        except UnidentifiedImageError:
            raise UnidentifiedImageError(f"image_{number} is not an image that can be read") from None
        # A decoder that skips detail would give other pixels than the shared ones.
        image.draft = lambda mode, size: None
        if pixels:
            _map(image, fd, *pixels)
        return image

    return open_image


def _map(image: Any, fd: int, mode: str, width: int, height: int, at: int) -> None:
    """Give an opened image its pixels from the file that all sessions share; a change makes a copy first."""
    import mmap

    from PIL import Image

    pillow: Any = Image
    if (image.mode, *image.size) != (mode, width, height):
        return
    length = width * height * (1 if mode == "L" else 4)
    file = mmap.mmap(fd, length, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, offset=at)
    try:
        core = pillow.core.map_buffer(file, (width, height), "raw", 0, (mode, 0, 1))
    except (AttributeError, TypeError, ValueError):
        # Another Pillow: the image decodes itself, as an unshared one does.
        return
    image.im, image.readonly, image.tile, image._shared = core, 1, [], file


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Without the file name, which is the host's."""
    return f"{category.__name__}: {message}\n"


def _end_with_host(fd: int) -> None:
    """End the session at once when the host dies, even in the middle of a cell."""
    import select

    poll = select.poll()
    poll.register(fd, 0)
    poll.poll()
    if os.getpgrp() == os.getpid():
        os.killpg(0, SIGKILL)
    os.kill(os.getpid(), SIGKILL)
