"""A folder of documents is searched the same way every time."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError, EvalkitError
from evalkit.search import Hit, Kind, Search
from evalkit.search._documents import read_documents
from evalkit.search._passage import passage, words
from evalkit.search.corpus import CorpusProvider


def found(folder: Path, query: str, results: int = 10, chars: int = 200) -> tuple[Hit, ...]:
    async def ask() -> tuple[Hit, ...]:
        provider = CorpusProvider(folder)
        await provider.start()
        return await provider.search(Search(kind=Kind.TEXT, sample="1", query=query, results=results, chars=chars))

    return asyncio.run(ask())


def fingerprint(folder: Path) -> object:
    return asyncio.run(CorpusProvider(folder).start())["fingerprint"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "docs"
    (place / "deep").mkdir(parents=True)
    (place / "deep" / "eiffel.md").write_text("# Eiffel Tower\n\nIt stands in Paris and is 330 metres tall.\n")
    (place / "blackpool.txt").write_text("Blackpool Tower is 158 metres tall.")
    rows = [
        {"title": "Tokyo Tower", "url": "https://example.org/tokyo", "text": "It is 332.9 metres tall."},
        {"id": 7, "contents": "東京タワーは東京都にある。"},
    ]
    (place / "more.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (place / "notes.csv").write_text("tower,tower,tower")
    return place


def test_each_kind_of_file_gives_title_address_and_text(folder: Path) -> None:
    hits = {hit.title: hit for hit in found(folder, "tower metres tall 東京")}
    assert hits.keys() == {"Eiffel Tower", "blackpool", "Tokyo Tower", "7"}
    assert hits["Eiffel Tower"].url == "deep/eiffel.md"
    assert hits["Tokyo Tower"] == Hit(
        title="Tokyo Tower", url="https://example.org/tokyo", text="It is 332.9 metres tall."
    )
    assert hits["7"].url == "more.jsonl#7"


def test_the_best_document_comes_first_and_what_has_no_word_of_the_query_does_not_come(folder: Path) -> None:
    assert [hit.title for hit in found(folder, "Eiffel, PARIS!")] == ["Eiffel Tower"]
    assert found(folder, "quetzal") == ()
    assert found(folder, "?!") == ()


def test_a_script_without_spaces_is_searched_by_character(folder: Path) -> None:
    assert [hit.title for hit in found(folder, "東京")] == ["7"]


def test_equal_scores_go_by_the_documents_order(tmp_path: Path) -> None:
    names = [f"{place:03}.txt" for place in range(300)]
    for name in reversed(names):
        (tmp_path / name).write_text("the same words")
    assert [hit.url for hit in found(tmp_path, "words", results=120)] == names[:120]


def test_results_and_texts_are_cut(folder: Path) -> None:
    hits = found(folder, "tower", results=2, chars=12)
    assert len(hits) == 2
    assert all(len(hit.text) <= 12 for hit in hits)


def test_the_fingerprint_sees_names_and_contents(folder: Path) -> None:
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    (folder / "blackpool.txt").rename(folder / "b.txt")
    renamed = fingerprint(folder)
    (folder / "b.txt").write_text("other")
    assert len({before, renamed, fingerprint(folder)}) == 3


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"\xff\xfe", r"a\.txt is not UTF-8"),
        ("a.jsonl", b'{"text": "fine"}\n{"text": 1}', "line 2"),
        ("a.jsonl", b'{"title": "no text"}', r"line 1 has no text.*\"text\""),
        ("a.jsonl", b"[" * 100_000, "line 1"),
        ("a.csv", b"x", "holds no document"),
        ("a.txt", b" \n", "holds no document"),
        ("a.txt", b"?", None),
    ],
)
def test_a_folder_that_cannot_be_searched_is_named(tmp_path: Path, name: str, data: bytes, message: str | None) -> None:
    (tmp_path / name).write_bytes(data)
    if message is None:
        assert found(tmp_path, "a")[0].url == "a.txt"
        return
    with pytest.raises(EvalkitError, match=message):
        found(tmp_path, "anything")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="is no folder"):
        CorpusProvider(tmp_path / "nowhere")


def test_the_passage_has_the_words_that_were_searched_for() -> None:
    text = "filler " * 200 + "the tower is 330 metres tall " + "filler " * 200
    part = passage(text, words("how many metres is the tower"), 60)
    assert "tower is 330 metres" in part
    assert part.startswith("…")
    assert part.endswith("…")


@given(
    text=st.text(st.sampled_from("ab cd\n東é.\t"), max_size=300),
    query=st.text(st.sampled_from("abcd 東"), max_size=20),
    chars=st.integers(4, 80),
)
def test_a_passage_is_a_part_of_the_text_and_never_longer(text: str, query: str, chars: int) -> None:
    part = passage(text, words(query), chars)
    assert len(part) <= chars
    assert part.strip("…") in " ".join(text.split())


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("my key")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "own.txt").write_text("cats")
    (folder / "link.txt").symlink_to(folder / "own.txt")
    assert len(read_documents(folder)[0]) == 2
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match=r"out\.txt is a link to a file outside of"):
        read_documents(folder)


def test_a_file_whose_name_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("cats")
    with pytest.raises(DataError, match="its name is not UTF-8"):
        read_documents(tmp_path)
