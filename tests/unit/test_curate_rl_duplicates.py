import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageOps

from evalkit.curation.duplicates import RADIUS, distinct
from evalkit.curation.images import Viewer
from evalkit.curation.neighbours import Neighbours, leaders
from evalkit.curation.prompts import Prompt
from evalkit.curation.source import Entry
from evalkit.curation.usable import look_at_all
from evalkit.images import ImageFile
from tests.pictures import image_file, picture
from tests.run_folders import row

BYTES = 32


def near_codes(seed: int, count: int, bits: int) -> list[bytes]:
    """Hashes in a few crowds, each up to `bits` from its middle."""
    draw = random.Random(seed)
    middles = [draw.getrandbits(256) for _ in range(4)]
    found = []
    for _ in range(count):
        code = draw.choice(middles)
        for bit in draw.sample(range(256), draw.randint(0, bits)):
            code ^= 1 << bit
        found.append(code.to_bytes(BYTES, "big"))
    return found


def apart(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


@given(st.integers(0, 10_000), st.integers(0, 48))
def test_the_index_finds_every_pair_within_its_radius_and_no_other(seed: int, radius: int) -> None:
    codes, queries = near_codes(seed, 30, radius + 4), near_codes(seed, 40, radius)[20:]
    near = Neighbours(codes, radius).near(queries)
    found = {(q, c): d for q, c, d in zip(*(part.tolist() for part in near), strict=True)}
    right = {
        (q, c): apart(query, code)
        for q, query in enumerate(queries)
        for c, code in enumerate(codes)
        if apart(query, code) <= radius
    }
    assert found == right


@given(st.integers(0, 10_000), st.sampled_from([0, 12, 30]))
def test_leaders_are_apart_and_all_others_are_near_theirs(seed: int, radius: int) -> None:
    codes = near_codes(seed, 60, radius)
    chosen = leaders(codes, radius)
    alone = [place for place, leader in enumerate(chosen) if leader == place]
    assert all(apart(codes[a], codes[b]) > radius for a in alone for b in alone if a < b)
    for place, leader in enumerate(chosen):
        assert leader in alone
        assert leader <= place
        assert apart(codes[place], codes[leader]) <= radius


def test_more_hashes_than_are_compared_at_once() -> None:
    codes = near_codes(1, 5000, 6)
    chosen = leaders(codes, 12)
    assert len(set(chosen)) <= 8


def test_no_hashes() -> None:
    assert leaders([], 12) == []
    assert len(Neighbours([], 12).near([b"\0" * BYTES]).query) == 0
    assert len(Neighbours([b"\0" * BYTES], 12).near([]).query) == 0


def prompt(id: str, *images: ImageFile, question: str = "What is it?") -> Prompt:
    from tests.unit.test_curate_rl_mix import source

    return Prompt((Entry(source(), row(id, images=images, question=question)),))


def sifted(*prompts: Prompt) -> tuple[list[str], list[tuple[str, str]]]:
    found = distinct(prompts, look_at_all(prompts, Viewer(1)))
    return [one.sample.id for one in found.kept], [(fate.id, fate.reason) for fate in found.out]


def test_a_picture_saved_again_is_dropped_and_other_questions_on_the_first_file_stay() -> None:
    original = image_file(picture(1))
    smaller = image_file(picture(1).resize((160, 120)), form="JPEG", quality=60)
    kept, out = sifted(
        prompt("a", original),
        prompt("b", original, question="Where is it?"),
        prompt("c", smaller, question="When is it?"),
        prompt("d", image_file(picture(2))),
    )
    assert kept == ["a", "b", "d"]
    assert out == [("c", "same_picture")]


def test_the_same_question_on_the_same_file_is_asked_once() -> None:
    kept, out = sifted(
        prompt("a", image_file(picture(1))), prompt("b", image_file(picture(1)), question="  what IS it ?")
    )
    assert (kept, out) == (["a"], [("b", "same_prompt")])


def test_questions_without_images_are_compared_by_their_words() -> None:
    kept, out = sifted(prompt("a", question="2 + 3?"), prompt("b", question="2 - 3?"), prompt("c", question="2 + 3 ?"))
    assert (kept, out) == (["a", "b"], [("c", "same_prompt")])


def test_two_images_are_one_picture_only_if_both_are() -> None:
    a, b, c = (picture(seed) for seed in (1, 2, 3))
    again = image_file(a, form="JPEG", quality=70)
    kept, out = sifted(
        prompt("ab", image_file(a), image_file(b)),
        prompt("ac", again, image_file(c)),
        prompt("ab again", again, image_file(b)),
    )
    assert kept == ["ab", "ac"]
    assert out == [("ab again", "same_picture")]


def test_a_mirrored_picture_is_no_duplicate() -> None:
    kept, _ = sifted(prompt("a", image_file(picture(1))), prompt("b", image_file(ImageOps.mirror(picture(1)))))
    assert kept == ["a", "b"]


def test_plain_images_are_not_taken_for_each_other() -> None:
    from PIL import Image

    plain = [image_file(Image.new("RGB", (64, 64), colour)) for colour in ("white", "black")]
    assert sifted(prompt("a", plain[0]), prompt("b", plain[1]))[0] == ["a", "b"]


@pytest.mark.parametrize("quality", [30, 90])
def test_real_photographs_saved_again_are_within_the_radius(shared_data, quality: int) -> None:  # type: ignore[no-untyped-def]
    import io

    from PIL import Image

    from evalkit.curation.fingerprints import fingerprint

    for file in sorted((shared_data / "vstar" / "photos").iterdir()):
        with Image.open(file) as photo:
            buffer = io.BytesIO()
            photo.convert("RGB").reduce(3).save(buffer, "JPEG", quality=quality)
            a, b = fingerprint(photo), fingerprint(Image.open(buffer))
        assert a is not None
        assert b is not None
        assert apart(a.code, b.code) <= RADIUS, file.name
