"""How runs are written to the Hub: a commit for many files, and no lock that the store itself decides."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.errors import EvalkitError
from evalkit.runs.remote import bucket as buckets
from evalkit.runs.remote import run as runs
from evalkit.runs.remote.address import address_of
from evalkit.runs.remote.bucket import Bucket, StoreError


class FakeHub:
    """What of the Hub's file system evalkit calls; it keeps what a commit holds."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commits: list[list[str]] = []
        self._api = self

    def resolve_path(self, path: str) -> Any:
        kind, owner, name, *rest = path.split("/")
        inside = "/".join(rest)
        if kind == "buckets":
            return SimpleNamespace(bucket_id=f"{owner}/{name}", path=inside)
        return SimpleNamespace(repo_id=f"{owner}/{name}", repo_type="dataset", revision="main", path_in_repo=inside)

    def create_commit(self, *, repo_id: str, operations: list[Any], **about: Any) -> None:
        assert about["repo_type"] == "dataset"
        self._keep(f"datasets/{repo_id}", [(one.path_or_fileobj, one.path_in_repo) for one in operations])

    def batch_bucket_files(self, bucket_id: str, *, add: list[tuple[bytes, str]]) -> None:
        self._keep(f"buckets/{bucket_id}", add)

    def _keep(self, root: str, added: list[tuple[bytes, str]]) -> None:
        self.files.update({f"{root}/{name}": data for data, name in added})
        self.commits.append([name for _, name in added])

    def cat_file(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def invalidate_cache(self) -> None:
        """There is none."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The Hub, of which nothing is known yet."""
    made = FakeHub()
    monkeypatch.setattr(buckets, "_file_system", lambda address: made)
    return made


@pytest.mark.parametrize("kind", ["buckets", "datasets"])
def test_many_files_are_one_commit(hub: FakeHub, kind: str) -> None:
    pytest.importorskip("huggingface_hub")
    bucket = Bucket(address_of(f"hf://{kind}/me/runs/r"))
    bucket.put({"images/a.png": b"a", "images/b.png": b"b"})
    assert hub.commits == [["r/images/a.png", "r/images/b.png"]]
    assert bucket.read("images/b.png") == b"b"
    assert bucket.read("images/c.png") is None


def test_a_lock_is_looked_for_first(hub: FakeHub) -> None:
    pytest.importorskip("huggingface_hub")
    bucket = Bucket(address_of("hf://datasets/me/runs/r"))
    assert not bucket.exclusive
    assert bucket.create("lock.json", b"1")
    assert not bucket.create("lock.json", b"2")
    assert bucket.read("lock.json") == b"1"


def test_only_repositories_are_written_seldom() -> None:
    assert runs._is_repository(address_of("hf://datasets/me/runs/r"))
    assert not runs._is_repository(address_of("hf://buckets/me/runs/r"))
    assert not runs._is_repository(address_of("s3://datasets/r"))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def absent(store: str, **settings: object) -> None:
        raise ImportError(f"no module for {store}")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(
        EvalkitError, match=r"s3://b/r needs s3fs, which is not installed: pip install 'evalkit\[remote\]'"
    ):
        Bucket(address_of("s3://b/r"))


def test_a_store_that_refuses_is_one_line_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, hub: FakeHub, tmp_path: Path
) -> None:
    def refuse(path: str) -> bytes:
        raise PermissionError("403 for https://h/x?X-Amz-Signature=abcdef0123\nAuthorization: Bearer abcdef0123")

    monkeypatch.setattr(hub, "cat_file", refuse)
    with pytest.raises(StoreError) as failed:
        Bucket(address_of("hf://buckets/me/runs/r")).read("run.json")
    assert str(failed.value) == (
        "cannot read run.json of hf://buckets/me/runs/r: PermissionError: 403 for https://h/x?X-Amz-Signature=*** "
        "Authorization: ***; check the address, the credentials and the network"
    )
    assert failed.value.__context__ is None
