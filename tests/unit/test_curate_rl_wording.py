import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.curation.wording import SHARE, WordIndex, shingles, stem, words
from evalkit.records import Sample

LONG = "A rope of 12 metres is cut into pieces of 75 centimetres each, how many pieces are there and what is left over?"


def test_case_width_and_punctuation_do_not_count_and_signs_do() -> None:
    assert words("Which  ＣＡＲ, (left)?") == ("which", "car", "left")
    assert words("2+3") != words("2-3")
    assert words("图中有几只猫？") == tuple("图中有几只猫")


def test_the_stem_is_without_the_options() -> None:
    asked = Sample(
        id="1", question="Which colour?\nA. red\n(B) dark blue\nC: red", choices={"A": "red", "B": "dark blue"}
    )
    assert stem(asked) == words("Which colour? C: red")
    assert stem(Sample(id="1", question="A. red", choices={"A": "red"})) == ("a", "red")


def test_a_question_is_found_in_what_stands_around_it() -> None:
    index = WordIndex([words("What is left?"), words(LONG)])
    found = index.find(words(f"You are helpful. Question: {LONG} Answer with a number."))
    # the longest one first: a short question may stand in a long one
    assert [(one.question, one.share, one.equal) for one in found] == [(1, 1.0, False), (0, 1.0, False)]
    assert index.find(words(LONG))[0].equal


def test_a_word_changed_is_found_and_another_question_is_not() -> None:
    index = WordIndex([words(LONG)])
    assert index.find(words(LONG.replace("rope", "cord")))[0].share > SHARE
    other = LONG.replace("12", "15").replace("75", "60").replace("pieces", "parts").replace("cut", "sawn")
    assert not index.find(words(other))


@given(
    st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=9), min_size=1, max_size=12),
    st.lists(st.sampled_from("abcde"), max_size=14),
)
def test_looking_up_rare_shingles_misses_nothing(questions: list[list[str]], text: list[str]) -> None:
    index = WordIndex([tuple(question) for question in questions])
    there = shingles(text)
    right = {
        place
        for place, question in enumerate(questions)
        if len(shingles(question) & there) >= SHARE * len(shingles(question)) - 1e-9
    }
    assert {one.question for one in index.find(tuple(text))} == right


@pytest.fixture
def real_questions(shared_data: Path) -> dict[str, set[tuple[str, ...]]]:
    def read(name: str) -> list[dict[str, str]]:
        rows = json.loads((shared_data / name).read_text(encoding="utf-8"))
        return list(rows.values()) if isinstance(rows, dict) else rows

    files = {
        "vstar": "vstar/items_from_deepeyes_logs.json",
        "hrbench": "hrbench/items_4k_from_deepeyes_log.json",
        "mathvista": "mathvista/testmini.json",
        "wemath": "wemath/testmini.json",
    }
    return {name: {words(row["question"]) for row in read(file)} for name, file in files.items()}


def test_benchmarks_share_no_wording_that_tells_what_is_asked(
    real_questions: dict[str, set[tuple[str, ...]]],
) -> None:
    # what the limit of telling words rests on: V*Bench and HR-Bench ask five short questions alike, and no others
    found: dict[tuple[str, str], list[int]] = {}
    for name, questions in real_questions.items():
        asked = sorted(questions)
        index = WordIndex(asked)
        for other, texts in real_questions.items():
            hits = [asked[one.question] for text in texts for one in index.find(text) if one.equal]
            found[name, other] = sorted(map(len, hits)) if other != name else []
    assert found["vstar", "hrbench"] == [7, 7, 7, 7, 8]
    assert {len(lengths) for pair, lengths in found.items() if {*pair} != {"vstar", "hrbench"}} == {0}
