"""One run folder written from the files of its shards: whole, or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.errors import DataError, InfrastructureError
from evalkit.runs.append import AppendFile
from evalkit.runs.folder import IMAGES, SAMPLES, RunInfo, new_run_folder, write_info
from evalkit.runs.lock import LOCK, RunLock
from evalkit.runs.merge_rows import ShardRows
from evalkit.search import SEARCHES, THUMBNAILS

_HIDDEN, _INSIDE = ".merge-", "run"


class Merging:
    """A run folder in the making.

    Attributes:
        folder: where it is while it is made; nothing takes it for a run there.
    """

    def __init__(self, out: Path, named: Path | None, info: RunInfo) -> None:
        self._out, self._named, self._info = out, named, info
        self._hidden = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=out))
        self._lock = RunLock(self._hidden)
        self.folder = self._hidden / _INSIDE
        self.folder.mkdir()

    def fill(self, shards: Sequence[ShardRows]) -> None:
        """Write `run.json`, the valid lines, the images and the searches of all shards.

        Raises:
            DataError: an image or a search log is not there, or damaged.
            InfrastructureError: the disk is full or gone.
        """
        (self.folder / IMAGES).mkdir()
        lines = AppendFile(self.folder / SAMPLES)
        try:
            for run, rows in shards:
                with (run.folder / SAMPLES).open("rb") as file:
                    for start in sorted(row.start for row in rows.values()):
                        file.seek(start)
                        lines.append(file.readline())
                needed = {name: size for row in rows.values() for name, size in row.images}
                for name, size in needed.items():
                    _take(run.folder / IMAGES / name, self.folder / IMAGES / name, size)
        finally:
            lines.close()
        self._join_searches([run.folder for run, _ in shards])
        write_info(self.folder, self._info)

    def publish(self) -> Path:
        """Put the finished folder where it belongs; that place."""
        config = self._info.config
        target = self._named or new_run_folder(self._out, config["model"]["name"], config["task"]["name"])
        try:
            # an empty folder is replaced, any other refuses
            self.folder.rename(target)
        except OSError as error:
            raise InfrastructureError(f"cannot make {target}: {error.strerror}; name another") from error
        return target

    def close(self) -> None:
        """Remove what is left of the making."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        shutil.rmtree(self._hidden, ignore_errors=True)

    def _join_searches(self, folders: Sequence[Path]) -> None:
        with_searches = [folder for folder in folders if (folder / SEARCHES).is_file()]
        if not with_searches:
            return
        (self.folder / THUMBNAILS).mkdir()
        lines = AppendFile(self.folder / SEARCHES)
        try:
            for folder in with_searches:
                with (folder / SEARCHES).open("rb") as file:
                    for line in file:
                        # a killed process may have left a part of a line
                        if line.endswith(b"\n"):
                            lines.append(line)
                for image in sorted((folder / THUMBNAILS).glob("[!.]*")):
                    _take(image, self.folder / THUMBNAILS / image.name, image.lstat().st_size)
        finally:
            lines.close()


@contextlib.contextmanager
def merging(out: Path, named: Path | None, info: RunInfo) -> Iterator[Merging]:
    """A new run folder; what is not published in the end leaves nothing.

    Args:
        out: folder of run folders.
        named: the run folder itself; None for a new one in `out`.
        info: its `run.json`.

    Raises:
        InfrastructureError: the place is taken, or cannot be written.
    """
    if named is not None:
        out = named.parent
        if os.path.lexists(named) and not (named.is_dir() and not any(named.iterdir())):
            raise InfrastructureError(f"{named} is there already; name another --run-dir")
    try:
        out.mkdir(parents=True, exist_ok=True)
        _sweep(out)
        made = Merging(out, named, info)
    except OSError as error:
        raise InfrastructureError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    try:
        yield made
    finally:
        made.close()


def _sweep(out: Path) -> None:
    """Remove what killed merges left behind."""
    for left in out.glob(f"{_HIDDEN}*"):
        if (left / LOCK).is_file():
            # one that is still going on is not ours to remove
            with contextlib.suppress(InfrastructureError), RunLock(left):
                shutil.rmtree(left / _INSIDE, ignore_errors=True)
            with contextlib.suppress(OSError):
                left.rmdir()


def _take(source: Path, target: Path, size: int) -> None:
    """The same file under another name, or a copy where that cannot be.

    Raises:
        DataError: it is not there, or not whole.
        InfrastructureError: the disk is full or gone.
    """
    try:
        found = source.lstat()
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}; a row of that shard names it") from error
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        raise DataError(f"{source} is not the image that a row of that shard names: it is damaged")
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        # another file system, or one without links
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise InfrastructureError(f"cannot write {target}: {error.strerror}; free space and run again") from error
