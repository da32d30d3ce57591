"""Addresses of object storage: what is one, which folder stands for it, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.errors import EvalkitError
from evalkit.runs.remote.address import Address, address_of, address_of_spool, is_url, spools
from evalkit.runs.remote.bucket import without_keys

PART = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/?#*[]{}\\"), min_size=1, max_size=40)


@given(st.sampled_from(["s3", "gs", "memory", "file"]), st.lists(PART, min_size=2, max_size=5))
def test_every_address_has_one_folder_within_the_cache(store: str, parts: list[str]) -> None:
    assume("@" not in parts[0] and not {".", ".."} & set(parts) and not parts[-1].startswith("."))
    address = address_of(f"{store}://{'/'.join(parts)}")
    assert address.parts == tuple(parts)
    assert address_of(str(address)) == address
    assert Path(os.path.normpath(address.spool)).is_relative_to(spools())
    assert address_of_spool(address.spool) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://host/runs/r", "run folders can be at s3://, gs://, hf://, file://, memory:// or on this machine"),
        ("simplecache::s3://b/r", "not at simplecache::s3:"),
        ("s3://", "is no place for a run folder"),
        ("s3://bucket", "name one in it, s3://BUCKET/FOLDER"),
        ("file:///", "name one in it"),
        ("s3://b/../other/r", "has no . and no .."),
        ("s3://b/.r", "begins with no dot"),
        ("s3://b/r?versionId=3", "'?' cannot be in the address"),
        ("s3://b/runs/*", "'*' cannot be in the address"),
        ("hf://datasets/me/runs@v1/r", "leave out the @"),
    ],
)
def test_what_is_no_address_of_a_run_is_refused(text: str, why: str) -> None:
    assert is_url(text)
    with pytest.raises(EvalkitError) as refused:
        address_of(text)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(EvalkitError) as refused:
        address_of("s3://AKIAUSER:hunter22hunter22@bucket/runs/r")
    assert "has a user or a password in it" in str(refused.value)
    assert "hunter22" not in str(refused.value)
    assert "AKIAUSER" not in str(refused.value)


@pytest.mark.parametrize("text", ["runs/a", "/runs/a", "a:b", "C:/runs", "runs/s3"])
def test_folders_of_this_machine_are_no_addresses(text: str) -> None:
    assert not is_url(text)
    assert address_of_spool(Path(text)) is None


def test_the_folder_follows_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Address("s3", ("b", "runs", "r")).spool == tmp_path / "evalkit/remote/s3/b/runs/r"


@pytest.mark.parametrize(
    "said",
    [
        "403 GET https://b.s3.amazonaws.com/r?X-Amz-Signature=SECRETS3CRET&X-Amz-Credential=SECRETS3CRET",
        "bad header Authorization: Bearer SECRETS3CRET",
        '{"error": "denied", "access_token": "SECRETS3CRET"}',
        "no user for AKIASECRETS3CRETAB",
        "401 for token hf_SECRETS3CRET",
        "the key wJalrXUtnFEMI is not known",
    ],
)
def test_nothing_secret_of_a_stores_words_is_repeated(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    shown = without_keys(said)
    assert "SECRETS3CRET" not in shown
    assert "wJalrXUtnFEMI" not in shown
    assert shown.split()[0] == said.split()[0]
