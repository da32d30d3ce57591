"""Prompts that share nothing with the benchmarks which would be measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.curation.images import Look
from evalkit.curation.leakage import RADIUS, TELLING, Detector, Item, Leakage, Match, summed
from evalkit.curation.prompts import Prompt
from evalkit.curation.source import Sifted
from evalkit.curation.usable import looks_of
from evalkit.curation.wording import SHARE

NAME = "leakage"
EXPLAINED = (
    f"A prompt is dropped when it shares an image file with a benchmark, a picture (perceptual hashes within {RADIUS} "
    f"of 256 bits, also mirrored), or a telling question: at least {TELLING} words, asked of one picture only in the "
    f"benchmark, {SHARE:.0%} of it in the prompt. Where no pictures can be compared, equal words are enough. Other "
    "equal wordings are counted below, and stay."
)


def clean(prompts: Sequence[Prompt], looks: Mapping[str, Look], detector: Detector) -> tuple[Sifted[Prompt], Leakage]:
    """Drop prompts that leak; what all of them share with the benchmarks.

    Reasons: see `Evidence`. The prompts' `found` gets every match.
    """
    items = [Item(prompt.id, prompt.sample.question, tuple(looks_of(prompt, looks))) for prompt in prompts]
    sifted = Sifted[Prompt]([], [])
    matches: list[tuple[Item, list[Match]]] = []
    for prompt, item, found in zip(prompts, items, detector.matches(items), strict=True):
        matches.append((item, found))
        if found:
            prompt.found["overlap"] = [str(match) for match in found]
        leak = next((match for match in found if match.leaks), None)
        if leak is None:
            sifted.kept.append(prompt)
        else:
            sifted.out.append(prompt.fate(NAME, leak.evidence.value, str(leak)))
    return sifted, summed(matches, detector.benchmarks.coverage)
