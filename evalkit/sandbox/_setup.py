"""The first frame of a session: what it starts with."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.sandbox.base import Limits, SessionSpec

_BOOT = """\
import sys
guest = type(sys)("evalkit_guest")
guest.__path__ = [sys.argv[1]]
sys.modules["evalkit_guest"] = guest
from evalkit_guest.{module} import main
main(int(sys.argv[2]))
"""
"""Makes the guest a package of its own: nothing else of evalkit gets onto the session's path."""

_GUEST = Path(__file__).parent / "guest"
MB = 1 << 20

# Interpreters of computing centres do not start without the library path.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Threads of all sessions together, where the system counts them per user and they share one.
_SHARED_THREADS = 2000


def setup_frame(
    spec: SessionSpec,
    limits: Limits,
    packages: Sequence[str],
    images: Sequence[tuple[int | str, ...]],
    folder: str = "",
) -> dict[str, Any]:
    """The frame.

    Args:
        spec: names and images.
        limits: what a call may use.
        packages: folders to import from, added to the path.
        images: descriptor in the session, offset and length in bytes of each image's encoded form; and where
            it is decoded already, mode, width, height, and the offset of its pixels.
        folder: the working folder, unless the session has one already.
    """
    return {
        "path": list(packages),
        "imports": spec.imports,
        "images": images,
        "limits": rlimits(limits, len({image[0] for image in images})),
        "threads": limits.threads,
        "shared_threads": _SHARED_THREADS,
        "disk_mb": limits.disk_mb,
        "folder": folder,
        "output_chars": limits.output_chars,
        "max_images": limits.images,
        "image_pixels": limits.image_pixels,
    }


def command(module: str) -> list[str]:
    """Starts `main` of a guest module in a bare interpreter; the descriptor of its socket follows."""
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT.format(module=module), str(_GUEST)]


def rlimits(limits: Limits, files: int) -> dict[str, int]:
    """Resource limits by name; `files` are descriptors that a session starts with.

    None on processes: the system counts them per user, so a session can only set it once it has one of its own.
    """
    return {
        "AS": limits.memory_mb * MB,
        "FSIZE": limits.file_mb * MB,
        "NOFILE": limits.open_files + files,
        "CORE": 0,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
    }


def environment(root: Path, folder: Path) -> dict[str, str]:
    """All environment variables of a session."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = dict.fromkeys(("HOME", "TMPDIR"), str(folder)) | dict.fromkeys(_THREADS, "1")
    # One folder for all sessions: matplotlib writes its list of fonts there, which takes it a second.
    return kept | own | {"LANG": "C.UTF-8", "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(root / "matplotlib")}


def packages() -> list[str]:
    """Folders a session may import from, besides the standard library.

    Those of installed packages, and those where this process finds the packages that cells use most.
    Found without importing anything, and without the host's working folder.
    """
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    for name in ("PIL", "numpy", "matplotlib"):
        spec = importlib.util.find_spec(name)
        for path in (spec.submodule_search_locations if spec else None) or ():
            found.append(str(Path(path).parent))
    return list(dict.fromkeys(found))
