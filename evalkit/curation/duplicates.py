"""Prompts that are there twice: the same question on the same image file, or another file that shows the same picture.

Measured (256 bits; `benchmarks/curation.py copies`): of photographs, boards of panel_probe and WeMath's figures, saved
again as JPEG of quality 30 to 90, at half or a quarter of their size, as a square, or in greys, 97 % or more lie within
12 bits of their original; a fifth brighter, 83 %; with 1 % cut off at each side, at most one in six; with more cut off
or a border, none. Of small parts of photographs, many of them sky or wall, 79 to 95 % of the copies do. Different
images: none of 4,500,000 pairs of boards lies within 36 bits, none of 330,000 pairs of parts of photographs within 56.
Figures that differ in nothing but a label (an angle, a length) may lie within 12: WeMath has 9 such pairs in 510,000.
Mirrored copies lie at 128, as unrelated images do, and are no duplicates here: left and right change the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.curation.images import Look
from evalkit.curation.neighbours import leaders
from evalkit.curation.prompts import Prompt
from evalkit.curation.source import Sifted
from evalkit.curation.wording import words

RADIUS = 12
"""Bits of 256 in which the hashes of two files may differ that are taken for one picture."""
NAME = "near-duplicates"
EXPLAINED = (
    f"Of image files that show the same picture (perceptual hashes within {RADIUS} of 256 bits, so saved again in "
    "another size or quality) the first stays with all of its questions; prompts on the others are dropped "
    "(same_picture), and so is a question that is asked twice of the same files (same_prompt). Mirrored images are "
    "no duplicates, and plain images, which have no such hash, only if their bytes are equal."
)


def distinct(prompts: Sequence[Prompt], looks: Mapping[str, Look]) -> Sifted[Prompt]:
    """Drop prompts on further files of a picture, and repeated prompts.

    Args:
        prompts: whose images are good.
        looks: by the images' sha256.
    """
    names = pictures({image.header.sha256: None for prompt in prompts for image in prompt.sample.images}, looks)
    first: dict[tuple[str, ...], Prompt] = {}
    asked: dict[tuple[object, ...], Prompt] = {}
    sifted = Sifted[Prompt]([], [])
    for prompt in prompts:
        files = _files(prompt)
        picture = tuple(names[file] for file in files)
        owner = first.setdefault(picture, prompt) if files else prompt
        text = (*files, *words(prompt.sample.question))
        if _files(owner) != files:
            sifted.out.append(prompt.fate(NAME, "same_picture", f"the picture of {owner.id}"))
        elif text in asked:
            sifted.out.append(prompt.fate(NAME, "same_prompt", f"the prompt of {asked[text].id}"))
        else:
            asked[text] = prompt
            sifted.kept.append(prompt)
    return sifted


def pictures(files: Mapping[str, object], looks: Mapping[str, Look]) -> dict[str, str]:
    """For each file's sha256 that of the first file which shows the same picture."""
    hashed = [(file, look.fingerprint) for file in files if (look := looks[file]).fingerprint is not None]
    found = {file: file for file in files}
    chosen = leaders([mark.code for _, mark in hashed if mark is not None], RADIUS)
    found.update((file, hashed[leader][0]) for (file, _), leader in zip(hashed, chosen, strict=True))
    return found


def _files(prompt: Prompt) -> tuple[str, ...]:
    return tuple(image.header.sha256 for image in prompt.sample.images)
