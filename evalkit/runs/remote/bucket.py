"""A folder of objects: listed, read and written through fsspec, with errors that a user can act on."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from evalkit.errors import EvalkitError, InfrastructureError, one_line
from evalkit.runs.remote.address import Address
from evalkit.secrets import without_secrets

T = TypeVar("T")

_MEND = "check the address, the credentials and the network"
_BATCH_BYTES = 32 << 20
_BATCH_FILES = 256
_PART = re.compile(r"\..+\.[0-9a-f]{8}")
_SECRET_VALUE = re.compile(
    r"(?i)((?:x-(?:amz|goog)-[a-z-]+|[a-z_-]*(?:token|secret|signature|password|credential|"
    r"(?:access|api|secret|account)[_-]?key(?:[_-]?id)?))[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bhf_[A-Za-z0-9]{8,}|\b(?:bearer|basic)\s+\S+"
)


class StoreError(InfrastructureError):
    """A store does not answer, or refuses."""


class Bucket:
    """The objects whose names begin with an address.

    Args:
        address: where they are.

    Attributes:
        address: the same.
        exclusive: whether the store itself makes sure that only one of two writers creates an object.

    Raises:
        EvalkitError: the package that speaks to the store is not installed.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.exclusive = address.store != "hf"
        self._fs = _file_system(address)
        self._root = address.path.rstrip("/")

    def __str__(self) -> str:
        return str(self.address)

    def sizes(self) -> dict[str, int]:
        """Sizes in bytes of all objects, by their names after the address; empty where there is none.

        Raises:
            StoreError: see there.
        """

        def look() -> dict[str, int]:
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            start = self._root + "/"
            return {
                name[len(start) :]: int(about["size"] or 0) for name, about in found.items() if name.startswith(start)
            }

        return self._told("list", look)

    def folders(self) -> list[str]:
        """Names of the folders right under the address.

        Raises:
            StoreError: see there.
        """

        def look() -> list[str]:
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._root, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
            names = [one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory"]
            return sorted(name for name in names if name and not name.startswith("."))

        return self._told("list", look)

    def read(self, name: str) -> bytes | None:
        """One object; None where it is not there.

        Raises:
            StoreError: see there.
        """

        def fetch() -> bytes | None:
            try:
                return bytes(self._fs.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

        return self._told(f"read {name} of", fetch)

    def read_present(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those of some small objects that are there.

        Raises:
            StoreError: see there.
        """

        def fetch() -> dict[str, bytes]:
            paths = {f"{self._root}/{name}": name for name in names}
            if not paths:
                return {}
            got = self._fs.cat(list(paths), on_error="return")
            found = {}
            for path, data in (got if isinstance(got, dict) else {next(iter(paths)): got}).items():
                if isinstance(data, bytes | bytearray):
                    found[path.partition(self._root + "/")[2]] = bytes(data)
                elif not isinstance(data, FileNotFoundError):
                    raise data
            return found

        return self._told("read", fetch)

    def read_all(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """Objects, many at a time, in the order given.

        Args:
            sizes: in bytes, by name.

        Raises:
            StoreError: one cannot be read; see there.
        """
        for names in _batches(sizes.items()):
            paths = [f"{self._root}/{name}" for name in names]
            found = self._told("read", lambda paths=paths: self._fs.cat(paths))  # type: ignore[misc]
            # asked for a single path in a list, some stores answer with the bytes alone
            if isinstance(found, bytes):
                found = {paths[0]: found}
            by_name = {path.partition(self._root + "/")[2]: data for path, data in found.items()}
            yield from ((name, bytes(by_name[name])) for name in names)

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects, whole each; what was there under their names is replaced.

        Raises:
            StoreError: not all of them could be written; see there.
        """
        for names in _batches((name, len(data)) for name, data in objects.items()):
            batch = {f"{self._root}/{name}": objects[name] for name in names}
            self._told("write", lambda batch=batch: self._put(batch))  # type: ignore[misc]

    def create(self, name: str, data: bytes) -> bool:
        """Write an object that is not there yet; whether it was not.

        Raises:
            StoreError: see there.
        """
        path = f"{self._root}/{name}"

        def make() -> bool:
            try:
                if self.address.store == "file":
                    self._put_file(path, data, os.link)
                else:
                    self._fs.pipe_file(path, data, mode="create")
            except NotImplementedError:
                self.exclusive = False
                self._put({path: data})
            except Exception as error:
                if _is_there(error):
                    return False
                raise
            return True

        if not self.exclusive:
            if self.read(name) is not None:
                return False
            self.put({name: data})
            return True
        return self._told(f"write {name} to", make)

    def remove(self, name: str) -> None:
        """Take an object away, if it is there.

        Raises:
            StoreError: see there.
        """

        def drop() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(f"{self._root}/{name}")

        self._told(f"remove {name} from", drop)

    def tidy(self) -> None:
        """Take away what a writer left half written that was killed; nobody else may be writing.

        Raises:
            StoreError: see there.
        """
        if self.address.store == "file":
            for name in self.sizes():
                if _PART.fullmatch(name.rpartition("/")[2]):
                    self.remove(name)

    def _put(self, objects: Mapping[str, bytes]) -> None:
        if self.address.store == "file":
            for path, data in objects.items():
                self._put_file(path, data, os.replace)
        elif self.address.store == "hf":
            _commit(self._fs, objects)
        else:
            self._fs.pipe(dict(objects))

    def _put_file(self, path: str, data: bytes, take: Callable[[str, str], object]) -> None:
        """A file appears whole: unlike a store, a disk shows what is half written."""
        folder, _, name = path.rpartition("/")
        os.makedirs(folder, exist_ok=True)
        part = f"{folder}/.{name}.{uuid4().hex[:8]}"
        try:
            with open(part, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            take(part, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)

    def _told(self, doing: str, work: Callable[[], T]) -> T:
        """What the work gives; its failure as one line without anything secret in it."""
        try:
            return work()
        except Exception as error:
            # each store has errors of its own, and no two libraries a common one
            said = f"{type(error).__name__}: {without_keys(str(error))}"
        raise StoreError(f"cannot {doing} {self.address}: {one_line(said, 300)}; {_MEND}")


def without_keys(text: str) -> str:
    """A store's words without what this machine keeps secret, and without what looks like a key or a signature."""
    return _SECRET_VALUE.sub(lambda found: f"{found.group(1) or ''}***", without_secrets(text))


def _file_system(address: Address) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(address.store, **({"use_listings_cache": False} if address.store == "s3" else {}))
    except ImportError:
        what = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}.get(address.store, "fsspec")
        raise EvalkitError(f"{address} needs {what}, which is not installed: pip install 'evalkit[remote]'") from None
    except Exception as error:
        said = one_line(f"{type(error).__name__}: {without_keys(str(error))}", 300)
    raise StoreError(f"cannot reach {address}: {said}; {_MEND}")


def _commit(fs: Any, objects: Mapping[str, bytes]) -> None:
    """Write to the Hub in one commit: a commit for each object would soon be too many for it."""
    from huggingface_hub import CommitOperationAdd

    places = {path: fs.resolve_path(path) for path in objects}
    first = next(iter(places.values()))
    if hasattr(first, "bucket_id"):
        fs._api.batch_bucket_files(first.bucket_id, add=[(objects[path], at.path) for path, at in places.items()])
    else:
        fs._api.create_commit(
            repo_id=first.repo_id,
            repo_type=first.repo_type,
            revision=first.revision,
            operations=[
                CommitOperationAdd(path_in_repo=at.path_in_repo, path_or_fileobj=objects[path])
                for path, at in places.items()
            ],
            commit_message="evalkit: a run goes on",
        )
    fs.invalidate_cache()


def _is_there(error: Exception) -> bool:
    """Whether a store refused to create what is there already."""
    said = f"{type(error).__name__} {error}"
    return (
        isinstance(error, FileExistsError)
        or str(getattr(error, "code", "")) == "412"
        or any(word in said for word in ("PreconditionFailed", "pre-conditions you specified", "conditionNotMet"))
    )


def _batches(sizes: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    names: list[str] = []
    total = 0
    for name, size in sizes:
        if names and (total + size > _BATCH_BYTES or len(names) == _BATCH_FILES):
            yield names
            names, total = [], 0
        names.append(name)
        total += size
    if names:
        yield names
